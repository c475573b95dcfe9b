"""A run or a net as one HTML page (``netspec report``)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from netspec.errors import ArgumentError, DataError, OptionError, require_type
from netspec.files.kinds import REPORT, require_place
from netspec.files.writing import write_named
from netspec.ir.guess import did_you_mean
from netspec.ir.words import counted
from netspec.language.definitions import Setting
from netspec.language.diagnostics import printable
from netspec.printing import Printed
from netspec.reporting.facts import names_of
from netspec.reporting.html import Html, element
from netspec.reporting.page import Block, page
from netspec.reporting.sections import SECTIONS, Section
from netspec.reporting.subject import Given, Subject, open_subject


class Omitted(NamedTuple):
    """A section that a report does not have.

    Attributes:
        section: Its name.
        subject: Name of the subject that does not have it.
        why: The reason.
    """

    section: str
    subject: str
    why: str


@dataclass(frozen=True, repr=False)
class Report(Printed):
    """A run or a net, or two of them, as one HTML page.

    Attributes:
        title: Heading of the page.
        html: The page.
        sections: Names of its sections, in order.
        omitted: The sections that were asked for and are omitted.
        bytes: Size of the page in bytes.
    """

    title: str
    html: str
    sections: tuple[str, ...]
    omitted: tuple[Omitted, ...]

    @property
    def bytes(self) -> int:
        return len(self.html.encode())

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the page to a file, whole or not at all.

        Args:
            path: ``FILE.html``.
            force: Replace a file of another kind.

        Raises:
            DataError: The file is of another kind, or it cannot be written.
        """
        require_type("path", path, (str, os.PathLike), "the path of a file")
        require_type("force", force, bool, "True or False")
        place = Path(path)
        require_place(place, REPORT, force=force)
        write_named(place, self.html.encode())

    def as_json(self) -> dict[str, Any]:
        """Return what ``netspec report --json`` prints, without the path of the file."""
        return {
            "title": self.title,
            "bytes": self.bytes,
            "sections": list(self.sections),
            "omitted": [one._asdict() for one in self.omitted],
        }

    def __str__(self) -> str:
        size = f"{self.bytes / 1e6:,.1f} MB" if self.bytes >= 1e5 else f"{self.bytes / 1e3:,.0f} kB"
        lines = [f"{self.title}: {counted(len(self.sections), 'section')}, {size}"]
        lines += map("omitted: {}".format, _reasons(self.omitted))
        return "\n".join(map(printable, lines))


def report(
    subject: Given,
    other: Given | None = None,
    *,
    sections: Sequence[str] | None = None,
    data: str | None = None,
    measure: bool = False,
    settings: Mapping[str, Setting] | None = None,
    advance: Callable[[str], None] = lambda section: None,
) -> Report:
    """Return a run or a net as one HTML page, as ``netspec report`` does.

    A section that does not apply, such as the evolution of a run without snapshots, is omitted, and
    the page shows the reason.

    Args:
        subject: Path of a run or a spec, name of a bundled spec, or net.
        other: A second one, which is compared with the first.
        sections: Names of the sections; by default all that apply.
        data: A data set that is used instead of that of a run, for example if it was moved.
        measure: Time the layers on this machine's CPU; the graph and the costs show the times.
        settings: Values of the parameters of a spec.
        advance: Called with the title of each section before it is made.

    Raises:
        TypeError, ValueError: An argument has another type or value.
        SpecError: A spec has mistakes.
        DataError: A subject is not a run or a spec, or a run cannot be read.

    Example:
        >>> netspec.report("run0").save("report.html")
    """
    require_type("measure", measure, bool, "True or False")
    chosen = chosen_sections(sections)
    if other is not None and settings:
        raise OptionError("settings", "is for one spec: load two nets with their own settings")
    subjects = [open_subject(subject, data, settings, is_measured=measure)]
    if other is not None:
        subjects.append(open_subject(other, data, is_measured=measure))
    blocks, omitted = [], []
    for section in chosen:
        advance(section.title)
        content, missing = _made(section, subjects)
        omitted += missing
        if content:
            blocks.append(Block(section.name, section.title, content))
    # a report of one subject does not have a section that compares two, unless it was asked for
    if sections is None and other is None:
        omitted = [one for one in omitted if one.section != "differences"]
    names = [one.name for one in subjects]
    title = " and ".join(dict.fromkeys(names))
    made = page(title, _subtitle(subjects), blocks, _reasons(omitted))
    return Report(title, made, tuple(block.name for block in blocks), tuple(omitted))


def chosen_sections(names: Sequence[str] | None) -> list[Section]:
    """Return sections by their names, in the order of the page; all if ``names`` is None.

    Raises:
        TypeError, ValueError: It is not a sequence of names, or there is no such section.
    """
    if names is None:
        return list(SECTIONS.values())
    require_type("sections", names, (list, tuple), "a list of names of sections")
    if not names:
        raise ArgumentError("sections must have at least one name")
    for name in names:
        require_type("each of sections", name, str, "the name of a section")
        if name not in SECTIONS:
            guess = did_you_mean(name, SECTIONS)
            raise ArgumentError(
                f"there is no section {name!r}{f'; {guess}' if guess else ''}\n"
                f"sections: {', '.join(SECTIONS)}"
            )
    return [section for name, section in SECTIONS.items() if name in names]


def _made(section: Section, subjects: Sequence[Subject]) -> tuple[Html, list[Omitted]]:
    """Return the content of a section, and the subjects that do not have it."""
    if section.compared and len(subjects) == 2:
        try:
            return section.compared(*subjects), []
        except DataError:
            pass  # one of them does not have it: show the other alone
    parts, omitted = [], []
    for subject in subjects:
        try:
            parts.append((subject, section.content(subject)))
        except DataError as error:
            why = " ".join(subject.without_folders(str(error)).split())
            omitted.append(Omitted(section.name, subject.name, why))
    return _side_by_side(parts, subjects), omitted


def _side_by_side(parts: Sequence[tuple[Subject, Html]], subjects: Sequence[Subject]) -> Html:
    """Return the contents of one section, with the names of the subjects if there are two."""
    if len(subjects) == 1 or not parts:
        return Html("".join(content for _, content in parts))
    names = dict(zip(map(id, subjects), names_of(*subjects), strict=True))
    columns = (
        element("div", element("h3", names[id(subject)]), content) for subject, content in parts
    )
    return element("div", *columns, class_="pair")


def _subtitle(subjects: Sequence[Subject]) -> str:
    """Return the nets with the titles of their papers, and how they were trained."""
    lines = []
    for subject in subjects:
        net = subject.net
        named = [] if subject.name == net.name and len(subjects) == 1 else [net.name]
        parts = [": ".join([*named, *([net.title] if net.title else [])])]
        if subject.run is not None:
            data = subject.without_folders(subject.run.settings.data)
            parts.append(f"Trained on {data}, seed {subject.run.settings.seed}")
        lines += [part for part in parts if part]
    return ". ".join(dict.fromkeys(lines))


def _reasons(omitted: Sequence[Omitted]) -> list[str]:
    """Return one line per reason, with the sections that are omitted for it."""
    sections: dict[tuple[str, str], list[str]] = {}
    for one in omitted:
        sections.setdefault((one.subject, one.why), []).append(one.section)
    subjects: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (subject, why), names in sections.items():
        subjects.setdefault((why, tuple(names)), []).append(subject)
    is_one = len({one.subject for one in omitted}) < 2
    return [
        f"{', '.join(names)}{'' if is_one else ' of ' + ' and '.join(of)}: {why}"
        for (why, names), of in subjects.items()
    ]
