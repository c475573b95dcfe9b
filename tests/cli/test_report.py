"""``netspec report``: what the command writes, prints and refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import netspec
from netspec.cli import main
from netspec.cli.report import report
from netspec.reporting.sections import SECTIONS
from tests.cli.test_outputs import piped


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def test_a_report_is_written_and_its_sections_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("lenet5")
    assert done.exit_code == 0, done.output
    size = f"{round(Path('report.html').stat().st_size / 1e3)} kB"
    assert done.output.startswith(f"lenet5: 7 sections, {size}\nomitted: curves, confusion, ")
    assert done.output.endswith("\nthe report is in report.html\n")
    assert Path("report.html").read_text() == netspec.report("lenet5").html
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_json_has_the_file_the_sections_and_the_reasons(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    done = run("lenet5", "-o", path, "--sections", "table,curves", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output) == {
        "title": "lenet5",
        "bytes": path.stat().st_size,
        "sections": ["table"],
        "omitted": [
            {
                "section": "curves",
                "subject": "lenet5",
                "why": "a spec is not trained: give a run, which netspec train makes",
            }
        ],
        "file": str(path),
    }


def test_a_page_goes_into_a_pipe_and_nothing_else_does() -> None:
    done = piped("report", "lenet5", "--sections", "table", "-o", "/dev/stdout")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"<!doctype html>")
    assert done.stdout.endswith(b"</html>\n")
    assert b"the report is in /dev/stdout" in done.stderr


def test_parameters_are_set_and_two_specs_have_none(tmp_path: Path) -> None:
    (tmp_path / "a.net").write_text("net a(n=3)\ninput image 4x4x1\nf: fc n\n")
    path = tmp_path / "a.html"
    done = run(tmp_path / "a.net", "--set", "n=77", "-o", path)
    assert done.exit_code == 0, done.output
    assert "<dd>n=77</dd>" in path.read_text()
    done = run("vgg16_1", "vgg16_3", "--set", "classes=10", "-o", path)
    assert done.exit_code == 2
    assert "--set is for one spec" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing"], 1, "cannot read `nothing`: there is no such file"),
        (["lenet5", "--sections", "tabel"], 2, "there is no section 'tabel'; did you mean `table`"),
        (["lenet5", "--data", "digits"], 2, "--data is for a run, and lenet5 is a spec"),
        (["lenet5", "-o", "TMP/a.png"], 2, "use a name that ends in .html"),
        (["lenet5", "-o", "TMP/none/a.html"], 2, "there is no folder"),
        (["TMP"], 1, "is not a run directory"),
        ([], 2, "Missing argument 'RUN|SPEC'"),
    ],
)
def test_bad_input_is_an_error_that_says_what_to_do(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*(one.replace("TMP", str(tmp_path)) for one in arguments))
    assert done.exit_code == code, done.output
    assert message in " ".join(done.stderr.split())
    assert not list(tmp_path.iterdir())


def test_help_names_all_sections() -> None:
    (option,) = [one for one in report.params if one.name == "sections"]
    assert f"Sections of the page: {', '.join(SECTIONS)}." in str(getattr(option, "help", ""))


def test_the_page_of_reports_names_all_sections_in_their_order() -> None:
    page = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")
    table = page.partition("| section | shows | for |")[2].partition("\n\n")[0]
    first = re.findall(r"^\|([^|]+)\|", table, re.M)
    assert re.findall("`([a-z0-9]+)`", " ".join(first)) == list(SECTIONS)
