"""Every configuration that is shipped, compiled for sm_80 and sm_90 on whatever machine this is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
import triton

from netspec.kernels.ahead import SHARED_MEMORY
from netspec.kernels.shipped import FAMILIES

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "kernels.md").read_text(encoding="utf-8")
table = run_path(str(DOCS / "kernels.py"))["table"]


def compiled(family: str) -> list[dict[str, Any]]:
    """The rows of a family, from a process in which kernels are compiled, not interpreted."""
    done = subprocess.run(
        [sys.executable, "-m", "netspec.kernels.shipped", family],
        capture_output=True,
        text=True,
        check=False,
        env={key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"},
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_configuration_compiles_for_both_targets(family: str) -> None:
    rows = compiled(family)
    targets = {(row["dtype"], row["capability"]) for row in rows}
    assert {capability for _, capability in targets} <= {80, 90}
    assert {dtype for dtype, _ in targets} == {"float16", "bfloat16", "float32"}
    problems = [f"{row}: {problem}" for row in rows for problem in mistakes(row)]
    assert not problems, "\n".join(problems)
    if f", triton {triton.__version__} -->" in PAGE:
        assert table(family, rows) in PAGE, "python docs/kernels.py writes the page"


def mistakes(row: dict[str, Any]) -> list[str]:
    """What is wrong with a compiled kernel."""
    faults = []
    if row["stack"] or row["local"]:
        faults.append("it spills registers")
    if row["shared"] > SHARED_MEMORY[row["capability"]]:
        faults.append("it does not fit into shared memory")
    counts = row["products"]
    tensor_cores = {opcode for opcode in ("HGMMA", "HMMA") if counts[opcode]}
    if row["precision"] is None:  # no product in it
        return faults
    is_exact_float32 = row["dtype"] == "float32" and row["precision"] == "ieee"
    is_warpgroup_wide = row["capability"] == 90 and row["tile_rows"] >= 64
    expected = {"HGMMA"} if is_warpgroup_wide else {"HMMA"}
    if tensor_cores != (set() if is_exact_float32 else expected):
        faults.append(f"its products are {tensor_cores or 'on no tensor core'}")
    if is_exact_float32 and not counts["FFMA"]:
        faults.append("it has no FFMA")
    return faults


GOOD = {
    "stack": 0,
    "local": 0,
    "shared": 1000,
    "capability": 90,
    "dtype": "float16",
    "precision": "ieee",
    "tile_rows": 64,
    "products": {"HGMMA": 4, "HMMA": 0, "FFMA": 0},
}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"stack": 8}, "it spills"),
        ({"local": 8}, "it spills"),
        ({"shared": 300_000}, "shared memory"),
        ({"products": {"HGMMA": 0, "HMMA": 4, "FFMA": 0}}, "HMMA"),
        ({"products": {"HGMMA": 0, "HMMA": 0, "FFMA": 9}}, "no tensor core"),
        ({"capability": 80}, "HGMMA"),
        ({"tile_rows": 16}, "HGMMA"),
        (
            {"dtype": "float32", "products": {"HGMMA": 4, "HMMA": 0, "FFMA": 9}},
            "HGMMA",
        ),
        (
            {"dtype": "float32", "products": {"HGMMA": 0, "HMMA": 0, "FFMA": 0}},
            "no FFMA",
        ),
    ],
)
def test_what_is_wrong_is_found(change: dict[str, Any], problem: str) -> None:
    assert mistakes(GOOD) == []
    (mistake,) = mistakes(GOOD | change)
    assert problem in mistake
