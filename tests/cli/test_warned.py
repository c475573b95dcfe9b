"""How commands print warnings."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import netspec
from netspec.cli import main
from netspec.cli.warned import plain_warnings

pytestmark = pytest.mark.filterwarnings("default::UserWarning")

SPEC = "net odd\ninput image 3x32x32\na: conv 3x3, 2, pad=1 | relu\nb: fc 2 | softmax\n"
TOLD = "warning[NS501]: `image` is 3 high and 32 wide, and has 32 channels"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "odd.net"
    path.write_text(SPEC)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"], ["summary"], ["summary", "--json"], ["compile"], ["compile", "--json"],
        ["compile", "--emit", "graph"], ["diff", "lenet5"],
    ],
)  # fmt: skip
def test_a_warning_is_shown_once_and_fails_nothing(arguments: list[str], spec: Path) -> None:
    done = run(*arguments, spec)
    assert done.exit_code == 0, done.output
    assert done.stderr.count(TOLD) == 1
    assert "help: if it has 3 channels, write 32x32x3" in done.stderr
    assert ".py" not in done.stderr
    assert TOLD not in done.stdout


def test_run_shows_it_too(spec: Path, tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    assert run("run", spec, tmp_path / "a.png").stderr.count(TOLD) == 1


def test_train_shows_it_too(tmp_path: Path) -> None:
    (tmp_path / "odd.net").write_text(
        "net odd\nlet n = 3\ninput image 8x8x1\na: fc 10 | softmax\ntrain {\n"
        "    loss cross_entropy\n    optimizer sgd lr=0.1\n    batch 64\n    epochs 1\n}\n"
    )
    done = run("train", tmp_path / "odd.net", "--data", "digits:8", "-o", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert done.stderr.count("warning[NS503]: nothing uses the constant `n`") == 1


def test_check_prints_the_severity_for_editors(spec: Path) -> None:
    done = run("check", "--json", spec)
    assert done.exit_code == 0
    (warning,) = json.loads(done.stdout)
    assert (warning["code"], warning["severity"], warning["line"]) == ("NS501", "warning", 2)


def test_a_warning_beside_errors_is_no_error(spec: Path) -> None:
    spec.write_text(SPEC.replace("3x3, 2, pad=1", "9x9, 2"))
    done = run("check", "--json", spec)
    assert done.exit_code == 1
    assert [d["severity"] for d in json.loads(done.stdout)] == ["warning", "error"]


def test_warnings_of_the_library_are_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def noisy() -> None:
        warnings.warn("no measurements\nare kept", stacklevel=1)

    monkeypatch.setitem(main.commands, "noisy", noisy)
    done = run("noisy")
    assert (done.stderr, done.exit_code) == ("warning: no measurements are kept\n", 0)
    before = warnings.showwarning
    run("noisy")
    assert warnings.showwarning is before


def test_weights_of_another_net_are_told(tmp_path: Path) -> None:
    text = "net one\ninput image 8x8x1\nprepare invert\na: fc 4 | relu\nb: fc 2 | softmax\n"
    netspec.save_weights(netspec.compile(netspec.loads(text)), tmp_path / "w.safetensors")
    (tmp_path / "other.net").write_text(text.replace("relu", "tanh"))
    done = run("compile", tmp_path / "other.net", "--weights", tmp_path / "w.safetensors")
    assert done.exit_code == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"warning: the weights in {tmp_path / 'w.safetensors'} fit one, but")
    assert "b was `a | relu | fc count=2` and is `a | tanh | fc count=2`" in line


def test_a_warning_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    with plain_warnings():
        warnings.simplefilter("always")
        for text in ("first", "second", "first"):
            warnings.warn(text, stacklevel=1)
    assert capsys.readouterr().err == "warning: first\nwarning: second\n"


def test_a_local_file_that_hides_a_bundled_spec_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lenet5.net").write_text("net mine\ninput image 8x8x3\na: fc 10\n")
    done = CliRunner().invoke(main, ["check", "lenet5"])
    assert done.stdout == "lenet5: 1 row, 1 stage, 0 claims hold\n"
    assert done.stderr == (
        "warning: lenet5 is the file lenet5.net in this folder, not the bundled spec: "
        "to use the bundled spec, rename the file or run in another folder\n"
    )
