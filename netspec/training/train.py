"""Train a net by its recipe, or continue a run: the calls of ``netspec train``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from netspec.errors import DataError, require_type
from netspec.files.members import Malformed
from netspec.ir.arguments import choice, place
from netspec.ir.guess import did_you_mean
from netspec.language.definitions import Setting
from netspec.net import Net, net_of
from netspec.runtime.dtypes import dtype_name
from netspec.training import loop
from netspec.training.initial import PRESETS
from netspec.training.loop import Result
from netspec.training.progress import Report
from netspec.training.settings import DTYPES, SETTINGS, Settings


def train(
    spec: Net | str | Path,
    data: str,
    to: str | Path,
    *,
    settings: Mapping[str, Setting] | None = None,
    report: Report | None = None,
    **options: Any,
) -> Result:
    """Train a net by the recipe in its spec, and keep the run in a directory.

    Args:
        spec: a net with a recipe, the path of its spec, or the name of a bundled spec.
        data: a data set, such as ``"digits"`` or ``"mnist:DIR"``.
        to: the directory of the run, which is made.
        settings: values of the parameters of a spec.
        report: receives the progress; by default there is none.
        options: other attributes of :class:`netspec.training.settings.Settings` by name, such as
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
    require_type("data", data, str, "a data set, such as digits or mnist:DIR")
    directory = place("to", to, "the path of a directory")
    _require_report(report)
    known = {f.name for f in fields(Settings)} - {"spec", "data", "parameters"}
    for name in options:
        if name not in known:
            guess = did_you_mean(name, known) or f"the options are {', '.join(sorted(known))}"
            raise TypeError(f"train has no option {name!r}: {guess}")
    net = net_of(spec, settings)
    if options.get("init") is not None:
        choice("init", options["init"], ("paper", *PRESETS))
    if options.get("columns") is True:
        options["columns"] = _columns(net)
    if "dtype" in options:
        options["dtype"] = dtype_name(options["dtype"], DTYPES)
    if isinstance(options.get("init_from"), os.PathLike):
        options["init_from"] = os.fspath(options["init_from"])
    name = net.source.name if isinstance(spec, Net) else str(spec)
    asked = Settings(spec=name, data=data, **options)
    try:
        SETTINGS.take(asked.as_json(), "")
    except Malformed as error:
        raise ValueError(f"an option is not valid: {error}") from None
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
    _require_report(report)
    return loop.resume(directory, data=data, report=report)


def _require_report(report: object) -> None:
    if report is not None:
        require_type("report", report, Report, "a netspec.training.progress.Report")


def _columns(net: Net) -> int:
    """Return the number of columns of a net; raise DataError if it does not have any."""
    if net.graph.columns is None:
        raise DataError(f"{net.name} has no columns: write `columns 2` into its spec to spread it")
    return net.graph.columns.number
