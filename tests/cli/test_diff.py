"""``netspec diff``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from netspec.cli import main

SPEC = "net example(n=10)\ninput image 8x8x3\na: fc n | softmax\n"


def run(*arguments: object, color: bool = False) -> Result:
    return CliRunner().invoke(main, ["diff", *map(str, arguments)], color=color)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "example.net"
    path.write_text(SPEC)
    return path


def test_two_nets_are_compared_whether_or_not_they_differ() -> None:
    done = run("alexnet", "googlenet")
    assert done.exit_code == 0
    assert done.stdout.startswith("- alexnet: image 224x224x3\n+ googlenet: image 224x224x3\n")
    assert done.stderr == ""
    same = run("alexnet", "alexnet")
    assert same.exit_code == 0
    assert "no differences" in same.stdout


def test_each_net_has_its_own_settings(spec: Path) -> None:
    done = run(spec, spec, "--set-a", "n=5", "--set-b", "n=20", "--json")
    data = json.loads(done.stdout)
    assert data["rows"][0]["changes"]["output"] == [[5], [20]]
    assert data["totals"]["parameters"] == [193 * 5, 193 * 20]
    assert json.loads(run(spec, spec, "--json").stdout)["rows"][0]["changes"] == {}


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" not in run("alexnet", "lenet5").stdout
    coloured = run("alexnet", "lenet5", color=True).stdout
    assert "\x1b[31m\x1b[1m- C2" in coloured
    assert "\x1b[32m" in coloured
    assert "\x1b[36m" in coloured


def test_a_wrong_spec_exits_with_1_also_as_json(spec: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.net"
    bad.write_text("net bad\ninput image 8x8x3\na: cnov 3x3\n")
    for pair in ((spec, bad), (bad, spec)):
        done = run(*pair)
        assert done.exit_code == 1
        assert "error[NS112]" in done.stderr
        assert json.loads(run(*pair, "--json").stdout)[0]["code"] == "NS112"


@pytest.mark.parametrize(
    "arguments",
    [
        ["alexnet"],
        ["alexnet", "lenet5", "--set-a", "n"],
        ["alexnet", "lenet5", "--set-b", "n=1"],
        ["alexnet", "lenet5", "googlenet"],
    ],
)
def test_a_wrong_command_exits_with_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert done.stderr
