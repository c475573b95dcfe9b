"""The classes of images as text and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from netspec import trained
from netspec.inference.classify import Answer, Classification, Classifications
from netspec.inference.subject import Subject
from netspec.language.diagnostics import printable
from netspec.pretrained.families import families
from netspec.runtime.expects import as_json as expects_json

Style = Callable[[str, str], str]
"""Styles a text by its role."""

BAR = 24
"""Characters of the bar of a probability of 1."""


def as_text(results: Classification | Classifications) -> str:
    """Return what ``netspec run`` prints, without colours."""

    def plain(text: str, role: str) -> str:
        return text

    if isinstance(results, Classification):
        return "\n".join(lines(results, plain))
    shown = [*heading(results.subject, plain)]
    for one in results.entries:
        if isinstance(one, Classification):
            shown += lines(one, plain)
        else:
            shown.append(f"error: {one.error}")
    return "\n".join(shown)


def heading(subject: Subject, style: Style) -> Iterator[str]:
    """Yield a note if weights are random, and what is done to images."""
    if not subject.model.is_trained:
        net = subject.model.net
        names = trained.names(trained.spec_of(net)) if trained.spec_of(net) else []
        advice = f"--weights {names[0]}" if names else "--weights"
        note = f"{net.name} has untrained, random weights: its answers mean nothing yet"
        yield f"{style('note', 'note')}: {note} (give trained ones with {advice})"
        yield from _published(trained.spec_of(net), style)
    yield style(printable(subject.as_line()), "quiet")


def _published(spec: str, style: Style) -> Iterator[str]:
    """Yield where weights for a bundled spec are published, if that is known."""
    known = families(spec) if spec else ()
    if known:
        yield (
            f"{style('note', 'note')}: {known[0].published[0].partition(' ')[0]} has some; "
            f"--weights FILE takes the file, and `netspec weights {spec} --from FILE -o NEW` "
            "converts it"
        )


def lines(result: Classification, style: Style) -> Iterator[str]:
    """Yield the image, and one line per class."""
    yield style(printable(result.image), "strong")
    width = max(5, *(len(printable(str(answer))) for answer in result.answers))
    for answer in result.answers:
        score, bar = f"{answer.score:10.4f}", ""
        if result.is_probability:
            score, bar = f"{100 * answer.score:6.2f} %", "█" * round(BAR * answer.score)
        yield f"  {printable(str(answer)):>{width}}  {score}  {bar}".rstrip()


def as_json(results: Classification | Classifications) -> dict[str, Any]:
    """Return what ``netspec run --json`` prints."""
    if isinstance(results, Classification):
        return {"image": results.image, "top": [_answer(answer) for answer in results.answers]}
    subject = results.subject
    return {
        "name": subject.model.net.name,
        "trained": subject.model.is_trained,
        "expects": expects_json(subject.expects) | {"from": subject.origin},
        "results": [
            as_json(one)
            if isinstance(one, Classification)
            else {"image": one.image, "error": one.error}
            for one in results.entries
        ],
    }


def _answer(answer: Answer) -> dict[str, Any]:
    named = {"name": answer.name} if answer.name else {}
    return {"class": answer.number, **named, "score": answer.score}
