"""The subject of a report: a run, or a net that is not trained."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from netspec.artifact.reading import is_artifact
from netspec.errors import DataError, OptionError, require_type
from netspec.inference.source import is_a_run, refuse
from netspec.ir.arguments import place
from netspec.language.definitions import Setting
from netspec.net import Net, net_of
from netspec.reporting.measuring import Measured, measure

if TYPE_CHECKING:
    from netspec.see.subject import Seen
    from netspec.training.run import Run

Given = str | Path | Net
"""A subject as it is given: the path of a run or a spec, the name of a bundled spec, or a net."""

EXPECTED = "the path of a run or a spec, the name of a bundled spec, or a Net"


@dataclass(frozen=True)
class Subject:
    """The subject of a report.

    Attributes:
        net: The net.
        run: The run that the net was trained in; None for a spec.
        other_data: Data set that is used instead of that of the run.
        is_measured: True to time the layers on this machine.
    """

    net: Net
    run: Run | None = None
    other_data: str | None = None
    is_measured: bool = False

    @property
    def name(self) -> str:
        """Name of the run directory, or name of the net."""
        return self.net.name if self.run is None else self.run.directory.absolute().name

    @property
    def trained(self) -> Run:
        """The run.

        Raises:
            DataError: The subject is a spec.
        """
        if self.run is None:
            raise DataError("a spec is not trained: give a run, which netspec train makes")
        return self.run

    @property
    def path(self) -> Path:
        """Path of the run directory, which pictures are made of.

        Raises:
            DataError: The subject is a spec.
        """
        return self.trained.directory

    @cached_property
    def seen(self) -> Seen:
        """The trained net, of which pictures are made.

        Raises:
            DataError: The subject is a spec; or weights cannot be read, or are NaN or infinite.
        """
        path = self.path  # first: a report of a spec does not import PyTorch
        from netspec.see.subject import open_seen

        return open_seen(path)

    @cached_property
    def measured(self) -> Measured | None:
        """The kernels and times of the layers; None unless they are measured.

        Raises:
            SpecError: The net has symbols.
        """
        return measure(self.net) if self.is_measured else None

    def without_folders(self, text: str) -> str:
        """Return a text without the folders of this machine, which a report does not show."""
        parents = [Path.cwd() / "_", Path.home() / "_", Path(self.net.source.name)]
        if self.run is not None:
            settings = self.run.settings
            directory = self.run.directory
            parents += [directory, directory.absolute(), directory.resolve(), Path(settings.spec)]
            parents += [
                Path(data.partition(":")[2]) for data in (settings.data, self.other_data) if data
            ]
        folders = {f"{path.parent}{os.sep}" for path in parents if path.parent.name}
        for folder in sorted(folders, key=len, reverse=True):
            text = re.sub(rf"(?<![\w./~-]){re.escape(folder)}", "", text)
        return re.sub(r"(?<![\w.~/])/(?:[^\s/:,;]+/)+", "", text)


def open_subject(
    subject: Given,
    data: str | None = None,
    settings: Mapping[str, Setting] | None = None,
    *,
    is_measured: bool = False,
) -> Subject:
    """Return the subject of a report.

    Args:
        subject: Path of a run or a spec, name of a bundled spec, or net.
        data: A data set that is used instead of that of the run.
        settings: Values of the parameters of a spec.
        is_measured: True to time the layers on this machine.

    Raises:
        TypeError, ValueError: An argument has another type or value.
        SpecError: The spec has mistakes.
        DataError: The path is not that of a run or a spec, or the run cannot be read.
    """
    require_type("subject", subject, (str, Path, Net), EXPECTED)
    if data is not None:
        require_type("data", data, str, "a data set, such as digits or images:DIR")
    if isinstance(subject, Net):
        _require_run(data, subject.name)
        return Subject(net_of(subject, settings), is_measured=is_measured)
    path = place("subject", subject, EXPECTED)
    if is_a_run(path):
        from netspec.training.run import Run

        refuse("does not apply to a run, which has its own", settings=settings)
        run = Run.open(path)
        return Subject(run.net, run, data, is_measured)
    if is_artifact(path):
        raise DataError(
            f"{path} is an artifact, and a report is made of a run or a spec: give the run, or the "
            "spec that the artifact was compiled from"
        )
    if path.is_dir():
        raise DataError(
            f"{path} is not a run directory: it does not contain run.json; netspec train -o RUN "
            "makes a run"
        )
    _require_run(data, str(subject))
    return Subject(net_of(subject, settings), is_measured=is_measured)


def _require_run(data: str | None, name: str) -> None:
    if data is not None:
        raise OptionError("data", f"is for a run, and {name} is a spec, which is not trained")
