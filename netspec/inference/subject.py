"""A net that is used: from a spec, a run or an artifact, with weights and what it expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netspec.artifact.reading import is_artifact
from netspec.errors import DataError, OptionError, require_type
from netspec.inference.source import Source, lack, open_source, refuse, said
from netspec.ir.arguments import place
from netspec.ir.expects import Expects, step_text
from netspec.language.definitions import Setting
from netspec.net import NET, Net

if TYPE_CHECKING:
    from netspec.runtime.compiled import Compiled

    Given = Compiled | Net | str | Path
    """A net as it is given."""


@dataclass(frozen=True)
class Subject:
    """A net to be used.

    Attributes:
        model: Compiled net, in evaluation mode.
        expects: What it expects of images, and the names of its classes.
        origin: Where that comes from: ``the run DIR``, ``the weights FILE``, ``the spec``.
        data: Data set that it was trained on; None if that is not known.
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
                "the net does not say how it expects them; --prepare does"
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
    model: Given,
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
        weights: a file of weights, or the name of weights that come with a bundled spec.
        settings: values of a spec's parameters.
        expect: the root digest of an artifact.
        expects: what the caller says of images and classes, in place of what the net says.
        device: for a spec or a run: ``cpu`` or ``cuda``; a run's own unless given.

    Raises:
        TypeError: an argument has another type.
        SpecError: the spec has mistakes.
        DataError: something cannot be read; an option does not apply to this form of a net; or
            steps of ``prepare`` need statistics of a training set that are missing.
    """
    return _complete(
        known_subject(
            model,
            weights=weights,
            settings=settings,
            expect=expect,
            expects=expects,
            device=device,
        )
    )


def known_subject(
    model: Given,
    *,
    weights: str | Path | None = None,
    settings: Mapping[str, Setting] | None = None,
    expect: str | None = None,
    expects: Expects | None = None,
    device: str | None = None,
) -> Subject:
    """Return a net, as :func:`open_subject` does, also where statistics are missing."""
    is_prepared = expects is not None and expects.prepare is not None
    subject = _opened(model, weights, settings, expect, device, is_prepared=is_prepared)
    if expects is not None:
        origin = subject.origin if expects.prepare is None else "--prepare"
        subject = replace(
            subject, expects=said(subject.model.net, subject.expects, expects), origin=origin
        )
    return subject


def _opened(
    model: Given,
    weights: str | Path | None,
    settings: Mapping[str, Setting] | None,
    expect: str | None,
    device: str | None,
    *,
    is_prepared: bool,
) -> Subject:
    """Return a net as it comes, with what is known of it."""
    if expect is not None:
        require_type("expect", expect, str, "the root digest of an artifact")
    if isinstance(model, str | Path) and is_artifact(place("net", model, NET)):
        why = "is for a spec: an artifact is compiled already"
        refuse(why, settings=settings, weights=weights, device=device)
        return _of_artifact(model, expect)
    if isinstance(model, str | Path | Net):
        if expect is not None:
            name = model.name if isinstance(model, Net) else model
            raise OptionError("expect", f"is for an artifact, and {name} is not an artifact")
        source = open_source(model, weights, settings, is_prepared=is_prepared)
        return of_source(source, device)
    from netspec.runtime.compiled import Compiled as CompiledNet

    require_type("net", model, CompiledNet, f"{NET}, or what netspec.compile returns")
    refuse("is for a spec or an artifact by its path", settings=settings, expect=expect)
    refuse("is for a spec: this model is compiled", weights=weights, device=device)
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
    """Return a net if all that it expects is known.

    Raises:
        DataError: a step needs statistics of a training set that are missing.
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
    """Raise DataError unless a net takes one image and returns one number per class."""
    graph = net.graph
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise DataError(
            f"{net.name} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs: "
            "to classify, a net must have one of each; call the model in Python"
        )
    shape = graph.stage(graph.outputs[0]).known_shape
    if shape.elements != shape.channels:
        raise DataError(f"{net.name} returns a map of {shape}, not classes: call the model itself")


def by_path(nets: Given | Sequence[Given]) -> dict[Path, Given]:
    """Return nets by their paths, or by the names of nets that were not given by a path.

    Raises:
        TypeError: one is not a net.
        ValueError: there are none.
        DataError: one is given twice.
    """
    from netspec.runtime.compiled import Compiled

    given: list[Any] = list(nets) if isinstance(nets, list | tuple) else [nets]
    if not given:
        raise ValueError("nets must be one net or several, not an empty sequence")
    found: dict[Path, Given] = {}
    for net in given:
        expected = f"{NET}, or what netspec.compile returns"
        require_type("each of nets", net, (str, Path, Net, Compiled), expected)
        if isinstance(net, str | Path):
            path = place("each of nets", net, expected)
        else:
            path = Path(net.name if isinstance(net, Net) else net.net.name)
        if path in found and (net is found[path] or isinstance(net, str | Path)):
            raise DataError(f"{path} is given twice: its outputs would be averaged with themselves")
        name, number = path, 2
        while path in found:  # other nets of the same name
            path, number = Path(f"{name} ({number})"), number + 1
        found[path] = net
    return found
