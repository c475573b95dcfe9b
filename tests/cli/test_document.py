"""``netspec document``, in real processes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import netspec
from netspec.cli.see import see
from tests.cli.test_cli import run

GOOD = """net example(n=4) "A title"
input image 8x8x3
a: conv 3x3, n -> 6x6x4
document "a table" {
    a | 8x8x3 | 3x3x3/1, 4 | 6x6x4 | 112
    says "more" a.params == 224  erratum "half"
}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "example.net"
    path.write_text(GOOD)
    return path


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.net"
    path.write_text(GOOD.replace("112", "113"))
    return path


def test_a_table_is_shown_beside_what_is_derived() -> None:
    done = run("document", "alexnet")
    assert (done.returncode, done.stderr) == (0, "")
    assert "44 printed cells: 43 agree, 1 has an erratum" in done.stdout
    assert "(4096+1)*1000*2 *" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_a_table_that_disagrees_is_shown_and_fails(wrong: Path) -> None:
    done = run("document", wrong)
    assert done.returncode == 1
    assert "113 !" in done.stdout
    assert "error[NS401]: params of a: printed 113, derived 112" in done.stderr
    assert f"--> {wrong}:5:38" in done.stderr


def test_check_fails_on_it_as_well(wrong: Path) -> None:
    done = run("check", wrong)
    assert done.returncode == 1
    assert "error[NS401]" in done.stderr


def test_check_counts_cells_beside_claims(spec: Path) -> None:
    assert run("check", spec).stdout == f"{spec}: 1 row, 1 stage, 1 claim holds; 4 printed cells\n"
    done = run("check", spec, "--set", "n=8")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == (
        f"{spec}: 1 row, 1 stage, 0 claims hold, 5 do not apply; 4 printed cells"
    )


def test_json_is_one_object_or_a_list(spec: Path, wrong: Path) -> None:
    data = json.loads(run("document", spec, "--json").stdout)
    (document,) = data["documents"]
    assert set(document) == {"source", "rows", "sentences"}
    (row,) = document["rows"]
    assert set(row) == {"label", "cells"}
    assert set(row["cells"][0]) == {"column", "printed", "derived", "status", "why"}
    assert document["sentences"] == [
        {
            "quote": "more",
            "status": "erratum",
            "derived": "112, not 224",
            "why": "half",
            "condition": "a.params == 224",
        }
    ]
    done = run("document", spec, wrong, "--json")
    assert done.returncode == 1
    cells = [net["documents"][0]["rows"][0]["cells"][3] for net in json.loads(done.stdout)]
    assert [cell["status"] for cell in cells] == ["agree", "disagree"]
    assert cells[1]["why"] == "113 is printed, and 112 derived; 4*3*3*3 + 4 = 112"


def test_settings_make_disagreements_mere_remarks(spec: Path) -> None:
    done = run("document", spec, "--set", "n=8")
    assert (done.returncode, done.stderr) == (0, "")
    assert "6x6x4 !" in done.stdout


def test_markdown_is_the_page_of_the_specs_named_or_of_all(spec: Path) -> None:
    one = run("document", spec, "--markdown").stdout
    assert one.startswith("# The papers' claims, checked\n")
    assert one.count("\n## ") == 1
    every = run("document", "--markdown")
    assert every.returncode == 0
    assert "\n## alexnet\n" in every.stdout
    assert "\n## vgg16_3\n" in every.stdout


def test_a_spec_that_is_no_net_is_an_error(tmp_path: Path, wrong: Path) -> None:
    path = tmp_path / "bad.net"
    path.write_text("net bad\ninput image 8x8x3\na: cnov 3x3\n")
    for options in ([], ["--markdown"]):
        done = run("document", path, *options)
        assert done.returncode == 1
        assert "error[NS112]" in done.stderr
        assert done.stdout == ""
    data = run("document", path, "--json")
    assert data.returncode == 1
    assert json.loads(data.stdout)[0]["code"] == "NS112"
    assert run("document", wrong, "--markdown").returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["document"],
        ["document", "lenet5", "--json", "--markdown"],
        ["document", "lenet5", "--set", "n=1"],
        ["document", "lenet5", "--set", "n"],
        ["document", "lenet5", "--depth", "in"],
    ],
)
def test_a_wrong_command_exits_with_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr


def test_the_pictures_that_sentences_name_are_commands() -> None:
    texts = [
        sentence.why
        for name in netspec.bundled()
        for document in netspec.document(name).net.documents
        for sentence in document.sentences
    ]
    named = {picture for text in texts for picture in re.findall(r"netspec see (\w+)", text)}
    assert named <= {*see.commands}
    assert named >= {"filters", "predictions", "neighbours", "codes"}  # the AlexNet paper
    assert named >= {"top9", "evolution", "projection", "occlusion"}  # the survey, on ZFNet
