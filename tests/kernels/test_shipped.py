"""Every configuration that is shipped, compiled for sm_80 and sm_90 on whatever machine this is."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
import torch
import triton

from netspec.kernels.ahead import SHARED_MEMORY
from netspec.kernels.shipped import CAPABILITIES, DTYPES, FAMILIES, ONLY_ON
from tests.forked import compiling

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")
IS_PAGE_OF_THIS_TRITON = f", triton {triton.__version__} -->" in PAGE
table = run_path(str(ROOT / "docs" / "kernels.py"))["table"]


def compiled(*program: str) -> list[dict[str, Any]]:
    """What a program prints in a process in which kernels are compiled, not interpreted."""
    done = compiling().python("-m", *program, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("all_types", [[], pytest.param(["all"], marks=pytest.mark.slow)])
def test_one_configuration_of_each_family_compiles_for_both_targets(all_types: list[str]) -> None:
    rows = compiled("tests.kernels.some_shipped", *all_types)
    assert_fine(rows)
    expected = {
        (family, dtype, capability)
        for number, family in enumerate(FAMILIES)
        for place, dtype in enumerate(DTYPES)
        for capability in ONLY_ON.get(family, CAPABILITIES)
        if all_types or place == number % len(DTYPES)
    }
    assert {(r["family"], getattr(torch, r["dtype"]), r["capability"]) for r in rows} == expected
    if IS_PAGE_OF_THIS_TRITON:
        for _, pair in groupby(rows, key=lambda row: (row["family"], row["dtype"])):
            assert_on_page(list(pair))


def assert_on_page(rows: list[dict[str, Any]]) -> None:
    """The line of a launch is in its family's table, where types with equal figures share one."""
    family = rows[0]["family"]
    label, dtype, figures = table(family, rows).splitlines()[-1].split(" | ", 2)
    lines = PAGE[PAGE.index(f"<!-- {family}, ") :].split("\n\n")[0].splitlines()
    cells = [line.split(" | ", 2) for line in lines]
    assert any(
        one[0] == label and dtype in one[1].split(", ") and one[2] == figures for one in cells
    ), "python docs/kernels.py writes the page"


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_configuration_compiles_for_both_targets(family: str) -> None:
    rows = compiled("netspec.kernels.shipped", family)
    assert_fine(rows)
    assert {row["dtype"] for row in rows} == {"float16", "bfloat16", "float32"}
    if IS_PAGE_OF_THIS_TRITON:
        assert table(family, rows) in PAGE, "python docs/kernels.py writes the page"


def assert_fine(rows: list[dict[str, Any]]) -> None:
    assert {row["capability"] for row in rows} <= {80, 90}
    problems = [f"{row}: {problem}" for row in rows for problem in mistakes(row)]
    assert not problems, "\n".join(problems)


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
