"""The data that a run was trained and tested on."""

from __future__ import annotations

from netspec.reporting.facts import Facts, as_list, as_table
from netspec.reporting.html import Html
from netspec.reporting.subject import Subject

NAMED = 100
"""Classes whose names are listed."""


def content(subject: Subject) -> Html:
    """Return the names, counts, classes and digests of the data."""
    return as_list(facts(subject))


def compared(a: Subject, b: Subject) -> Html:
    """Return the data of two runs side by side."""
    return as_table(a, b, facts(a), facts(b))


def facts(subject: Subject) -> Facts:
    """Return what ``run.json`` has of the data.

    Raises:
        DataError: The subject is a spec.
    """
    run = subject.trained
    data = run.about["data"]
    names = list(run.classes)
    listed = ", ".join(names[:NAMED]) + (" ..." if len(names) > NAMED else "")
    return [
        ("data set", subject.without_folders(run.settings.data)),
        ("training", f"{data['train']['images']:,} images"),
        ("validation", f"{data['validation']['images']:,} images"),
        ("classes", f"{len(names):,}: {listed}"),
        ("omitted", subject.without_folders("; ".join(run.about["passed_over"]))),
        ("digest of training", data["train"]["digest"]),
        ("digest of validation", data["validation"]["digest"]),
    ]
