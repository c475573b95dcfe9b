"""Convert the texts of a net to members of an artifact, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from netspec.artifact.manifest import SPEC, Asked, Manifest, file_member
from netspec.artifact.messages import AGAIN
from netspec.errors import DataError
from netspec.ir.source import Source
from netspec.language.definitions import Setting
from netspec.language.read import decode
from netspec.net import Net, from_source


def members_of(net: Net) -> tuple[dict[str, bytes], tuple[Asked, ...]]:
    """Return the texts of a net by member, and the member of each file that one of them names.

    Members have numbers instead of paths, so that an artifact does not show names of folders of the
    machine.

    Raises:
        DataError: two different files have the same name, or a text cannot be encoded as UTF-8.
    """
    members, texts = {net.source.name: SPEC}, {SPEC: _encoded(net.source)}
    for source in net.files.values():
        member = members.setdefault(source.name, file_member(len(members) - 1))
        if texts.setdefault(member, _encoded(source)) != _encoded(source):
            raise DataError(f"two files of {net.name} are called {source.name}: rename one")
    return texts, tuple(
        Asked(members[by], wrote, members[source.name]) for (by, wrote), source in net.files.items()
    )


def _encoded(source: Source) -> bytes:
    try:
        return source.text.encode()
    except UnicodeEncodeError:
        raise DataError(
            f"{source.name} contains half of a surrogate pair, which is not text: remove it"
        ) from None


def kept_settings(settings: Mapping[str, Setting]) -> dict[str, str | int | float | bool]:
    """Return settings as JSON; a value that JSON does not have is a string, as in a spec."""
    return {name: _plain(value) for name, value in settings.items()}


def _plain(value: Setting) -> str | int | float | bool:
    if isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Fraction):
        return f"{value.numerator} / {value.denominator}"
    return getattr(value, "text", str(value))


def net_of(manifest: Manifest, texts: Mapping[str, bytes]) -> Net:
    """Return the net, read and checked again from the texts of an artifact.

    Raises:
        SpecError: a text is not a spec, or the spec has mistakes.
        DataError: the spec uses other files than those of the artifact.
    """
    try:
        net = reread(texts, manifest.asked, manifest.settings)
        return net if manifest.heads else net.without_heads()
    except DataError as error:
        raise DataError(f"{error}: {AGAIN}") from None


def reread(
    texts: Mapping[str, bytes], asked: Sequence[Asked], settings: Mapping[str, Setting]
) -> Net:
    """Return a net from the results of :func:`members_of`.

    Raises:
        SpecError: a text is not a spec, or the spec has mistakes.
        DataError: the spec uses other files.
    """
    sources = {name: decode(name, text) for name, text in texts.items()}
    files = {(request.by, request.wrote): sources[request.member] for request in asked}
    net = from_source(sources[SPEC], settings, files)
    if {*net.files} != {*files}:
        raise DataError("its spec uses other files than it contains")
    net.require_numbers()
    return net
