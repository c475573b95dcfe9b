"""What is used: the net of a spec, a run or an artifact, with weights and what it expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from netspec.artifact.reading import is_artifact
from netspec.errors import DataError, OptionError
from netspec.inference.source import Source, lack, open_source, refuse, said
from netspec.ir.expects import Expects, step_text
from netspec.language.definitions import Setting
from netspec.net import Net

if TYPE_CHECKING:
    from netspec.runtime.compiled import Compiled


@dataclass(frozen=True)
class Subject:
    """A net to be used.

    Attributes:
        model: compiled, in evaluation mode.
        expects: what it expects of images, and the names of its classes.
        origin: where that is from: ``the run DIR``, ``the weights FILE``, ``the spec``.
        data: the data set that it learned from; None if that is not known.
    """

    model: Compiled
    expects: Expects
    origin: str
    data: str | None = None

    def shown(self, views: str) -> Subject:
        """Return the net with other views averaged: ``center`` or ``tencrop``."""
        return replace(self, expects=replace(self.expects, views=views))

    @property
    def done(self) -> str:
        """What is done to an image: steps, and views of it."""
        expects, shape = self.expects, self.model.net.input_shape
        size = f"{shape[0]}x{shape[1]}"
        if expects.prepare is None:
            return (
                f"resized to cover {size}, cut at the centre, values from 0 to 1; "
                "nobody said how this net expects them (--prepare does)"
            )
        steps = " | ".join(map(step_text, expects.prepare)) or "nothing is done, values 0 to 255"
        views = (
            f"ten crops of {size}, their outputs averaged"
            if expects.views == "tencrop"
            else f"the centre, {size}"
        )
        return f"{steps}; {views}"

    def as_line(self) -> str:
        """Return what is done to an image, and what says it, in a line."""
        return f"images: {self.done}" + (
            f"; from {self.origin}" if self.expects.prepare is not None else ""
        )


def open_subject(
    model: Compiled | Net | str | Path,
    *,
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    expect: str | None = None,
    expects: Expects | None = None,
    device: str | None = None,
) -> Subject:
    """Return a net to be used, whatever form it comes in.

    Args:
        model: a compiled net, a net, the path of a spec, run or artifact, or the
            name of a bundled spec.
        weights: a safetensors file, or the name of weights that come with a bundled spec.
        settings: values of a spec's parameters.
        expect: the root digest of an artifact.
        expects: what the caller says of images and classes; what it leaves out is as it travels.
        device: for a spec or a run: ``cpu`` or ``cuda``; a run's own unless given.

    Raises:
        SpecError: the spec has mistakes.
        DataError: something cannot be read; an option is for another form; or steps of ``prepare``
            need the statistics of a training set that is not there.
    """
    subject = _opened(model, weights, settings, expect, device)
    if expects is not None:
        origin = subject.origin if expects.prepare is None else "--prepare"
        subject = replace(
            subject, expects=said(subject.model.net, subject.expects, expects), origin=origin
        )
    return _complete(subject)


def _opened(
    model: Compiled | Net | str | Path,
    weights: str | Path | None,
    settings: Mapping[str, Setting] | None,
    expect: str | None,
    device: str | None,
) -> Subject:
    """Return a net as it comes, with what is known of it."""
    if isinstance(model, str | Path):
        if is_artifact(model):
            why = "is for a spec: an artifact is compiled already"
            refuse(why, settings=settings, weights=weights, device=device)
            return _of_artifact(model, expect)
        if expect is not None:
            raise OptionError(f"--expect is for an artifact, and {model} is none")
        return of_source(open_source(model, weights, settings), device)
    refuse("is for a spec by its path", settings=settings, expect=expect)
    if isinstance(model, Net):
        return of_source(Source(model, None if weights is None else Path(weights)), device)
    refuse("is for a spec: this model is compiled", weights=weights, device=device)
    from netspec.runtime.compiled import Compiled as CompiledNet

    if not isinstance(model, CompiledNet):
        raise TypeError(
            "a net to classify with is a path, a net, or what netspec.compile returns, and this is "
            f"of class {type(model).__name__}"
        )
    return Subject(model, model.expects, "the model")


def of_source(source: Source, device: str | None = None) -> Subject:
    """Return the net of a spec or a run, compiled, with its weights."""
    if source.run is not None:
        run, model = source.run, source.run.trained(device)
        return Subject(model, model.expects, f"the run {run.directory}", run.settings.data)
    from netspec.compiler import compile as compile_net

    model = compile_net(source.net, device=device or "cpu")
    origin = source.fill(model)
    return Subject(model, model.expects, origin)


def _of_artifact(path: str | Path, expect: str | None) -> Subject:
    from netspec.artifact.loading import load_artifact

    model = load_artifact(path, expect=expect)
    return Subject(model, model.expects, f"the artifact {path}")


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
        origin = f"{subject.origin}, without {left_out}"
        return replace(subject, expects=expects, origin=origin)
    if problem := lack(subject.model.net, subject.expects, subject.origin):
        raise DataError(problem)
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
