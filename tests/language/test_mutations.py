"""Ten thousand mutations of specs, or a share: each is a net, or diagnostics, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspec import SpecError
from netspec.language.handbook import codes
from netspec.language.read import BUNDLED, decode
from netspec.net import from_source
from tests.examples import examples, is_all
from tests.helpers import some_by_default

EVERYTHING = Path(__file__).parent / "everything.net"
SPECS = {path.stem: path.read_bytes() for path in [*sorted(BUNDLED.glob("*.net")), EVERYTHING]}
PORTION = 10_000 // (3 * len(SPECS)) + 1
if not is_all():
    PORTION //= 2  # other mutations each time; the profile takes its share of the half

WORDS = re.compile(rb"\w+|\s+|[^\w\s]")
POOL = [word for text in SPECS.values() for word in set(WORDS.findall(text))] + [
    b"0", b"-1", b"99999999999999999999", b"1e99", b"1/0", b"{", b"}", b"(", b")", b"|", b";",
    b"->", b"..", b"if", b"not", b"same", b"half", b"add", b"block", b"head", b"output",
    b"let", b"from", b"\x00", b"\xff", b"\n", b'"', b"#", "×".encode(), b"a1..a9", b"1x1",
    b"999999999x999999999",
]  # fmt: skip

edits = st.lists(
    st.tuples(
        st.sampled_from(["delete", "double", "swap", "replace", "insert"]),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(POOL),
    ),
    min_size=1,
    max_size=6,
)
Edits = list[tuple[str, float, float, bytes]]


def mutate(pieces: list[bytes], changes: Edits) -> bytes:
    """The pieces of a text, edited at places given as shares of its length."""
    for kind, share, other, word in changes:
        if not pieces:
            break
        i, j = int(share * len(pieces)), int(other * len(pieces))
        if kind == "delete":
            del pieces[i]
        elif kind == "double":
            pieces.insert(j, pieces[i])
        elif kind == "swap":
            pieces[i], pieces[j] = pieces[j], pieces[i]
        elif kind == "replace":
            pieces[i] = word
        else:
            pieces.insert(i, word)
    return b"".join(pieces)


CUT = {
    "bytes": lambda text: [text[i : i + 1] for i in range(len(text))],
    "words": WORDS.findall,
    "lines": lambda text: text.splitlines(keepends=True),
}


@pytest.mark.parametrize("cut", CUT)
@pytest.mark.parametrize("name", some_by_default(SPECS))
def test_a_mutated_spec_is_a_net_or_diagnostics(name: str, cut: str) -> None:
    known = set(codes())

    @examples(PORTION, database=None)
    @given(edits)
    def check(changes: Edits) -> None:
        data = mutate(list(CUT[cut](SPECS[name])), changes)
        try:
            net = from_source(decode("mutated.net", data), {})
        except SpecError as error:
            assert error.diagnostics
            assert {d.code for d in error.diagnostics} <= known
            assert all(d.help for d in error.diagnostics)
            assert str(error).startswith(("error[", "note["))
            assert all(d.as_json()["line"] >= 1 for d in error.diagnostics)
        else:
            net.graph.verify()
            assert net.graph.outputs

    check()
