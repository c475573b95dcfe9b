"""Drawn nets of concatenations and siblings: values stand where they are read, and nothing that is
still to be read is overwritten.  Computed by PyTorch, which is faster than the interpreter."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import netspec
from netspec.backends.cuda.executor import CudaExecutor
from netspec.compiler import random_images
from tests.backends.cuda.helpers import DEVICE, MAP, load_rows

OPERATORS = (
    "conv 1x1, 3",
    "conv 1x1, 2 | relu",
    "conv 3x3, 2, pad=1 | relu",
    "maxpool 3x3/1, pad=1",
    "tanh",
    "lrn 3",
    "avgpool 3x3/1, pad=1, count_pad=on | conv 1x1, 2",
)


@st.composite
def specs(draw: st.DrawFn) -> str:
    """Rows that read any rows before them; concatenations of up to four."""
    names, rows = ["image"], []
    for number in range(draw(st.integers(2, 9))):
        name = f"r{number}"
        sources = draw(st.lists(st.sampled_from(names), min_size=1, max_size=4))
        if len(sources) == 1:
            rows.append(f"{name} from {sources[0]}: {draw(st.sampled_from(OPERATORS))}")
        else:
            rows.append(f"{name} from {', '.join(sources)}: concat")
        names.append(name)
    is_read = {
        name for row in rows for name in row.partition(" from ")[2].split(":")[0].split(", ")
    }
    ends = [name for name in names[1:] if name not in is_read]
    more = draw(st.lists(st.sampled_from(names[1:]), max_size=2, unique=True))
    rows.append("output " + ", ".join(dict.fromkeys([*ends, *more])))
    return "\n".join(rows)


@given(rows=specs())
@settings(max_examples=60)
def test_no_value_is_lost(rows: str) -> None:
    net = load_rows(rows, MAP)
    first = netspec.compile(net, device="cuda", dtype=torch.float64)
    by_torch = {
        stage: next((way for way in choice.candidates if way in ("aten", "torch")), None)
        for stage, choice in first.lowered.choices.items()
    }
    given_ways = {stage: way for stage, way in by_torch.items() if way is not None}
    model = netspec.compile(net, device="cuda", dtype=torch.float64, choices=given_ways)
    plan = model.lowered.plan
    assert plan.bound <= plan.arena <= plan.total + 64 * len(plan.buffers)
    exact = netspec.reference(net, dtype=torch.float64)
    images = random_images(net, batch=2)
    assert isinstance(model._executor, CudaExecutor)
    model._executor.bucket(images).memory.arena.fill_(torch.nan)
    with torch.no_grad():
        found = model(images[0].to(DEVICE))
        wanted = exact(images[0])
    if isinstance(wanted, torch.Tensor):
        found, wanted = (found,), (wanted,)
    for y, right in zip(found, wanted, strict=True):
        torch.testing.assert_close(y.cpu(), right, rtol=1e-11, atol=1e-11)
