"""Public functions say what was expected of an argument, and have the defaults of the commands."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch

import netspec
from netspec.cli import main
from netspec.errors import DataError
from netspec.ir.shapes import Shape
from netspec.language.diagnostics import SpecError
from netspec.training.settings import Settings
from tests.helpers import subcommands

DIGIT = str(Path(__file__).parents[1] / "docs" / "images" / "digit.png")

OF_A_NET: dict[str, Callable[[Any], Any]] = {
    "classify": lambda net: netspec.classify(net, DIGIT),
    "evaluate": lambda net: netspec.evaluate(net, "digits"),
    "compile": netspec.compile,
    "reference": netspec.reference,
    "save": lambda net: netspec.save(net, "it.netspec"),
    "train": lambda net: netspec.train(net, "digits", "run"),
    "bench": netspec.bench,
    "bench_layers": netspec.bench_layers,
    "trace": lambda net: netspec.trace(net, "C1"),
}

OF_A_PATH: dict[str, Callable[[Any], Any]] = {
    "save": lambda path: netspec.save("lenet5", path),
    "train": lambda path: netspec.train("lenet5", "digits", path),
    "resume": netspec.resume,
    "pack": lambda path: netspec.pack("digits", path),
    "compare": lambda path: netspec.compare("tencrop", "digits", path),
    "load_artifact": netspec.load_artifact,
    "load_weights": lambda path: netspec.load_weights(netspec.compile("lenet5"), path),
    "save_weights": lambda path: netspec.save_weights(netspec.compile("lenet5"), path),
    "save_artifact": lambda path: netspec.save_artifact(netspec.compile("lenet5"), path),
}


@pytest.mark.parametrize("name", OF_A_NET)
@pytest.mark.parametrize("wrong", [None, 3, b"lenet5", 2.5])
def test_an_object_that_is_not_a_net_is_a_type_error(name: str, wrong: object) -> None:
    with pytest.raises(TypeError, match=r"net.* must be|spec must be"):
        OF_A_NET[name](wrong)


@pytest.mark.parametrize("name", OF_A_NET)
def test_a_net_that_is_missing_is_named(name: str) -> None:
    with pytest.raises((SpecError, DataError), match=r"missing\.net"):
        OF_A_NET[name]("missing.net")


@pytest.mark.parametrize("name", OF_A_PATH)
@pytest.mark.parametrize("wrong", [None, 3, b"it"])
def test_an_object_that_is_not_a_path_is_a_type_error(
    name: str, wrong: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError, match="must be"):
        OF_A_PATH[name](wrong)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: netspec.compile("lenet5", dtype="floot32"), ValueError, "did you mean `float32`?"),
        (lambda: netspec.reference("lenet5", dtype="Float64"), ValueError, "`float64`?"),
        (lambda: netspec.trace("lenet5", "C1", dtype="half"), ValueError, "one of float32"),
        (lambda: netspec.bench("lenet5", dtype="bfloat61"), ValueError, "`bfloat16`?"),
        (lambda: netspec.train("lenet5", "digits", "r", dtype="f"), ValueError, "float64"),
        (lambda: netspec.compile("lenet5", dtype=32), TypeError, "dtype must be a type of PyTorch"),
        (lambda: netspec.compile("lenet5", dtype=torch.int32), ValueError, "not 'int32'"),
        (lambda: netspec.compile("lenet5", batch=0), ValueError, "from 1 to 100,000, not 0"),
        (lambda: netspec.compile("lenet5", batch="2"), TypeError, "batch must be an integer"),
        (lambda: netspec.compile("lenet5", seed=-1), ValueError, "seed must be an integer"),
        (lambda: netspec.compile("lenet5", device=0), TypeError, "device must be a device"),
        (lambda: netspec.compile("lenet5", device="cuad"), DataError, "did you mean `cuda`?"),
        (lambda: netspec.reference("lenet5", device="cuad"), ValueError, "device must be"),
        (lambda: netspec.compile("lenet5", weights=3), TypeError, "weights must be the path"),
        (lambda: netspec.compile("lenet5", weights="digit"), DataError, "lenet5 comes with digits"),
        (lambda: netspec.compile("lenet5", prepare=""), ValueError, "not an empty string"),
        (lambda: netspec.compile("lenet5", prepare=3), TypeError, "prepare must be steps"),
        (lambda: netspec.compile("lenet5", classes=3), TypeError, "classes must be the name"),
        (lambda: netspec.compile("lenet5", classes=[1]), TypeError, "each of classes must be"),
        (lambda: netspec.compile("lenet5", choices=["C1"]), TypeError, "choices must be a dict"),
        (lambda: netspec.load_image(None, Shape((8, 8, 3))), TypeError, "path must be the path"),
        (lambda: netspec.load_image(DIGIT, "lenet5"), TypeError, "shape must be the shape"),
        (lambda: netspec.bench("lenet5", against=3), TypeError, "against must be the name"),
        (lambda: netspec.bench("lenet5", against="onnx"), ValueError, "not 'onnx'"),
        (lambda: netspec.compile("lenet5", classes=[]), ValueError, "not an empty sequence"),
        (lambda: netspec.compile("lenet5", classes=["a", "a"]), ValueError, "has 'a' twice"),
        (lambda: netspec.compile("lenet5", classes=["a", " "]), ValueError, "[1] is an empty"),
        (lambda: netspec.compile("lenet5", settings="n=1"), TypeError, "settings must be a dict"),
        (lambda: netspec.check("lenet5", settings=["n"]), TypeError, "settings must be a dict"),
        (lambda: netspec.load("lenet5", **{"n": b""}), TypeError, "n must be a number or a text"),
        (lambda: netspec.trace("lenet5", "C1", settings={3: 1}), TypeError, "each name in"),
        (lambda: netspec.classify("lenet5", DIGIT, top=0), ValueError, "top must be an integer"),
        (lambda: netspec.classify("lenet5", DIGIT, top=True), TypeError, "top must be an integer"),
        (lambda: netspec.classify("lenet5", DIGIT, expect=3), TypeError, "expect must be"),
        (lambda: netspec.evaluate([], "digits"), ValueError, "not an empty sequence"),
        (lambda: netspec.evaluate("lenet5", 3), TypeError, "data must be a data set"),
        (lambda: netspec.evaluate("lenet5", views="five"), ValueError, "center, tencrop"),
        (lambda: netspec.save("lenet5", "a", format="onxn"), ValueError, "did you mean `onnx`?"),
        (lambda: netspec.save("lenet5", "a.onnx", heads=True), ValueError, "in an artifact only"),
        (lambda: netspec.save("lenet5", "a.zip"), DataError, ".zip is the suffix of a file"),
        (lambda: netspec.train("lenet5", "digits", "r", epoch=1), TypeError, "`epochs`?"),
        (lambda: netspec.train("lenet5", "digits", "r", parameters={}), TypeError, "no option"),
        (lambda: netspec.train("lenet5", "digits", "r", report=print), TypeError, "report must be"),
        (lambda: netspec.resume("r", report=print), TypeError, "report must be"),
        (lambda: netspec.train("lenet5", "digits", "r", dtype=torch.half), ValueError, "float64"),
        (lambda: netspec.train("lenet5", "digits", "r", epochs="1"), ValueError, "epochs"),
        (lambda: netspec.train("lenet5", "digits", "r", init="glorto"), ValueError, "`glorot`?"),
        (lambda: netspec.train("lenet5", "digits", "r", columns=True), DataError, "no columns"),
        (lambda: netspec.train("lenet5", None, "r"), TypeError, "data must be a data set"),
        (lambda: netspec.pack("digits", "p", size=0), ValueError, "size must be an integer"),
        (lambda: netspec.pack(None, "p"), TypeError, "data must be a data set"),
        (lambda: netspec.compare(None, "digits", "c"), TypeError, "experiment must be"),
        (lambda: netspec.compare("tencrops", "digits", "c"), DataError, "tencrop"),
        (lambda: netspec.compare("tencrop", "digits", "c", seeds=0), ValueError, "seeds must be"),
        (lambda: netspec.bench("lenet5", against=["onnx"]), ValueError, "each of against must be"),
        (lambda: netspec.bench("lenet5", batch="1"), TypeError, "batch must be an integer"),
        (lambda: netspec.bench("lenet5", batch=[]), ValueError, "not an empty sequence"),
        (lambda: netspec.bench([]), ValueError, "not an empty sequence"),
        (lambda: netspec.trace("lenet5", 3), TypeError, "row must be the label of a row"),
        (lambda: netspec.verify("lenet5"), TypeError, "model must be what netspec.compile"),
        (lambda: netspec.verify(netspec.compile("lenet5"), [3]), TypeError, "images must be"),
    ],
)  # fmt: skip
def test_a_wrong_argument_says_what_was_expected(
    call: Callable[[], object],
    error: type[Exception],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=re.escape(message)):
        call()
    assert not [*tmp_path.iterdir()]


def test_integers_of_numpy_are_integers() -> None:
    (classified,) = netspec.classify("lenet5", DIGIT, top=np.int64(2))  # type: ignore[arg-type]
    assert len(classified.answers) == 2
    assert type(netspec.compile("lenet5", batch=np.int32(3)).lowered.batch) is int  # type: ignore[arg-type]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "run": netspec.classify,
    "eval": netspec.evaluate,
    "compile": netspec.compile,
    "compare": netspec.compare,
    "bench": netspec.bench,
    "pack": netspec.pack,
    "trace": netspec.trace,
    "train": Settings,
    "see filters": netspec.see.filters,
    "see activations": netspec.see.activations,
    "see predictions": netspec.see.predictions,
    "see neighbours": netspec.see.neighbours,
    "see codes": netspec.see.codes,
    "see search": netspec.see.search,
    "see occlusion": netspec.see.occlusion,
    "see invariance": netspec.see.invariance,
    "see confusion": netspec.see.confusion,
    "see projection": netspec.see.projection,
    "see top9": netspec.see.top9,
    "see evolution": netspec.see.evolution,
}
NAMES = {
    "is_measured": "measured",
    "measure": "measured",
    "target": "device",
    "batches": "batch",
    "deterministic": "is_deterministic",
}
"""The names of arguments that are not those of options."""

COMPUTED = {("pack", "workers"), ("train", "columns"), ("run", "settings"), ("trace", "dtype")}
"""Defaults that differ: all cores for a command, 1 for a function; and other forms of one value."""


@pytest.mark.parametrize("command", FUNCTIONS)
def test_a_function_has_the_defaults_of_its_command(command: str) -> None:
    parameters = inspect.signature(FUNCTIONS[command]).parameters
    compared = 0
    for option in dict(subcommands(main))[command].params:
        name = NAMES.get(option.name or "", option.name or "")
        if name not in parameters or name == "settings" or (command, name) in COMPUTED:
            continue
        default = parameters[name].default
        if default is inspect.Parameter.empty:
            continue
        with click.Context(dict(subcommands(main))[command]) as context:
            assert _plain(option.get_default(context)) == _plain(default), name
        compared += 1
    assert compared >= 2


def _plain(value: Any) -> Any:
    """A default of a command or of a function: as the command line writes numbers."""
    value = None if type(value).__name__ == "Sentinel" else value
    return str(value) if isinstance(value, int | float | str) and value != "" else value or None
