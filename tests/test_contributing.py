"""The examples of CONTRIBUTING.md are whole: each is put in its place, and its test run."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from netspec.backends.cpu import IMPLEMENTATIONS
from netspec.backends.cpu.plain import Plain
from netspec.backends.onnx import operators
from netspec.backends.onnx.graph import NodeBuilder
from netspec.backends.onnx.operators import FORMS
from netspec.errors import DataError
from netspec.export import onnx_bytes
from netspec.ir.ops import OPERATORS
from netspec.ir.ops.relu import Relu
from netspec.ir.ops.sigmoid import Sigmoid
from netspec.lowering.passes import summary
from netspec.views.operators import as_text
from tests.backends.cpu.helpers import implementations, problem_of
from tests.backends.onnx.helpers import assert_exact, example, images_for, kinds, run
from tests.ir.ops.helpers import example_rows
from tests.lowering.passes.test_contract import refusals

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks(title: str) -> list[str]:
    """The Python of a section."""
    section = GUIDE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put code in the place of a module."""

    def place(name: str, code: str) -> ModuleType:
        path = tmp_path / f"{name}.py"
        path.write_text(code, encoding="utf-8")
        spec = spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        parent, _, last = name.rpartition(".")
        monkeypatch.setattr(import_module(parent), last, module, raising=False)
        spec.loader.exec_module(module)
        return module

    return place


def run_all(tests: ModuleType) -> int:
    """Run the tests of a module; return how many there are."""
    functions = [value for name, value in vars(tests).items() if name.startswith("test_")]
    for function in functions:
        function()
    return len(functions)


def test_the_operator_works(put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    code, form, tests = blocks("Adding an operator")
    kind = put("netspec.ir.ops.thresholded_relu", code).ThresholdedRelu
    assert run_all(put("tests.ir.ops.test_thresholded_relu", tests)) == 2
    assert "theta" in as_text(kind)
    monkeypatch.setitem(OPERATORS, "thresholded_relu", kind)
    model = example(example_rows(kind))
    with pytest.raises(DataError, match="does not export the operator thresholded_relu yet"):
        onnx_bytes(model)
    monkeypatch.setitem(FORMS, kind, FORMS[Relu])  # so that it goes again
    exec(form, {"form": operators.form, "NodeBuilder": NodeBuilder, "ThresholdedRelu": kind})
    content, x = onnx_bytes(model), images_for(model, 2)
    assert kinds(content) == ["ThresholdedRelu"]
    assert_exact(model, run(content, x), x)


def test_the_implementation_works(put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    code, tests = blocks("Adding an implementation")
    module = put("netspec.backends.cpu.sigmoid", code)
    (entry,) = re.findall(r"`Sigmoid: (\(.*?\)),`", GUIDE)
    monkeypatch.setitem(IMPLEMENTATIONS, Sigmoid, eval(entry, {**vars(module), "Plain": Plain}))
    assert run_all(put("tests.backends.cpu.test_sigmoid", tests)) == 1
    in_half = problem_of(Sigmoid(), (3, 5, 7), dtype=torch.bfloat16)
    assert list(implementations(in_half)) == ["torch"]


def test_the_pass_works(put: Any) -> None:
    code, tests = blocks("Adding a pass")
    module = put("netspec.lowering.passes.drop_relu", code)
    assert run_all(put("tests.lowering.passes.test_drop_relu", tests)) == 2
    assert summary(module) == "relu(sigmoid(x)) => sigmoid(x): a sigmoid is never negative"
    assert set(module.REFUSALS) == refusals(code)


def test_files_that_the_guide_names_exist() -> None:
    sections = GUIDE.split("\n## Adding an operator\n")[1]
    named = set(re.findall(r"(?:netspec|tests|docs)/[\w/]+\.(?:py|md)", sections))
    missing = {name for name in named if not (ROOT / name).is_file()}
    examples = ("thresholded_relu.py", "cpu/sigmoid.py", "cpu/test_sigmoid.py", "drop_relu.py")
    assert {name for name in missing if not name.endswith(examples)} == set()
    assert len(named) > 10
