"""What is used: the net of a spec, a run or an artifact, with weights and what it expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from netspec import trained
from netspec.errors import DataError
from netspec.ir.expects import Expects, step_text
from netspec.language.definitions import Setting
from netspec.language.read import bundled
from netspec.net import Net, load

if TYPE_CHECKING:
    from netspec.runtime.compiled import Compiled


class OptionError(DataError):
    """An option is for another form of a net than the one that it is given with."""


@dataclass(frozen=True)
class Subject:
    """A net to be used.

    Attributes:
        model: compiled, in evaluation mode.
        expects: what it expects of images, and the names of its classes.
        origin: where that is from: ``the run DIR``, ``the weights FILE``, ``the spec``.
    """

    model: Compiled
    expects: Expects
    origin: str

    def as_line(self) -> str:
        """Return what is done to an image, in a line."""
        expects, shape = self.expects, self.model.net.input_shape
        size = f"{shape[0]}x{shape[1]}"
        if expects.prepare is None:
            return (
                f"images: resized to cover {size}, cut at the centre, values from 0 to 1; "
                "nobody said how this net expects them (--prepare does)"
            )
        steps = " | ".join(map(step_text, expects.prepare)) or "nothing is done, values 0 to 255"
        views = (
            f"ten crops of {size}, their outputs averaged"
            if expects.views == "tencrop"
            else f"the centre, {size}"
        )
        return f"images: {steps}; {views}; from {self.origin}"


def open_subject(
    model: Compiled | Net | str | Path,
    *,
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    expect: str | None = None,
    expects: Expects | None = None,
) -> Subject:
    """Return a net to be used, whatever form it comes in.

    Args:
        model: a compiled net, a net, the path of a spec, run or artifact, or the
            name of a bundled spec.
        weights: a safetensors file, or the name of weights that come with a bundled spec.
        settings: values of a spec's parameters.
        expect: the root digest of an artifact.
        expects: what the caller says of images and classes; what it leaves out is as it travels.

    Raises:
        SpecError: the spec has mistakes.
        DataError: something cannot be read; an option is for another form; or steps of ``prepare``
            need the statistics of a training set that is not there.
    """
    subject = _opened(model, weights, settings or {}, expect)
    if expects is not None:
        subject = _said(subject, expects)
    return _complete(subject)


def _said(subject: Subject, expects: Expects) -> Subject:
    """Return a net that expects what the caller says, where the caller says anything."""
    known, origin = subject.expects, subject.origin
    if expects.prepare is not None:
        known, origin = replace(known, prepare=expects.prepare, image=None), "--prepare"
    return Subject(subject.model, replace(known, classes=expects.classes or known.classes), origin)


def _opened(
    model: Compiled | Net | str | Path,
    weights: str | Path | None,
    settings: Mapping[str, Setting],
    expect: str | None,
) -> Subject:
    """Return a net as it comes, with what is known of it."""
    if isinstance(model, str | Path):
        from netspec.artifact.reading import is_artifact

        if is_a_run(model):
            _refuse("is not for a run, which has all of its own", settings, weights, expect)
            return _of_run(Path(model))
        if is_artifact(model):
            _refuse("is for a spec: an artifact is compiled already", settings, weights, None)
            return _of_artifact(model, expect)
        if expect is not None:
            raise OptionError(f"--expect is for an artifact, and {model} is none")
        return _of_spec(str(model), settings, weights)
    _refuse("is for a spec by its path", settings, None, expect)
    if isinstance(model, Net):
        return _with_weights(model, weights)
    _refuse("is for a spec: this model has weights", {}, weights, None)
    return Subject(model, model.expects, "the model")


def _refuse(
    why: str, settings: Mapping[str, Setting], weights: str | Path | None, expect: str | None
) -> None:
    """Raise OptionError for options that are for another form of a net."""
    for option, value in (("--set", settings), ("--weights", weights), ("--expect", expect)):
        if value:
            raise OptionError(f"{option} {why}")


def is_a_run(path: str | Path) -> bool:
    """Return whether a path is that of a run directory; training is imported for one only."""
    if not (Path(path) / "run.json").exists():
        return False
    from netspec.training.directory import is_run

    return is_run(path)


def _of_run(directory: Path) -> Subject:
    from netspec.training.run import Run

    run = Run.open(directory)
    return Subject(run.trained(), run.expects, f"the run {directory}")


def _of_artifact(path: str | Path, expect: str | None) -> Subject:
    from netspec.artifact.loading import load_artifact

    model = load_artifact(path, expect=expect)
    return Subject(model, model.expects, f"the artifact {path}")


def _of_spec(spec: str, settings: Mapping[str, Setting], weights: str | Path | None) -> Subject:
    """Return the net of a spec, with weights from a file or those that come with it."""
    net, name = load(spec, **settings), str(weights)
    comes_with_it = spec in bundled() and name in trained.names(spec)
    if weights is not None and comes_with_it and not Path(weights).exists():
        return _with_weights(net, trained.trained(spec, name).weights, name)
    return _with_weights(net, weights)


def _with_weights(net: Net, weights: str | Path | None, name: str = "") -> Subject:
    """Return a net with weights from a file, which ``name`` may be another name of."""
    from netspec.compiler import compile as compile_net
    from netspec.runtime.weights import load_weights

    model = compile_net(net)
    if weights is None:
        return Subject(model, model.expects, "the spec")
    load_weights(model, weights)
    is_of_weights = model.expects is not net.expects
    origin = f"the weights {name or weights}" if is_of_weights else "the spec"
    return Subject(model, model.expects, origin)


def _complete(subject: Subject) -> Subject:
    """Return a net if it is known what it expects.

    Raises:
        DataError: a step needs the statistics of a training set that is not there.
    """
    missing = subject.expects.missing
    if missing and not subject.model.is_trained:  # random weights learned with no mean
        steps = tuple(s for s in subject.expects.prepare or () if s not in missing)
        left_out = " and ".join(f"`{step_text(step)}`" for step in missing)
        expects = replace(subject.expects, prepare=steps)
        return Subject(subject.model, expects, f"{subject.origin}, without {left_out}")
    if missing:
        step = step_text(missing[0])
        said = str(subject.expects).replace(step, "subtract R G B")
        raise DataError(
            f"`{step}` needs the training set of {subject.model.net.name}, and {subject.origin} "
            "does not say what it was: use the run itself, or weights or an artifact that were "
            f'saved from it; or say the numbers: --prepare "{said}"'
        )
    return subject


def require_a_classifier(net: Net) -> None:
    """Raise DataError unless a net takes one image and returns one number a class."""
    graph = net.graph
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise DataError(
            f"{net.name} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs: "
            "`run` is for one image in, one classification out; use the Python API"
        )
    shape = graph.stage(graph.outputs[0]).known_shape
    if shape.elements != shape.channels:
        raise DataError(f"{net.name} returns a map of {shape}, not classes; use the Python API")
