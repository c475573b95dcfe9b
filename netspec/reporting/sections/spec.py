"""The text of the spec."""

from __future__ import annotations

from netspec.reporting.html import Html, element, folded, joined
from netspec.reporting.subject import Subject


def content(subject: Subject) -> Html:
    """Return the text of the spec, and of the files that it is based on, each folded."""
    net = subject.net
    sources = [net.source, *net.files.values()]
    texts = {subject.without_folders(source.name): source.text for source in sources}
    return joined(
        folded(name, element("pre", element("code", text), tabindex="0"))
        for name, text in texts.items()
    )
