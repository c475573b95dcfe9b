"""Convert a trace to plain data for JSON."""

from __future__ import annotations

from typing import Any

from netspec.runtime.dtypes import dtype_name
from netspec.tracing.trace import StepTrace, Trace, summed


def as_data(trace: Trace) -> dict[str, Any]:
    """Return what ``netspec trace --json`` prints; the keys are an interface for scripts."""
    profile, sums = trace.profile, summed(trace.own)
    rates = profile and profile.rates
    return {
        "name": trace.net.name,
        "asked": trace.label,
        "row": trace.row,
        "file": trace.span.source.name,
        "line": trace.span.line,
        "text": trace.text,
        "backend": trace.backend,
        "dtype": dtype_name(trace.dtype),
        "batch": trace.batch,
        "rounds": trace.rounds,
        "floor": rates
        and {"gflop_per_s": rates.product / 1e9, "copy_gb_per_s": rates.memory / 1e9},
        "stages": [
            {
                "name": stage.name,
                "op": stage.op,
                "kernel": stage.kernel,
                "output": list(stage.output),
                "parameters": stage.parameters,
                "macs": stage.macs,
                "steps": list(stage.steps),
                "elsewhere": list(stage.elsewhere),
                "becomes": stage.becomes or None,
            }
            for stage in trace.stages
        ],
        "rewrites": [
            {
                "rule": rewrite.rule,
                "summary": rewrite.summary,
                "made": [
                    {"stages": list(stages), "results": list(results)}
                    for stages, results in rewrite.made
                ],
            }
            for rewrite in trace.rewrites
        ],
        "refusals": [
            {
                "rule": refusal.rule,
                "summary": refusal.summary,
                "reason": refusal.reason,
                "stages": [list(stages) for stages in refusal.stages],
            }
            for refusal in trace.refusals
        ],
        "steps": [_step_data(step) for step in trace.steps],
        "total": {
            "macs": sums.macs,
            "bytes": sums.bytes,
            "weight_bytes": sums.weight_bytes,
            "floor_ms": sums.floor * 1e3,
            "median_ms": sums.seconds * 1e3,
        },
        "net": profile and {"steps": trace.count, "median_ms": profile.seconds * 1e3},
        "others": profile and profile.others,
    }


def _step_data(step: StepTrace) -> dict[str, Any]:
    return {
        "step": step.number,
        "stage": step.stage,
        "op": step.problem.op.name,
        "kernel": step.problem.op.kernel_text(step.problem.inputs),
        "row": step.row,
        "is_own": step.is_own,
        "made_of": list(step.made_of),
        **step.choice.as_json(),
        "writes": [
            {
                "stage": slot.stage,
                "size": list(slot.shape),
                "buffer": slot.buffer,
                "channel": slot.start,
                "of": slot.whole or None,
                "offset": slot.offset,
                "freed_after": slot.last,
            }
            for slot in step.places
        ],
        "macs": step.problem.operations // 2,
        "bytes": step.problem.bytes,
        "weight_bytes": step.problem.weight_bytes,
        "floor_ms": step.floor * 1e3,
        "median_ms": step.time.median * 1e3,
        "spread_ms": [step.time.low * 1e3, step.time.high * 1e3],
    }
