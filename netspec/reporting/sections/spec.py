"""The text of the spec."""

from __future__ import annotations

from netspec.reporting.html import Html, element, folded, joined
from netspec.reporting.subject import Subject


def content(subject: Subject) -> Html:
    """Return the text of the spec, and of the files that it is based on, each folded."""
    net = subject.net
    sources = {source.name: source for source in [net.source, *net.files.values()]}
    return joined(
        folded(
            subject.without_folders(name),
            element("pre", element("code", source.text), class_=_class_of(name), tabindex="0"),
        )
        for name, source in sources.items()
    )


def _class_of(name: str) -> str | None:
    """Return the class of a file of names of classes, which is printed in columns."""
    return "list" if name.endswith(".txt") else None
