"""The documents say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from netspec import bundled, load, loads
from netspec.bench import machine
from netspec.cli import main
from netspec.ir.ops import OPERATORS
from netspec.lowering.passes import PIPELINE
from netspec.tracing import tracing
from netspec.views.documents import markdown
from netspec.views.operators import as_markdown

ROOT = Path(__file__).parents[1]
SPECS = [
    (path.name, text)
    for path in (ROOT / "docs" / "language.md", ROOT / "README.md")
    for text in re.findall(r"```net\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
]


@pytest.mark.parametrize(("page", "text"), SPECS)
def test_every_spec_in_the_documents_is_a_net(page: str, text: str) -> None:
    assert loads(text, page).graph.outputs


def test_the_operator_reference_is_current() -> None:
    page = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    is_current = page.strip() == as_markdown(list(OPERATORS.values())).strip()
    assert is_current, "run: netspec ops --markdown > docs/operators.md"


def test_the_readme_shows_the_bundled_alexnet_and_its_table_as_they_are() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [
        line for line in load("alexnet").source.text.splitlines() if re.match(r"[CSF]\d:", line)
    ]
    assert all(re.sub(r"\s+", " ", row) in re.sub(r"\s+", " ", readme) for row in rows)


def test_the_readme_shows_what_check_prints() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    printed = CliRunner().invoke(main, ["check", "googlenet", "alexnet", "lenet5"]).output
    assert printed in readme


def test_the_page_of_documents_is_current() -> None:
    page = (ROOT / "docs" / "documents.md").read_text(encoding="utf-8")
    assert page == markdown([load(name) for name in bundled()])


def test_the_readme_shows_the_misprint_and_the_totals_as_they_are() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in ("document vgg16_3", "diff vgg16_3 vgg16_1"):
        printed = CliRunner().invoke(main, command.split()).output
        shown = readme.split(f"$ netspec {command}\n")[1].split("```")[0]
        for part in shown.split("...\n"):
            assert part.rstrip("\n") in printed
    for name in bundled():
        totals = load(name).totals
        if not load(name).symbols:
            assert f"{totals.parameters:,} | {totals.macs:,} |" in readme
        assert f"`{name}`" in readme


def test_the_readme_shows_the_way_of_a_row_but_for_its_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracing, "ROUNDS", 1)
    monkeypatch.setattr(machine, "SIZE", 64)
    monkeypatch.setattr(machine, "COPIED", 1 << 16)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.split("$ netspec trace alexnet C1 --measure\n")[1].split("```")[0]
    printed = CliRunner().invoke(main, ["trace", "alexnet", "C1"]).output

    def lines(text: str) -> list[str]:
        """Without rates and times, what depends on them, and the docstrings of passes."""
        figures = re.compile(r" \d[\d,.]*(ms|%)?(?= |$)")
        left_out = re.compile(r"    by |note: |\w+  .* => ")
        kept = [line for line in text.splitlines() if not left_out.match(line)]
        return [re.sub(r"\s+", " ", figures.sub("", line)) for line in kept]

    assert lines(shown) == lines(printed)
    assert "ms, torch " in shown


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"netspec {name}" in readme for name in main.commands)


TRAIN = "train lenet5 --data digits -o run0"


@pytest.fixture(scope="module")
def train_and_eval(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    """What training for an epoch prints, and testing after it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("run"))
        trained = CliRunner().invoke(main, [*TRAIN.split(), "--epochs", "1"])
        tested = CliRunner().invoke(main, ["eval", "run0"])
    return trained.output.splitlines(), tested.output.splitlines()


@pytest.mark.parametrize("page", ["README.md", "docs/training.md"])
def test_a_run_is_shown_as_it_is_but_for_its_figures(
    page: str, train_and_eval: tuple[list[str], list[str]]
) -> None:
    printed, tested = train_and_eval
    text = (ROOT / page).read_text(encoding="utf-8")
    shown = text.split(f"$ netspec {TRAIN}\n")[1].split("```")[0].splitlines()
    assert [re.sub(r"\b40 epochs", "1 epoch", line) for line in shown[:5]] == printed[:5]

    def forms(line: str) -> str:
        return re.sub(r"[\d.,:]*\d", "0", line)

    row, last = printed[-2:]  # a slow machine prints lines within an epoch as well
    assert len(shown[5]) == len(row)
    assert forms(shown[5]).split() == forms(row).split()
    (result,) = (line for line in shown if line.startswith("error "))
    assert forms(result) == forms(last)
    assert tested[0] in text
    assert all(word in text for word in tested[1].split())


def test_the_page_of_the_compiler_lists_the_passes_in_order() -> None:
    page = (ROOT / "docs" / "compiler.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(.*)` \|$", page, re.MULTILINE)
    assert rows == [(one.RULE, one.EQUATION) for one in PIPELINE]


def test_the_readme_shows_how_the_digit_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = "run lenet5 docs/images/digit.png --weights digits --top 3"
    shown = readme.split(f"$ netspec {command}\n")[1].split("```")[0]
    assert CliRunner().invoke(main, command.split()).output == shown
