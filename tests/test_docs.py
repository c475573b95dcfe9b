"""The documents say what the program does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from netspec import bundled, loads
from netspec.cli import main
from netspec.ir.ops import OPERATORS
from netspec.lowering.passes import PIPELINE
from netspec.timing import rates
from netspec.tracing import tracing
from netspec.training import process
from netspec.views.documents import markdown
from netspec.views.operators import as_markdown
from tests.helpers import loaded, subcommands

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
SPECS = [
    (path.name, text)
    for path in (
        ROOT / "docs" / "language.md",
        ROOT / "docs" / "specs.md",
        ROOT / "README.md",
    )
    for text in re.findall(r"```net\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
]


@pytest.mark.parametrize(("page", "text"), SPECS)
def test_every_spec_in_the_documents_is_a_net(page: str, text: str) -> None:
    assert loads(text, page).graph.outputs


def test_the_operator_reference_is_current() -> None:
    page = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    is_current = page.strip() == as_markdown(list(OPERATORS.values())).strip()
    assert is_current, "run: netspec ops --markdown > docs/operators.md"


def test_the_page_of_the_language_lists_every_operator() -> None:
    page = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    table = page.split("\n## Operators\n\n")[1].split("\n\n")[0]
    cells = " ".join(line.split("|")[2] for line in table.splitlines()[2:])
    assert sorted(re.findall(r"`(\w+)`", cells)) == sorted(OPERATORS)


def test_the_readme_shows_the_bundled_alexnet_and_its_table_as_they_are() -> None:
    rows = [
        line for line in loaded("alexnet").source.text.splitlines() if re.match(r"[CSF]\d:", line)
    ]
    assert all(re.sub(r"\s+", " ", row) in re.sub(r"\s+", " ", README) for row in rows)


def shown_after(command: str, page: str) -> str:
    """Return what a page shows as the output of a command, or of its last line."""
    (output,) = re.findall(rf"^\$ {re.escape(command)}\n(.*?)(?=^\$ |^```)", page, re.M | re.S)
    return str(output)


def is_cut_from(shown: str, printed: str) -> bool:
    """Return True if the parts between lines of ``...`` are in the output, in this order."""
    place = 0
    for part in shown.split("...\n"):
        place = printed.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True


def test_the_readme_has_at_most_150_lines() -> None:
    assert len(README.splitlines()) <= 150


def commands_of(page: str) -> list[list[str]]:
    """Return the arguments of each ``netspec ...`` that a page tells its reader to type."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.M | re.S)
    shells = [block for language, block in fenced if language in ("", "sh")]
    typed = [line.removeprefix("$ ") for block in shells for line in block.splitlines()]
    typed += re.findall(r"`(netspec [^`]+)`", page)
    commands = (re.match(r"(?:\w+=\S+ )*netspec (.+)", line) for line in typed)
    return [shlex.split(command[1], comments=True) for command in commands if command]


@pytest.mark.parametrize("arguments", commands_of(README), ids=" ".join)
def test_the_commands_of_the_readme_parse(arguments: list[str]) -> None:
    name, *options = arguments
    command = main.get_command(click.Context(main), name)
    assert command is not None
    if options:  # prose names a command alone
        assert command.make_context(name, options).params


def test_the_readme_shows_what_check_prints(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["check", "alexnet"]).output == shown_after(
        "netspec check alexnet", README
    )
    (edit,) = re.findall(r"^\$ sed 's/(.*)/(.*)/' specs/alexnet.net > mine.net$", README, re.M)
    Path("mine.net").write_text(loaded("alexnet").source.text.replace(*edit), encoding="utf-8")
    printed = CliRunner().invoke(main, ["check", "mine.net"])
    assert printed.exit_code == 1
    assert is_cut_from(shown_after("netspec check mine.net", README), printed.output)


@pytest.mark.usefixtures("not_intel")
def test_the_readme_shows_what_compile_prints_but_for_its_times() -> None:
    def timeless(text: str) -> str:
        return re.sub(r" +[\d,]+ ms$|\d\.\de-\d\d", "", text, flags=re.M)

    shown = shown_after("netspec compile googlenet", README)
    with process.threads(2):
        printed = CliRunner().invoke(main, ["compile", "googlenet"]).output
    assert is_cut_from(timeless(shown), timeless(printed))


def test_the_python_of_the_readme_prints_what_its_comments_say(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == re.findall(r"^print.*  # (.*)", code, re.M)


def test_the_page_of_documents_is_current() -> None:
    page = (ROOT / "docs" / "documents.md").read_text(encoding="utf-8")
    assert page == markdown([loaded(name) for name in bundled()])


@pytest.mark.parametrize(
    "command", ["summary googlenet", "document vgg16_3", "diff vgg16_3 vgg16_1"]
)
def test_the_page_of_commands_shows_what_they_print(command: str) -> None:
    printed = CliRunner().invoke(main, command.split()).output
    assert is_cut_from(shown_after(f"netspec {command}", COMMANDS), printed)


def test_the_page_of_specs_lists_the_bundled_ones_with_their_totals() -> None:
    page = (ROOT / "docs" / "specs.md").read_text(encoding="utf-8")
    for name in bundled():
        totals = loaded(name).totals
        if not loaded(name).symbols:
            assert f"{totals.parameters:,} | {totals.macs:,} |" in page
        assert f"`{name}`" in page


def test_the_page_of_trace_shows_what_it_prints_but_for_its_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracing, "ROUNDS", 1)
    monkeypatch.setattr(rates, "SIZE", 64)
    monkeypatch.setattr(rates, "COPIED", 1 << 16)
    page = (ROOT / "docs" / "trace.md").read_text(encoding="utf-8")
    shown = shown_after("netspec trace alexnet C1 --measure", page)
    printed = CliRunner().invoke(main, ["trace", "alexnet", "C1"]).output

    def lines(text: str) -> list[str]:
        """Without rates and times, what depends on them, and the docstrings of passes."""
        figures = re.compile(r" \d[\d,.]*(ms|%)?(?= |$)")
        left_out = re.compile(r"    by |note: |\w+  .* => ")
        kept = [line for line in text.splitlines() if not left_out.match(line)]
        return [re.sub(r"\s+", " ", figures.sub("", line)) for line in kept]

    assert lines(shown) == lines(printed)
    assert "ms, torch " in shown


def test_every_command_is_on_the_page_of_commands() -> None:
    assert all(
        f"| `netspec {name} " in COMMANDS for name in main.list_commands(click.Context(main))
    )


def test_the_page_of_json_has_a_section_for_each_command_that_prints_it() -> None:
    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    printing = {
        name.split()[0]
        for name, command in subcommands(main)
        if any("--json" in parameter.opts for parameter in command.params)
    }
    assert printing == {*re.findall(r"^## (\w+)$", page, re.M)}


TRAIN = "train lenet5 --data digits -o run0"


@pytest.fixture(scope="module")
def train_and_eval(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    """Return what training for one epoch prints, and what testing the run prints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("run"))
        trained = CliRunner().invoke(main, [*TRAIN.split(), "--epochs", "1"])
        tested = CliRunner().invoke(main, ["eval", "run0"])
    return trained.output.splitlines(), tested.output.splitlines()


def forms(line: str) -> list[str]:
    """Return the words of a line, each number as ``0``."""
    return re.sub(r"[\d.,:]*\d", "0", line).split()


def test_a_run_is_shown_as_it_is_but_for_its_figures(
    train_and_eval: tuple[list[str], list[str]],
) -> None:
    printed, tested = train_and_eval
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    shown = shown_after(f"netspec {TRAIN}", text).splitlines()
    assert [re.sub(r"\b40 epochs", "1 epoch", line) for line in shown[:5]] == printed[:5]
    row, last = printed[-2:]  # a slow machine prints lines within an epoch as well
    assert len(shown[5]) == len(row)
    assert forms(shown[5]) == forms(row)
    (result,) = (line for line in shown if line.startswith("error "))
    assert forms(result) == forms(last)
    assert tested[0] in text
    assert all(word in text for word in tested[1].split())


def test_the_readme_shows_the_first_and_last_lines_of_a_run(
    train_and_eval: tuple[list[str], list[str]],
) -> None:
    printed, _ = train_and_eval
    first, last = shown_after(f"OMP_NUM_THREADS=1 netspec {TRAIN}", README).split("...\n")
    assert first.splitlines() == printed[:2]
    assert [*map(forms, last.splitlines())] == [*map(forms, printed[-2:])]


def test_the_page_of_the_compiler_lists_the_passes_in_order() -> None:
    page = (ROOT / "docs" / "compiler.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(.*)` \|$", page, re.MULTILINE)
    assert rows == [(one.RULE, one.EQUATION) for one in PIPELINE]


def test_a_digit_is_read_as_the_page_of_training_and_the_readme_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    command = "run lenet5 docs/images/digit.png --weights digits --top 3"
    printed = CliRunner().invoke(main, command.split()).output
    assert printed == shown_after(f"netspec {command}", page)
    # `lenet5` comes with the weights of the run that the README trains.
    shown = shown_after("netspec run run0 docs/images/digit.png --top 1", README)
    assert is_cut_from(shown.replace("the run run0", "the weights digits"), printed)


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        if heading:
            assert heading in headings(there), target


def headings(page: Path) -> set[str]:
    """Return the anchors that GitHub makes from the headings of a page."""
    lines = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}
