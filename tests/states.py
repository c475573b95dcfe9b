"""What netspec says of the bundled specs, saved before a change and compared after it.

    python -m tests.states save FOLDER
    python -m tests.states compare BEFORE AFTER

Saved are ``check --json``, ``summary --json``, ``document --json``, the graph after every pass, the
plan and the choices for the CPU and for sm_90, and ``trace --json`` of the first and the last row,
without times and rates.  ``compare`` renames what is renamed, prints every difference that is
left, and exits with 1 if there is one.

Since 75c3a49 one thing differs: after a pass that changes an operator, its line has the shortest
way to write it (``conv_relu 1x1, 64``), not that of the spec (``conv_relu 1x1x192/1, 64``).
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

RENAMED = {
    "tests/ops/test_lrn.py": "tests/ir/ops/test_lrn.py",
}
"""Words of the saved texts that have another name now: the old one, then the new one."""

MEASURED = {"seconds", "floor", "net", "others", "rounds"}
"""Keys of ``trace --json`` that hold measurements."""

PLANS = (("cpu", "float32"), ("sm_90", "bfloat16"))


def save(folder: Path) -> None:
    """Write one file for each spec and command."""
    import netspec

    folder.mkdir(parents=True, exist_ok=True)
    for name in netspec.bundled():
        for what, text in _states(name):
            (folder / f"{name}.{what}.txt").write_text(text + "\n", encoding="utf-8")
        print(name, flush=True)


def _states(name: str) -> Iterator[tuple[str, str]]:
    import torch

    import netspec

    for command in ("check", "summary", "document"):
        yield command, _without_times(_printed(command, name, "--json"))
    symbols = netspec.load(name).symbols
    sizes = [word for symbol in symbols for word in ("--set", f"{symbol}=8")]
    net = netspec.load(name, **dict.fromkeys(symbols, 8))
    yield "passes", _printed("compile", name, *_print_after())
    for device, dtype in PLANS:
        lowered = netspec.compile(net, device=device, dtype=getattr(torch, dtype)).lowered
        chosen = {stage: choice.implementation for stage, choice in lowered.choices.items()}
        yield f"choices-{device}", json.dumps(chosen, indent=1)
        yield f"plan-{device}", json.dumps(lowered.plan.as_json(), indent=1)
    rows = [row.label for row in net.graph.rows.values() if row.stages and not row.is_inner]
    for place, row in {"first": rows[0], "last": rows[-1]}.items():
        yield f"trace-{place}", _without_times(_printed("trace", name, row, "--json", *sizes))


def _print_after() -> list[str]:
    """``--print-after`` for every pass."""
    from netspec.cli.compile import compile

    (option,) = (one for one in compile.params if one.name == "passes")
    assert isinstance(option.type, click.Choice)
    return [part for rule in option.type.choices for part in ("--print-after", rule)]


def _printed(*arguments: str) -> str:
    from netspec.cli import main

    result = CliRunner().invoke(main, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def _without_times(text: str) -> str:
    return json.dumps(_unmeasured(json.loads(text)), indent=1, ensure_ascii=False)


def _unmeasured(data: Any) -> Any:
    if isinstance(data, dict):
        return {
            key: _unmeasured(value)
            for key, value in data.items()
            if not (key in MEASURED or key.endswith(("_ms", "_per_s")))
        }
    return [_unmeasured(one) for one in data] if isinstance(data, list) else data


def compare(before: Path, after: Path) -> int:
    """Print the differences; returns how many files differ."""
    names = sorted({file.name for folder in (before, after) for file in folder.glob("*.txt")})
    differing = 0
    for name in names:
        old, new = (_lines(folder / name) for folder in (before, after))
        changes = list(difflib.unified_diff(list(map(_renamed, old)), new, "before", "after", n=0))
        if changes:
            differing += 1
            print(name)
            print("".join(changes), end="")
    print(f"{len(names)} files, {differing} differ")
    return differing


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines(keepends=True) if file.is_file() else []


def _renamed(line: str) -> str:
    for old, new in RENAMED.items():
        line = re.sub(rf"\b{re.escape(old)}\b", new, line)
    return line


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["save", folder]:
            save(Path(folder))
        case ["compare", before, after]:
            sys.exit(compare(Path(before), Path(after)) > 0)
        case _:
            sys.exit(__doc__)
