"""Rows in the notation of other frameworks, written as netspec has them.

A statement that does not parse is rewritten by rules, each for one habit: values in parentheses,
texts in quotes, an arrow between stages.  A rewriting is shown only if it parses and its values fit
their operators, so that what the help says can be typed as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from netspec.ir.ops import OPERATORS
from netspec.ir.source import Source, Sources
from netspec.language import foreign, syntax
from netspec.language.binding import bind
from netspec.language.diagnostics import Problems
from netspec.language.labels import STATEMENTS, written
from netspec.language.scope import Reported, Scope
from netspec.language.translate import end_of_call, translated

LONGEST = 400
"""Characters of a statement that is rewritten; longer ones are no slip of a single row."""

Parse = Callable[[str], syntax.Statement | None]


class Repair(NamedTuple):
    """What is wrong with a statement, and what to write instead."""

    message: str
    help: str


def repair(text: str, parse: Parse) -> Repair | None:
    """Return what is wrong with a statement that does not parse, or None if no rule applies.

    Args:
        text: the statement.
        parse: returns the syntax tree of a statement, or None.
    """
    if len(text) > LONGEST:
        return None
    text = _COMMENT.sub(lambda match: match[1] or "", text)
    reasons, written = [], text
    for rule in _RULES:
        reason, changed = rule(written)
        if changed == written:
            continue
        written = changed
        reasons.append(reason)
    if not reasons:
        return None
    written = _renamed(written)
    statement = parse(written)
    if statement is not None and (whole := _translated(written, statement)) != written:
        written, statement = whole, parse(whole)
    return Repair("; ".join(reasons), _help(text, written, statement)) if statement else None


def _help(text: str, written: str, statement: syntax.Statement) -> str:
    """Return how to write a statement, or what to write for a word that netspec does not have."""
    scope = Scope(Sources(), Problems())
    scope.sources.add(Source("", written))
    for stage in _stages(statement):
        advice = "" if stage.name.text in OPERATORS else foreign.operator(stage.name.text)
        if advice:
            return f"`{stage.name.text}`: {advice}"
        if stage.name.text in OPERATORS:
            with suppress(Reported):
                bind(OPERATORS[stage.name.text], stage.name, stage.arguments, scope)
    # Names may be defined elsewhere, and `channels` needs the input of the stage.
    wrong = [d for d in scope.problems.errors if d.code not in ("NS113", "NS146")]
    if wrong:
        return wrong[0].help
    lines = zip(text.splitlines(), written.splitlines(), strict=False)
    changed = next((new for old, new in lines if old != new), written)
    return f"write `{changed.strip()}`"


def _translated(written: str, statement: syntax.Statement) -> str:
    """Return a statement in which stages of other frameworks are those of netspec."""
    for stage in sorted(_stages(statement), key=lambda stage: stage.at, reverse=True):
        start, end = stage.at[0], end_of_call(written, *stage.at)
        text = "" if stage.name.text in OPERATORS else translated(written[start:end])
        written = written[:start] + text + written[end:] if text else written
    return written


def _stages(node: object) -> Iterator[syntax.Stage]:
    """Yield the stages of a row, with those in its branches."""
    if isinstance(node, syntax.Row | syntax.Head):
        yield from _stages(node.pipe)
        yield from _stages(getattr(node, "others", None))
    elif isinstance(node, syntax.Block):
        for part in [node.body] if isinstance(node.body, syntax.Pipe) else node.body:
            yield from _stages(part)
    elif isinstance(node, syntax.Pipe):
        for stage in node.stages:
            yield stage
            for branch in stage.branches or ():
                yield from _stages(branch)


# ------------------------------------------------------------------------------------- the rules

Rule = Callable[[str], tuple[str, str]]
"""Takes a statement; returns what is wrong with it, and the statement without that mistake."""

_COMMENT = re.compile(r'("[^"\r\n]*")|[ \t]*#[^\r\n]*')
_STAGE = r"(?:(?<=[:|{;=])|(?<=\n)|(?<=->))\s*"
_KEYWORDS = "|".join(STATEMENTS)
_INPUT = re.compile(
    r"input\b[\s:=(]*(?!shape\b|size\b)([A-Za-z_]\w*)?[\s:=(\[]*((?:shape|size)[\s:=(\[]*)?"
)


def _label(text: str) -> tuple[str, str]:
    """``conv1/7x7_s2: ...`` => ``"conv1/7x7_s2": ...``; ``a.b: ...`` => ``a_b: ...``"""
    match = re.match(r"(\w*(?:(?:[-/]|\.(?!\.))\w+)+)(?=\s*(?::|from\b|after\b))", text)
    if match is None:
        return "", text
    reason = f"the label `{match[1]}` needs quotes"
    if "." in match[1]:
        reason = f"the label `{match[1]}` has a dot, which separates a row from its parts"
    return reason, written(match[1].replace(".", "_")) + text[match.end() :]


def _sources(text: str) -> tuple[str, str]:
    """``a from b/1, c-2: ...`` => ``a from "b/1", "c-2": ...``"""
    label = r'(?:\w+|"[^"]*")'
    match = re.match(rf"({label}\s+(?:from|after)\s+)([\w\s,/-]+)(?=:)", text)
    if match is None or not re.search(r"\w[-/]\w", match[2]):
        return "", text
    reason = "a label with other characters than letters, digits and `_` needs quotes"
    quoted = re.sub(r"\w+(?:[-/]\w+)+", lambda word: f'"{word[0]}"', match[2])
    return reason, match[1] + quoted + text[match.end() :]


def _input(text: str) -> tuple[str, str]:
    """``input 32x32x3``, ``input image (32, 32, 3)`` => ``input image 32x32x3``"""
    match = _INPUT.match(text)
    rest = "" if match is None else text[match.end() :]
    sizes = re.findall(r"\d+", rest)
    if match is None or match[1] in OPERATORS:
        return "", text
    if len(sizes) not in (1, 3) or not re.fullmatch(r"[\d\s,x×()\[\]*]+", rest):
        return "", text
    return (
        "an input has a name and a size: height x width x channels",
        f"input {match[1] or 'image'} {'x'.join(sizes)}",
    )


def _assigned(text: str) -> tuple[str, str]:
    """``C1 = conv 3x3, 64`` => ``C1: conv 3x3, 64``"""
    changed = re.sub(r"^(?:self\.)?(\w+)\s*=(?!=)\s*(?=[A-Za-z])", r"\1: ", text)
    return "a row has a `:` after its label", changed


def _added(text: str) -> tuple[str, str]:
    """``model.add(Conv2D(...))`` => ``Conv2D(...)``"""
    return "a row is not Python", re.sub(r"^\w+\.(?:add|append)\((.*)\)$", r"\1", text.rstrip())


def _braces(text: str) -> tuple[str, str]:
    """``concat [ relu; tanh ]``, ``[ relu; tanh ]`` => ``concat { relu; tanh }``"""
    changed = text.replace("[", "{").replace("]", "}")
    changed = re.sub(r"(?<=[:|])\s*\{", " concat {", changed)
    return "branches are written in braces, after `concat` or `add`", changed


def _comment(text: str) -> tuple[str, str]:
    """``relu  // first`` => ``relu  # first``"""
    return "a comment begins with `#`", re.sub(r"(?<=\s)//", "#", text)


def _pipes(text: str) -> tuple[str, str]:
    """``conv 3x3, 16 |> relu``, ``conv 3x3, 16 >> relu`` => ``conv 3x3, 16 | relu``"""
    return "stages are joined with `|`", re.sub(r"\|>|>>", "|", text)


def _too_many_commas(text: str) -> tuple[str, str]:
    """``conv 3x3,, 16,`` => ``conv 3x3, 16``"""
    changed = re.sub(r",(?:\s*,)+", ",", text)
    return "a comma has a value on both sides", re.sub(r"\s*,(?=\s*(?:[|;}]|$))", "", changed)


def _several_labels(text: str) -> tuple[str, str]:
    """``a, b: relu`` => ``a: relu``, the first of the rows."""
    changed = re.sub(r"^(\w+)(?:\s*,\s*\w+)+\s*:", r"\1:", text)
    return "a row has one label: write a row for each, or a range such as `a1..a4: relu`", changed


def _unlabelled(text: str) -> tuple[str, str]:
    """``C1 conv 3x3`` => ``C1: conv 3x3``; ``conv 3x3`` => ``LABEL: conv 3x3``"""
    words = re.match(rf"(?!(?:{_KEYWORDS})\b)(\w+)\b(?:\s+(\w+))?", text)
    if words is None or ":" in text:
        return "", text
    if _is_operator(words[1]):
        return "a row begins with a label and a `:`", f"LABEL: {text}"
    if words[2] and _is_operator(words[2]):
        return "a row has a `:` after its label", f"{words[1]}: {text[words.start(2) :]}"
    return "", text


def _module(text: str) -> tuple[str, str]:
    """``nn.Conv2d`` => ``Conv2d``"""
    changed = re.sub(_STAGE + r"(?:\w+\.)+(?=[A-Za-z_]\w*\s*\()", " ", text)
    return "an operator is one word", changed


def _called(text: str) -> tuple[str, str]:
    """``conv(3x3, 16)`` => ``conv 3x3, 16``; ``relu()`` => ``relu``"""
    changed, start = text, 0
    while match := re.compile(_STAGE + r"[A-Za-z_]\w*\s*\(").search(changed, start):
        opening = match.end() - 1
        closing = _closing(changed, opening)
        if closing < 0:
            break
        inner = changed[opening + 1 : closing].strip()
        name = changed[:opening].rstrip()
        changed = name + (f" {inner}" if inner else "") + changed[closing + 1 :]
        start = len(name)
    return "the values of an operator are written without parentheses", changed


def _closing(text: str, opening: int) -> int:
    depth = 0
    for place in range(opening, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if not depth:
            return place
    return -1


def _kernels(text: str) -> tuple[str, str]:
    """``(3, 3)``, ``[3, 3]``, ``3X3``, ``3 x 3`` => ``3x3``"""
    changed = re.sub(r"(?<=[\s,])[(\[]\s*(\d+)\s*,\s*(\d+)\s*[)\]]", r"\1x\2", text)
    changed = re.sub(r"(?<=\d)(?:X|\s+[xX×]\s*|[xX×]\s+)(?=\d)", "x", changed)
    return "a kernel is written height x width, as in 3x3", changed


def _sizes(text: str) -> tuple[str, str]:
    """``=> (30, 30, 64)`` => ``-> 30x30x64``"""
    size = r"[-=]>\s*[(\[]?\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*[)\]]?"
    changed = re.sub(size, r"-> \1x\2x\3", text)
    changed = re.sub(r"=>(?=\s*\d)", "->", changed)
    return "a claimed size is written as in -> 30x30x64", changed


def _unjoined(text: str) -> tuple[str, str]:
    """``fc 10 softmax`` => ``fc 10 | softmax``"""
    words = "|".join(OPERATORS)
    return "stages are joined with `|`", re.sub(
        rf"(?<=\d)\s+(?=(?:{words})\b(?!\s*=))", " | ", text
    )


def _unnamed(text: str) -> tuple[str, str]:
    """``maxpool 2x2, stride 2`` => ``maxpool 2x2, stride=2``"""
    keys = "|".join(sorted({a.name for op in OPERATORS.values() for a in op.attributes()}))
    return "attributes are written key=value", re.sub(rf"(,\s*(?:{keys}))\s+(?=\d)", r"\1=", text)


def _quoted(text: str) -> tuple[str, str]:
    """``pad='same'`` => ``pad=same``"""
    if re.match(r"(net|import|classes|document|train|prepare)\b", text):
        return "", text
    return "values are written without quotes", re.sub(r"(['\"])(\w*)\1", r"\2", text)


def _arrows(text: str) -> tuple[str, str]:
    """``conv 3x3, 16 -> relu`` => ``conv 3x3, 16 | relu``"""
    words = "|".join(OPERATORS)
    changed = re.sub(rf"->(?=\s*(?:{words})\b)", "|", text)
    return "`->` begins a claim, and stages are joined with `|`", changed


def _commas(text: str) -> tuple[str, str]:
    """``concat { relu, tanh }`` => ``concat { relu; tanh }``"""
    words = "|".join(OPERATORS)
    head, brace, branches = text.partition("{")
    changed = re.sub(rf"\s*,(?=\s*(?:{words})\b(?!\s*=))", ";", branches)
    return "branches end with `;` or with their line, not with a comma", head + brace + changed


def _renamed(text: str) -> str:
    """``padding=1, use_bias=True`` => ``pad=1, bias=on``"""
    for word, own in _RENAMED.items():
        text = re.sub(rf"\b{word}\s*=", f"{own}=", text)
    text = re.sub(r"=\s*(?:True|true)\b", "=on", text)
    text = re.sub(r"=\s*(?:False|false)\b", "=off", text)
    text = re.sub(r",\s*pad\s*=\s*(?:valid|VALID)\b", "", text)
    return re.sub(r"\bpad\s*=\s*SAME\b", "pad=same", text)


_RENAMED = {"padding": "pad", "strides": "stride", "use_bias": "bias"}
_RULES: tuple[Rule, ...] = (
    _comment, _label, _several_labels, _sources, _input, _assigned, _added, _unlabelled, _module,
    _called, _sizes, _kernels, _braces, _quoted, _pipes, _arrows, _commas, _too_many_commas,
    _unnamed, _unjoined,
)  # fmt: skip


def _is_operator(word: str) -> bool:
    return word in OPERATORS or bool(foreign.operator(word))
