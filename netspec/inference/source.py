"""Where a net comes from that is not compiled yet: a spec, perhaps with weights, or a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from netspec import trained
from netspec.artifact.reading import is_artifact
from netspec.errors import DataError, OptionError
from netspec.ir.expects import Expects, step_text
from netspec.ir.recipe import Order
from netspec.language.definitions import Setting
from netspec.language.read import bundled
from netspec.net import Net, load

if TYPE_CHECKING:
    from netspec.runtime.compiled import Compiled
    from netspec.training.run import Run


@dataclass(frozen=True)
class Source:
    """A net that is not compiled yet.

    Attributes:
        net: the net.
        weights: a safetensors file with its parameters; None for random ones.
        run: the run that it learned in, which has the parameters.
        name: of weights that come with a bundled spec, such as ``digits``.
    """

    net: Net
    weights: Path | None = None
    run: Run | None = None
    name: str = ""

    @property
    def place(self) -> Path | None:
        """The file or folder that its parameters are read from."""
        return self.weights if self.run is None else self.run.directory

    @property
    def dtype(self) -> str:
        """The type that it learned in; float32 for a spec."""
        return "float32" if self.run is None else self.run.settings.dtype

    def fill(self, model: Compiled) -> str:
        """Give the compiled net its parameters, and what it expects; return what says the latter.

        Raises:
            DataError: they cannot be read, or are not this net's.
        """
        if self.run is not None:
            model.load_state_dict(self.run.weights())
            model.expects = self.run.expects
            return f"the run {self.run.directory}"
        if self.weights is not None:
            from netspec.runtime.weights import load_weights

            before = model.expects
            load_weights(model, self.weights)
            if model.expects is not before:
                return f"the weights {self.name or self.weights}"
        return "the spec"


def open_source(
    spec: str | Path,
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
) -> Source:
    """Return the net of a spec or of a run directory.

    Args:
        spec: the path of a spec or a run, or the name of a bundled spec.
        weights: for a spec: a safetensors file, or the name of weights that come with it.
        settings: values of a spec's parameters.

    Raises:
        SpecError: the spec has mistakes.
        OptionError: an option is for another form.
        DataError: the run cannot be read.
    """
    if is_a_run(spec):
        from netspec.training.run import Run

        refuse("is not for a run, which has all of its own", settings=settings, weights=weights)
        run = Run.open(Path(spec))
        return Source(run.net, run=run)
    if is_artifact(spec):
        raise OptionError(f"{spec} is an artifact, which is compiled: give its spec or its run")
    if Path(spec).is_dir():
        raise DataError(f"{spec} is no run directory: there is no run.json in it")
    net = load(spec, **(settings or {}))
    if weights is None:
        return Source(net)
    if Path(weights).exists():
        return Source(net, Path(weights))
    names, name = trained.names(str(spec)) if str(spec) in bundled() else [], str(weights)
    if name not in names:
        with_it = f"{spec} comes with {', '.join(names)}" if names else f"none come with {spec}"
        raise DataError(f"there are no weights {weights}: {with_it}; or give a safetensors file")
    return Source(net, trained.trained(str(spec), name).weights, name=name)


def is_a_run(path: str | Path) -> bool:
    """Return whether a path is that of a run directory; training is imported for one only."""
    if not (Path(path) / "run.json").exists():
        return False
    from netspec.training.directory import is_run

    return is_run(Path(path))


def refuse(
    why: str,
    *,
    settings: Mapping[str, Setting] | None = None,
    weights: str | Path | None = None,
    expect: str | None = None,
    device: str | None = None,
) -> None:
    """Raise OptionError for options that are for another form of a net."""
    given = {"--set": settings, "--weights": weights, "--expect": expect, "--device": device}
    for option, value in given.items():
        if value:
            raise OptionError(f"{option} {why}")


def said(net: Net, known: Expects, by_caller: Expects) -> Expects:
    """Return what a net expects, with what the caller says in place of what is known.

    Raises:
        DataError: there are more names of classes than outputs.
    """
    names, outputs = len(by_caller.classes), net.graph.stage(net.graph.outputs[0]).known_shape
    if len(net.graph.outputs) == 1 and names > outputs.elements:
        raise DataError(
            f"there are {names:,} names of classes, and {net.name} has {outputs.elements:,} "
            "outputs: give one name per output"
        )
    if by_caller.prepare is not None:
        known = replace(known, prepare=by_caller.prepare, image=None)
    return replace(known, classes=by_caller.classes or known.classes)


def lack(net: Net, expects: Expects, origin: str) -> str:
    """Return why images cannot be prepared for a trained net, and the way out.

    The text is empty if ``prepare`` needs no statistics of a training set that is not there.
    """
    if not expects.missing:
        return ""
    step = step_text(expects.missing[0])
    numbers = "subtract R G B" if net.input_shape.channels == 3 else "subtract GREY"
    before = (expects.prepare or ())[: (expects.prepare or ()).index(expects.missing[0])]
    orders = [one.channels for one in before if isinstance(one, Order)]
    if orders and orders[-1] == "bgr":  # numbers after it are in that order
        numbers = "subtract B G R"
    steps = str(replace(expects, views="center")).replace(step, numbers)
    return (
        f"`{step}` needs the training set of {net.name}, and {origin} does not say what it was: "
        "use the run itself, or weights or an artifact that were saved from it; or say the "
        f'numbers: --prepare "{steps}"'
    )
