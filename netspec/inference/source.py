"""The origin of a net that is not compiled yet: a spec, perhaps with weights, or a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from netspec import trained
from netspec.artifact.reading import is_artifact
from netspec.errors import ArgumentError, DataError, OptionError, require_type, warn_user
from netspec.ir.arguments import place
from netspec.ir.expects import Expects, step_text
from netspec.ir.recipe import Order, Subtract
from netspec.language.definitions import Setting
from netspec.language.diagnostics import SpecWarning
from netspec.language.expects import classes_of, prepare_of, require_size
from netspec.language.read import read
from netspec.net import NET, Net, from_source, refuse_settings, require_net

if TYPE_CHECKING:
    from netspec.runtime.compiled import Compiled
    from netspec.training.run import Run


@dataclass(frozen=True)
class Source:
    """A net that is not compiled yet.

    Attributes:
        net: the net.
        weights: a file with its parameters; None for random ones.
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
            before = model.expects
            _load(model, self.weights)
            if model.expects is not before:
                return f"the weights {self.name or self.weights}"
        return "the spec"


def _load(model: Compiled, path: Path) -> None:
    """Give a compiled net the weights in a file, of netspec or of another framework."""
    from netspec.pretrained.foreign import is_foreign

    if not is_foreign(path):
        from netspec.runtime.weights import load_weights

        load_weights(model, path)
        return
    from netspec.pretrained.convert import for_net

    converted = for_net(model.net, path)
    model.load_state_dict({**model.state_dict(), **converted.tensors})
    model.expects = converted.expects


def open_source(
    spec: str | Path | Net,
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    *,
    is_prepared: bool = False,
) -> Source:
    """Return the net of a spec or of a run directory.

    Args:
        spec: the path of a spec or a run, the name of a bundled spec, or a net.
        weights: for a spec: a file of weights, or the name of weights that come with it.
        settings: values of a spec's parameters.
        is_prepared: the caller says how images are prepared, so that no warning is due if the
            recipe does not.

    Raises:
        TypeError: an argument has another type.
        SpecError: the spec has mistakes.
        OptionError: an option does not apply to this form of a net.
        DataError: the run cannot be read, or the path is not that of a net.
    """
    require_net(spec, "net")
    if weights is not None:
        place("weights", weights, "the path of a file of weights, or the name of weights")
    if isinstance(spec, Net):
        refuse_settings(settings)
        return _with_weights(spec, weights)
    place("net", spec, NET)
    if is_a_run(spec):
        from netspec.training.run import Run

        refuse("does not apply to a run, which has its own", settings=settings, weights=weights)
        run = Run.open(Path(spec))
        return Source(run.net, run=run)
    if is_artifact(spec):
        raise DataError(f"{spec} is an artifact, which is compiled: give its spec or its run")
    if Path(spec).is_dir():
        raise DataError(f"{spec} is not a run directory: it does not contain run.json")
    net = from_source(read(spec), settings or {})
    if told := [d for d in net.warnings if d.code != "NS504" or not is_prepared]:
        warn_user(SpecWarning(told))
    return _with_weights(net, weights)


def _with_weights(net: Net, weights: str | Path | None) -> Source:
    """Return a net with its weights: a file that exists, or else weights that come with the net."""
    if weights is None:
        return Source(net)
    if is_a_run(weights):
        raise DataError(
            f"{weights} is a run: use it in place of the spec, or use its weights.safetensors"
        )
    if Path(weights).exists():
        return Source(net, Path(weights))
    name, spec = str(weights), trained.spec_of(net)
    names = trained.names(spec) if spec else []
    if name in names:
        return Source(net, trained.trained(spec, name).weights, name=name)
    known = f"{spec} comes with {', '.join(names)}" if names else f"none come with {net.name}"
    raise DataError(f"there are no weights {name}: {known}; or give a file of weights")


def expects_of(
    prepare: str | None = None,
    classes: str | Path | Sequence[str] | None = None,
) -> Expects | None:
    """Return what a caller says of images and classes; None if that is nothing.

    Args:
        prepare: steps, as a spec has them after ``prepare``: ``"shorter 256 | center 224"``.
        classes: a list of names that comes with netspec, a text file with one name per line, or
            the names.

    Raises:
        TypeError: an argument has another type.
        ValueError: there are no names, or no steps.
        SpecError: the steps have mistakes.
        DataError: the file of names cannot be read.
    """
    if prepare is None and classes is None:
        return None
    steps = None
    if prepare is not None:
        example = '"shorter 256 | center 224 | range low=0, high=1"'
        require_type("prepare", prepare, str, f"steps, such as {example}")
        if not prepare.strip():
            raise ArgumentError(f"prepare must be steps, such as {example}, not an empty string")
        steps = prepare_of(prepare)
    return Expects(steps, classes=() if classes is None else _names(classes))


def _names(classes: str | Path | Sequence[str]) -> tuple[str, ...]:
    expected = "the name of a list, the path of a text file, or a sequence of names"
    require_type("classes", classes, (str, Path, list, tuple), expected)
    if isinstance(classes, str | Path):
        return classes_of(place("classes", classes, expected))
    if not classes:
        raise ArgumentError(f"classes must be {expected}, not an empty sequence")
    for number, name in enumerate(classes):
        require_type("each of classes", name, str, "a name")
        if not name.strip():
            raise ArgumentError(f"classes[{number}] is an empty name: give each output a name")
        if name in classes[:number]:
            raise ArgumentError(f"classes has {name!r} twice: give each output a name of its own")
    return tuple(classes)


def is_a_run(path: str | Path) -> bool:
    """Return True if a path is a run directory.  Training is imported only for a run."""
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
    """Raise OptionError for options that do not apply to a form of a net."""
    given = {"settings": settings, "weights": weights, "expect": expect, "device": device}
    for option, value in given.items():
        if value:
            raise OptionError(option, why)


def said(net: Net, known: Expects, by_caller: Expects) -> Expects:
    """Return what a net expects, with what the caller says in place of what is known.

    Raises:
        DataError: there are more names of classes than outputs, or the last size that images are
            given is not that of the net's input.
    """
    names, outputs = len(by_caller.classes), net.graph.stage(net.graph.outputs[0]).known_shape
    if len(net.graph.outputs) == 1 and names > outputs.elements:
        raise DataError(
            f"there are {names:,} names of classes, and {net.name} has {outputs.elements:,} "
            "outputs: give one name per output"
        )
    if by_caller.prepare is not None:
        require_size(by_caller.prepare, net.input_shape, net.recipe)
        known = replace(known, prepare=by_caller.prepare, image=None)
    return replace(known, classes=by_caller.classes or known.classes)


def lack(net: Net, expects: Expects, origin: str) -> str:
    """Return why images cannot be prepared for a trained net, and the way out.

    The text is empty if no step of ``prepare`` needs statistics of a training set that are missing.
    """
    if not expects.missing:
        return ""
    missing = expects.missing[0]
    problem = (
        f"`{step_text(missing)}` needs the training set of {net.name}, and {origin} does not have "
        "its statistics: use the run itself, or weights or an artifact that were saved from it"
    )
    if missing.over == "image":
        return (
            f"{problem}; a mean image cannot be written as steps: where only the mean of each "
            f'channel is known, --prepare "{_with_numbers(net, expects, missing)}" comes close'
        )
    return f'{problem}; or give the numbers: --prepare "{_with_numbers(net, expects, missing)}"'


def _with_numbers(net: Net, expects: Expects, missing: Subtract) -> str:
    """Return the steps with the means of channels in place of those that are missing."""
    numbers = "subtract R G B" if net.input_shape.channels == 3 else "subtract GREY"
    steps = expects.prepare or ()
    orders = [one.channels for one in steps[: steps.index(missing)] if isinstance(one, Order)]
    if orders and orders[-1] == "bgr":  # numbers after it are in that order
        numbers = "subtract B G R"
    return str(replace(expects, views="center")).replace(step_text(missing), numbers)
