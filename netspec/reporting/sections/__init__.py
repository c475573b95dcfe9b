"""The sections of a report, one per file."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from netspec.reporting.html import Html
from netspec.reporting.sections import (
    confusion,
    costs,
    curves,
    data,
    differences,
    evolution,
    filters,
    graph,
    neighbours,
    predictions,
    recipe,
    spec,
    summary,
    table,
    top9,
    versions,
)
from netspec.reporting.subject import Subject


class Section(NamedTuple):
    """A section of a report.

    Attributes:
        name: Its name for ``--sections``, and its id in the page.
        title: Its heading.
        content: Returns its content for one subject.  A DataError omits the section, and the page
            shows the message.
        compared: Returns its content for two subjects; None puts the contents side by side.
    """

    name: str
    title: str
    content: Callable[[Subject], Html]
    compared: Callable[[Subject, Subject], Html] | None = None


SECTIONS = {
    section.name: section
    for section in (
        Section("summary", "Summary", summary.content, summary.compared),
        Section("differences", "Differences", differences.content, differences.compared),
        Section("curves", "Training", curves.content, curves.compared),
        Section("confusion", "Classes and mistakes", confusion.content),
        Section("predictions", "Predictions", predictions.content),
        Section("neighbours", "Nearest training images", neighbours.content),
        Section("filters", "Filters", filters.content),
        Section("top9", "What excites the maps", top9.content),
        Section("evolution", "Evolution", evolution.content),
        Section("graph", "Graph", graph.content),
        Section("table", "Table", table.content),
        Section("costs", "Costs", costs.content),
        Section("recipe", "Recipe", recipe.content, recipe.compared),
        Section("data", "Data", data.content, data.compared),
        Section("versions", "Versions and seeds", versions.content, versions.compared),
        Section("spec", "Spec", spec.content),
    )
}
"""All sections by name, in the order of the page."""
