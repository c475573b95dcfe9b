"""Train a net by its recipe, or continue a run: the calls of ``netspec train``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from netspec.errors import DataError, require_type
from netspec.files.members import Malformed
from netspec.ir.arguments import choice, place
from netspec.ir.guess import did_you_mean
from netspec.language.definitions import Setting
from netspec.net import Net, load
from netspec.training import loop
from netspec.training.initial import PRESETS
from netspec.training.loop import Result
from netspec.training.progress import Report
from netspec.training.settings import SETTINGS, Settings


def train(
    spec: Net | str | Path,
    data: str,
    to: str | Path,
    *,
    report: Report | None = None,
    **settings: Any,
) -> Result:
    """Train a net by the recipe in its spec, and keep the run in a directory.

    Args:
        spec: a net with a recipe, the path of its spec, or the name of a bundled spec.
        data: a data set, such as ``"digits"`` or ``"mnist:DIR"``.
        to: the directory of the run, which is made.
        report: receives the progress; by default there is none.
        settings: other attributes of :class:`netspec.training.settings.Settings` by name, such as
            ``seed=1``, ``epochs=3``, ``lr=0.01``, ``is_augmented=False``, ``dtype="float64"``;
            ``run.json`` has the same names.  ``columns=True`` spreads a net over as many processes
            as its spec says.

    Returns:
        Errors on the validation set, and the directory, which :func:`netspec.classify`,
        :func:`netspec.evaluate` and :func:`netspec.save` take as a net.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        SpecError: the spec has mistakes.
        DataError: something that the run needs is missing, or it diverges.
        netspec.training.stopping.Stopped: a signal ended the run, which is saved:
            :func:`resume` continues it.
    """
    expected = "a net, a path, or the name of a bundled spec"
    require_type("spec", spec, (Net, str, Path), expected)
    require_type("data", data, str, "a data set, such as digits or mnist:DIR")
    directory = place("to", to, "the path of a directory")
    known = {f.name for f in fields(Settings)} - {"spec", "data"}
    for name in settings:
        if name not in known:
            guess = did_you_mean(name, known) or f"the settings are {', '.join(sorted(known))}"
            raise TypeError(f"{name!r} is not a setting of a run: {guess}")
    net = spec if isinstance(spec, Net) else None
    if net is not None and settings.get("parameters"):
        raise ValueError(
            "parameters can be set only for a spec given as a path: a Net has its settings already"
        )
    if settings.get("init") is not None:
        choice("init", settings["init"], ("paper", *PRESETS))
    if settings.get("columns") is True:
        settings["columns"] = _columns(_loaded(spec, settings.get("parameters")))
    name = str(spec) if net is None else net.source.name
    asked = Settings(spec=name, data=data, **settings)
    try:
        SETTINGS.take(asked.as_json(), "")
    except Malformed as error:
        raise ValueError(f"a setting is not valid: {error}") from None
    return loop.train(asked, directory, report=report, net=net)


def resume(run: str | Path, *, data: str | None = None, report: Report | None = None) -> Result:
    """Continue a run as if it had never been interrupted; on a CPU bit for bit.

    Args:
        run: its directory.
        data: the same data in another place, which the run keeps.
        report: receives the progress; by default there is none.

    Raises:
        TypeError, ValueError: an argument has another type or value.
        DataError: the run cannot be read or continued, or the data is not that of the run.
        netspec.training.stopping.Stopped: a signal ended the run, which is saved.
    """
    directory = place("run", run, "the path of a run directory")
    if data is not None:
        require_type("data", data, str, "a data set, such as digits or mnist:DIR")
    return loop.resume(directory, data=data, report=report)


def _loaded(spec: Net | str | Path, parameters: Mapping[str, Setting] | None) -> Net:
    return spec if isinstance(spec, Net) else load(spec, **(parameters or {}))


def _columns(net: Net) -> int:
    """Return the number of columns of a net; raise DataError if it does not have any."""
    if net.graph.columns is None:
        raise DataError(f"{net.name} has no columns: write `columns 2` into its spec to spread it")
    return net.graph.columns.number
