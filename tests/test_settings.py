"""Every public function of a spec takes the parameters of the spec as ``settings={...}``."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import netspec

TEXT = "net mine(n=10)\ninput image 8x8x1\na: fc n | relu\nb: fc 10 | softmax\n"
LEARNS = """train {
    prepare range low=0, high=1
    loss cross_entropy
    init glorot
    optimizer sgd lr=0.1
    batch 64
    epochs 1
}
"""
IDLE = "net idle(n=10)\ninput image 8x8x3\na: fc n | relu | relu\n"
DIGIT = Path(__file__).parents[1] / "docs" / "images" / "digit.png"

Call = Callable[..., Any]
CALLS: dict[str, tuple[Call, Call]] = {
    "bench": (lambda net, **s: netspec.bench_layers(net, rounds=1, **s), lambda b: None),
    "check": (netspec.check, lambda check: check.net),
    "classify": (lambda net, **s: netspec.classify(net, DIGIT, **s), lambda r: r.subject.model.net),
    "compile": (netspec.compile, lambda model: model.net),
    "convert_weights": (
        lambda net, **s: netspec.convert_weights(net, "a.pth", **s),
        lambda r: r.net,
    ),
    "document": (netspec.document, lambda documents: documents.net),
    "draw": (netspec.draw, lambda drawing: drawing.net),
    "reference": (netspec.reference, lambda model: model.net),
    "report": (
        lambda net, **s: netspec.report(net, sections=["table"], **s),
        lambda made: netspec.load("mine", n=7 if ">7<" in made.html else 10),
    ),
    "save": (lambda net, **s: netspec.save(net, "it", **s), lambda s: netspec.load("it/spec.net")),
    "trace": (lambda net, **s: netspec.trace(net, "a", rounds=1, **s), lambda trace: trace.net),
    "train": (
        lambda net, **s: netspec.train(net, "digits:8", "run", **s),
        lambda result: netspec.load(result.run),
    ),
}
"""A call for each function, and the net that it used."""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a spec in the current folder, which has a parameter."""
    monkeypatch.chdir(tmp_path)
    Path("mine.net").write_text(TEXT + LEARNS, encoding="utf-8")
    return "mine.net"


@pytest.mark.parametrize("name", sorted({*CALLS} - {"bench", "convert_weights", "save"}))
def test_settings_set_the_parameters_of_a_spec(name: str, spec: str) -> None:
    call, net_of = CALLS[name]
    assert net_of(call(spec, settings={"n": 7}))["a"].output.elements == 7


@pytest.mark.parametrize("name", CALLS)
def test_settings_of_a_net_are_refused(name: str, spec: str) -> None:
    with pytest.raises(TypeError, match="a Net has its settings already: load its spec again"):
        CALLS[name][0](netspec.load(spec), settings={"n": 7})
    assert [path.name for path in Path().iterdir()] == [spec]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("settings", ["n=7", ["n"], {3: 7}, {"n": b"7"}])
def test_settings_of_a_wrong_type_are_a_type_error(name: str, settings: Any, spec: str) -> None:
    with pytest.raises(TypeError, match="must be"):
        CALLS[name][0](spec, settings=settings)
    assert [path.name for path in Path().iterdir()] == [spec]


def test_every_function_that_loads_a_spec_takes_settings() -> None:
    """But ``diff``, which has two specs, ``fmt``, and ``load``, which takes keywords."""
    functions = {name: getattr(netspec, name) for name in netspec.__all__ if name.islower()}
    del functions["see"]  # a package, whose functions have tests of their own
    signatures = {name: inspect.signature(function) for name, function in functions.items()}
    first = {name: next(iter(signature.parameters), "") for name, signature in signatures.items()}
    loading = {name for name, argument in first.items() if argument in ("spec", "net", "nets")}
    loading |= {"classify", "report", "save"}
    loading -= {"load", "fmt", "families"}
    assert loading == {*CALLS, "bench_layers", "evaluate"}
    for name in loading:
        assert signatures[name].parameters["settings"].kind == inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize(
    "name", sorted({*CALLS} - {"check", "convert_weights", "document", "train"})
)
def test_a_warning_of_a_spec_is_at_the_line_of_the_caller(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("idle.net").write_text(IDLE, encoding="utf-8")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CALLS[name][0]("idle.net", settings={"n": 5})
    of_spec = [w.filename for w in caught if isinstance(w.message, netspec.SpecWarning)]
    assert of_spec[:1] == [__file__]


def test_train_takes_a_type_of_pytorch(spec: str) -> None:
    netspec.train(spec, "digits:8", "run", dtype=torch.float64)
    assert netspec.compile("run").lowered.dtype == torch.float64
