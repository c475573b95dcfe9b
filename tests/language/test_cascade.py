"""One mistake is one error, also in a net whose other rows and claims depend on what is lost."""

from __future__ import annotations

import pytest

from netspec import loads
from netspec.language.handbook import codes, explanation
from tests.helpers import codes as codes_of
from tests.helpers import problems

WARNINGS = {code for code in codes() if code.startswith("NS5")}
PAGES = [code for code in codes() if explanation(code).wrong and code not in WARNINGS]


ANOTHER_NET = {
    "NS009", "NS011", "NS012",  # the right example is another net, whose claims are its own
    "NS156",  # the classes are those of the last row
    "NS304",  # the total is that of the example
}  # fmt: skip


def followed(code: str) -> tuple[str, str]:
    """Return the wrong and the right example of a page, each with rows and claims that follow.

    The claims are those of the right net.  A variant has its row after its last one.
    """
    page = explanation(code)
    last = loads(page.right, "right.net").graph.outputs[0].partition(".")[0]
    is_variant = " from " in page.right.partition("\n")[0]
    label = f"zz1 after {last}" if is_variant else "zz1"

    def with_rows(text: str, claims: tuple[str, str]) -> str:
        rows = f"{label}: tanh | fc 7 -> 7{claims[0]}\nzz2 after zz1: fc 3 -> 3{claims[1]}\n"
        rows = rows if is_variant else rows.replace(" after zz1", "")
        start, brace, end = text.rpartition("}")
        return f"{start}{rows}{brace}{end}" if is_variant and brace else f"{text}{rows}"

    net = loads(with_rows(page.right, ("", "")), "right.net")
    first, second = (net.graph.totals(net.graph.rows[row].stages) for row in ("zz1", "zz2"))
    claims = (
        f" params {first.parameters} macs {first.macs}",
        f" params {second.parameters} macs {second.macs}",
    )
    total = "" if net.symbols else f"claim params {net.totals.parameters}\n"
    return with_rows(page.wrong, claims) + total, with_rows(page.right, claims) + total


@pytest.mark.filterwarnings("ignore::netspec.SpecWarning")
@pytest.mark.parametrize("code", [code for code in PAGES if code not in ANOTHER_NET])
def test_a_mistake_brings_no_error_of_what_follows(code: str) -> None:
    wrong, right = followed(code)
    assert problems(right) == []
    assert [d.code for d in problems(wrong) if d.severity == "error"] == [code]


HEADER = "net example\ninput image 28x28x3\n"
REST = "c1: conv 3x3, 8 | relu -> 28x28x8 params 224\nout: fc 10 -> 10 params 62730\n"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        # a default that is lost
        ("NS132", "default conv pad=act\nblock act = relu\n" + REST),
        ("NS113", "default conv pad=halff\n" + REST),
        ("NS130", "default conv padding=half\n" + REST),
        ("NS130", "default pading=half\n" + REST),
        ("NS112", "default cnov pad=half\n" + REST),
        ("NS101", "default conv pad=\n" + REST),
        ("NS101", "default conv, pad=1\n" + REST),
        ("NS131", "default conv pad=0\ndefault conv pad=1\n" + REST),
        # a row that is lost
        (
            "NS101",
            "p: maxpool(2x2/2, 3)\nc1: conv 3x3, 8 -> 12x12x8\nout: fc 10 -> 10 params 11530\n",
        ),
        ("NS101", "p maxpool 2x2/2\nc1: conv 3x3, 8 -> 12x12x8\nb from c1, p: add -> 12x12x8\n"),
        ("NS101", "p/1: conv 1x1, 8\nc1: relu -> 28x28x8\nb from c1, p: add -> 28x28x8\n"),
        ("NS117", "r4..r1: conv 3x3, 8\nc1: relu -> 20x20x8\nb from r1, c1: add -> 20x20x8\n"),
        ("NS102", "p: concat { conv 1x1, 8; relu\n"),
        # a definition that is lost
        ("NS115", "block conv(n) = fc n\nc1: conv 10 -> 10\n"),
        ("NS115", "block b(relu) = fc relu\nc1: b 10 -> 10\n"),
        ("NS110", "block b(n, n) = fc n\nc1: b 10 -> 10\n"),
        ("NS101", "connect t { XO }\nc1: conv 3x3, 2, connect=t -> 9x9x9\n"),
        # claims that are false because of another
        ("NS301", "p: maxpool 2x2/2 -> 28x28x3\n" + REST.replace("28x28x8", "26x26x8")),
        ("NS303", "c1: conv 3x3x1, 8 -> 26x26x8 params 80\nclaim params 80\n"),
        ("NS302", "c1: conv 3x3, 8 -> params 216\nclaim params 216\n"),
    ],
)
def test_what_depends_on_a_lost_statement_is_not_reported(code: str, text: str) -> None:
    assert codes_of(HEADER + text) == [code]


def test_a_block_that_hides_a_word_is_named_in_the_help() -> None:
    text = "default conv pad=half\nblock half = relu\nc1: conv 3x3, 8 | half\n"
    (error,) = problems(HEADER + text)
    assert (error.code, error.span.line) == ("NS132", 3)
    assert error.help == "rename the block: it hides the word `half` of pad"


def test_an_input_that_is_lost_is_not_missed() -> None:
    text = "net example\ninput 28x28x3\nc1 from image: conv 3x3, 8 -> 9x9x9\nc2 from c1: relu\n"
    assert codes_of(text) == ["NS101"]


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("NS105", "F7: fc 84 | tanh -> 84\nF8 after F7: fc 5 -> 5 params 425"),
        ("NS105", "F7..F9: fc 84 | tanh\nF10 after F9: fc 5 -> 5 params 425"),
        ("NS111", "F7 after F66: fc 84\nF8 after F7: fc 5 -> 5 params 425"),
        ("NS101", "C3: conv 5x5 16\nC5: conv 5x5, 120 -> 9x9x120 params 1"),
        ("NS101", "C3/1: conv 5x5, 16\nC5: conv 5x5, 120 -> 9x9x120 params 1"),
        ("NS101", "conv 5x5, 16\nC5: conv 5x5, 120 -> 9x9x120 params 1"),
        ("NS101", "drop S2 S4\nC5: conv 5x5, 120 -> 9x9x120 params 1"),
        ("NS111", "drop s44\nC5: conv 5x5, 120 -> 9x9x120 params 1"),
        ("NS101", "input image 64x64 x\nC5: conv 5x5, 120 -> 9x9x120 params 1"),
    ],
)
def test_what_depends_on_a_lost_change_of_a_variant_is_not_reported(
    code: str, changes: str
) -> None:
    assert codes_of(f"net example from lenet5 {{\n{changes}\n}}") == [code]


def test_other_mistakes_are_still_reported() -> None:
    text = "default conv padd=1\nc1: conv 3x3 8\nc2: cnov 3x3, 8\nc3: conv 3x3, 8, stride=0\n"
    assert codes_of(HEADER + text) == ["NS130", "NS101", "NS112", "NS132"]
    text = "c1: conv 3x3 8\nc2 from image: conv 99x99, 8\nc3 from image: fc 3 -> 4\n"
    assert codes_of(HEADER + text) == ["NS101", "NS201", "NS301"]
    text = "default conv pad=halff\nc1: conv 3x3, 8, pad=1 -> 9x9x9\nc2: conv 3x3, 8\n"
    assert codes_of(HEADER + text) == ["NS113", "NS301"]
