"""The settings, seeds and versions of a run, and the version that made the report."""

from __future__ import annotations

from typing import Any

import netspec
from netspec.reporting.facts import Facts, as_list, as_table
from netspec.reporting.html import Html
from netspec.reporting.subject import Subject

OF_RECIPE = ("epochs", "batch", "lr", "decay", "init", "init_from")
"""Settings that replace parts of the recipe."""
ELSEWHERE = ("spec", "data", "seed", "parameters")
"""Other settings that have a fact or a section of their own."""
WITHOUT_EFFECT = ("workers", "checkpoint_every")
"""Settings that the weights do not depend on."""


def content(subject: Subject) -> Html:
    """Return settings and versions."""
    return as_list(facts(subject))


def compared(a: Subject, b: Subject) -> Html:
    """Return the settings and versions of two subjects side by side."""
    return as_table(a, b, facts(a), facts(b))


def facts(subject: Subject) -> Facts:
    """Return settings and versions of a run; of a spec, what it was read from."""
    net, run = subject.net, subject.run
    source = subject.without_folders(net.source.name)
    parameters = ", ".join(f"{name}={value}" for name, value in net.settings.items())
    made = [("report made by", f"netspec {netspec.__version__}")]
    if run is None:
        return [("spec", source), ("parameters", parameters), *made]
    settings = run.settings.as_json()
    changed = [name for name in OF_RECIPE if settings[name] is not None]
    versions = run.about["made_by"]
    return [
        ("spec", subject.without_folders(run.settings.spec)),
        ("parameters", parameters),
        ("seed", str(run.settings.seed)),
        (
            "changed by options",
            subject.without_folders(", ".join(f"{name}={settings[name]}" for name in changed)),
        ),
        *(
            (name.removeprefix("is_").replace("_", " "), _text(value))
            for name, value in settings.items()
            if name not in (*ELSEWHERE, *OF_RECIPE, *WITHOUT_EFFECT)
        ),
        ("threads", str(run.threads)),
        ("trained by", ", ".join(f"{name} {version}" for name, version in versions.items())),
        *made,
    ]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
