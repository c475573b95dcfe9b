"""docs/experiments.md says what was measured, of the comparisons as they are."""

from __future__ import annotations

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from netspec.comparing.experiments import EXPERIMENTS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def experiments() -> ModuleType:
    spec = spec_from_file_location("experiments", DOCS / "experiments.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["experiments"] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(experiments: ModuleType) -> None:
    page = (DOCS / "experiments.md").read_text(encoding="utf-8")
    assert page == experiments.current()
    shown = re.findall(r"\((images/experiments/[\w-]+\.svg)\)", page)
    assert shown
    assert all((DOCS / path).is_file() for path in shown)


def test_what_can_be_measured_on_digits_was(experiments: ModuleType) -> None:
    results = experiments.load()
    assert {*results} == {one.name for one in EXPERIMENTS if "lenet5_arms" in one.arms}
    for one in EXPERIMENTS:
        if one.name not in results:
            continue
        kept, arms = results[one.name], one.arms["lenet5_arms"]
        assert (kept["says"], kept["source"]) == (one.says, one.source)
        assert [arm["name"] for arm in kept["arms"]] == [arm.name for arm in arms]
        assert [arm["parameters"] for arm in kept["arms"]] == [dict(a.parameters) for a in arms]
        assert [measure["name"] for measure in kept["measures"]] == [m.name for m in one.measures]
        assert {len(arm["runs"]) for arm in kept["arms"]} == {kept["asked"]["seeds"]}
