"""``netspec see``: what the commands print, write and refuse."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import netspec
from netspec.cli import main
from netspec.cli.see import see
from netspec.files.kinds import PNG, WEIGHTS, kind_of_content
from tests.see.noise import folder_of

DIGIT = Path(__file__).parents[2] / "docs" / "images" / "digit.png"

NETS = (
    *("filters", "activations", "predictions", "occlusion", "invariance", "confusion"),
    *("projection", "top9", "neighbours"),
)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["see", *map(str, arguments)])


def arguments_of(picture: str) -> list[object]:
    """What a picture of lenet5 needs besides."""
    of_data = ["--data", "digits"]
    images = {
        "filters": [],
        "confusion": of_data,
        "top9": of_data,
        "neighbours": [DIGIT, *of_data],
    }.get(picture, [DIGIT])
    small = ["--size", 16, "--stride", 8] if picture == "occlusion" else []
    return [picture, "lenet5", "--weights", "digits", *images, *small]


@pytest.mark.parametrize("picture", NETS)
def test_a_picture_is_written_and_its_caption_printed(picture: str, tmp_path: Path) -> None:
    path = tmp_path / "pictures" / "a.png"  # the cache of a compiler may be in tmp_path
    path.parent.mkdir()
    done = run(*arguments_of(picture), "-o", path)
    assert done.exit_code == 0, done.output
    assert kind_of_content(path) is PNG
    assert "\nlenet5, weights digits\n" in done.output
    assert done.output.endswith(f"the picture is in {path}\n")
    printed = run(*arguments_of(picture), "--json")
    assert printed.exit_code == 0, printed.output
    assert json.loads(printed.output)["caption"].endswith("\nlenet5, weights digits")
    assert os.listdir(path.parent) == ["a.png"]


def test_codes_writes_an_index_and_search_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("netspec.see.codes"), "STEPS", 10)
    folder = tmp_path / "pictures"
    folder.mkdir()
    data, index = folder_of(tmp_path / "noise", 8, 2), folder / "codes.safetensors"
    net = ("lenet5", "--weights", "digits")
    done = run("codes", *net, "--data", data, "--index", index, "-o", folder / "a.png")
    assert done.exit_code == 0, done.output
    assert "\nlenet5, weights digits\ncodes, 8 bits: precision at 6 " in done.output
    assert done.output.endswith(f"the picture is in {folder / 'a.png'}\nthe index is in {index}\n")
    assert kind_of_content(index) is WEIGHTS
    assert sorted(os.listdir(folder)) == ["a.png", "codes.safetensors"]
    printed = run("codes", *net, "--data", data, "--json")
    values = json.loads(printed.output)
    assert values["bits"] == 32
    assert [method["bytes"] for method in values["methods"]] == [1, 1, 2, 2, 4, 4, 336, 1024]
    found = run("search", *net, DIGIT, "--index", index, "-o", folder / "b.png")
    assert found.exit_code == 0, found.output
    assert kind_of_content(folder / "b.png") is PNG
    expected = netspec.see.search("lenet5", DIGIT, index=index, weights="digits")
    printed = run("search", *net, DIGIT, "--index", index, "--json")
    assert json.loads(printed.output) == expected.as_json()
    before = index.read_bytes()
    refused = run("search", *net, DIGIT, "--index", index, "-o", index, "--force")
    assert refused.exit_code == 2
    unfinished = run("codes", *net, "--data", "none", "--index", index, "-o", folder / "a.png")
    assert unfinished.exit_code == 1
    assert index.read_bytes() == before


def test_a_command_prints_what_its_function_returns() -> None:
    printed = run("predictions", "lenet5", DIGIT, "--weights", "digits", "--json", "--label", "7")
    expected = netspec.see.predictions("lenet5", DIGIT, weights="digits", label="7")
    assert json.loads(printed.output) == expected.as_json()
    assert expected.as_json()["labels"] == [7]


def test_a_file_is_required_or_json() -> None:
    done = run("filters", "lenet5")
    assert done.exit_code == 2
    assert "give the file to write with -o FILE.png, or --json" in done.output


def test_where_a_picture_cannot_go_is_known_before_it_is_made(tmp_path: Path) -> None:
    done = run("filters", "none.net", "-o", tmp_path / "none" / "a.png")
    assert done.exit_code == 2
    assert "there is no folder" in done.output
    done = run("filters", "none.net", "-o", tmp_path / "a.jpg")
    assert done.exit_code == 2
    assert "must end in .png, .svg, .pdf" in " ".join(done.output.split())
    photo = tmp_path / "photo.png"
    shutil.copy(DIGIT, photo)
    before = photo.read_bytes()
    done = run("activations", "lenet5", photo, "-o", photo, "--force")
    assert done.exit_code == 2
    assert "which the command reads: use another name" in " ".join(done.output.split())
    assert photo.read_bytes() == before


def test_mistakes_are_errors_without_a_traceback(tmp_path: Path) -> None:
    output = tmp_path / "written" / "a.png"
    output.parent.mkdir()
    for arguments, code, message in (
        (("filters", "lenet5", "--row", "C11"), 1, "did you mean `C1`?"),
        (("filters", "lenet5", "--kernels", "6"), 1, "its maps are 0 to 5"),
        (("filters", "lenet5", "--row", "C3"), 1, "such as kernels 0,1,2"),
        (("activations", "lenet5", DIGIT, "--maps", "9"), 1, "its maps are 0 to 5"),
        (("activations", "lenet5", __file__), 1, "test_see.py"),
        (("occlusion", "lenet5", DIGIT, "--size", "33"), 2, "an integer from 1 to 32"),
        (("occlusion", "lenet5", DIGIT, "--row", "F6"), 1, "does not have maps"),
        (("occlusion", "lenet5", DIGIT, "--label", "x"), 1, "does not have a class 'x'"),
        (("curves", "lenet5"), 1, "lenet5 is not a run"),
        (("projection", "lenet5", DIGIT, "--row", "C3", "--map", "16"), 1, "maps are 0 to 15"),
        (("projection", "lenet5", DIGIT, "--map", "1"), 2, "of one row: give the row"),
        (("projection", "lenet5_rbf", DIGIT, "--row", "out"), 1, "out.rbf is `rbf`"),
        (("top9", "lenet5"), 1, "give one with --data"),
        (("top9", "lenet5", "--data", "digit"), 1, "'digit' is not a data set"),
        (("neighbours", "lenet5", DIGIT), 1, "give one with --data"),
        (("neighbours", "lenet5", "--data", "digits"), 2, "give 1 to 50 images"),
        (("neighbours", "lenet5", __file__, "--data", "digits"), 1, "test_see.py"),
        (("neighbours", "lenet5", DIGIT, "--data", "digits", "--row", "F66"), 1, "mean `F6`?"),
        (("evolution", "lenet5"), 1, "lenet5 is not a run directory"),
        (("codes", "lenet5"), 1, "give one with --data"),
        (("codes", "lenet5", "--data", "digits", "--bits", "12"), 2, "multiple of 8, not 12"),
        (("codes", "lenet5", "--data", "digits", "--row", "F66"), 1, "mean `F6`?"),
        (("search", "lenet5", DIGIT), 2, "Missing option '--index'"),
        (("search", "lenet5", DIGIT, "--index", __file__), 1, "test_see.py"),
        (("confusion", "lenet5", "--data", "digits"), 1, "has random weights"),
        (("confusion", "lenet5", "--weights", "digits"), 1, "give one with --data"),
    ):
        done = run(*arguments, "-o", output)
        assert done.exit_code == code, (arguments, done.output)
        assert message in " ".join(done.output.split()), done.output
        assert isinstance(done.exception, SystemExit)
    assert not list(output.parent.iterdir())


def test_an_interrupted_pass_is_continued_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "a.png"
    command = ("top9", "lenet5", "--weights", "digits", "--data", "digits", "--batch", 512)
    counts: list[int] = []

    @contextmanager
    def counting(noun: str) -> Iterator[Callable[[int, int], None]]:
        def advance(done: int, images: int) -> None:
            counts.append(done)
            if done == 512:
                signal.raise_signal(signal.SIGINT)

        yield advance

    monkeypatch.setattr(import_module("netspec.cli.see.top9"), "counting", counting)
    stopped = run(*command, "-o", output)
    assert stopped.exit_code == 128 + signal.SIGINT
    assert f"stopped after 512 of 1,437 images, and is saved in {output}.pass" in stopped.output
    assert not output.exists()
    done = run(*command, "-o", output)
    assert done.exit_code == 0, done.output
    assert counts == [512, 1024, 1437]
    assert output.exists()
    assert not (tmp_path / "a.png.pass").exists()


class Full(io.StringIO):
    """A standard output to which nothing can be written, such as a closed pipe."""

    def write(self, text: str) -> int:
        raise OSError(errno.EPIPE, "Broken pipe")


@pytest.mark.parametrize("picture", ["top9", "neighbours", "codes"])
def test_a_picture_whose_output_cannot_be_printed_leaves_no_saved_pass(
    picture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("netspec.see.codes"), "STEPS", 10)
    folder = tmp_path / "pictures"
    folder.mkdir()
    data = folder_of(tmp_path / "noise", 8, 2)
    command = ["see", picture, "lenet5", "--weights", "digits", "--data", data]
    images = ["--queries", "0"] if picture == "neighbours" else []
    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(SystemExit) as stopped:
        main([*command, *images, "-o", str(folder / "a.png")])
    assert stopped.value.code
    assert os.listdir(folder) == ["a.png"]


def test_every_picture_is_a_function_with_the_options_of_its_command() -> None:
    assert {*see.commands} <= {*netspec.see.__all__}
    for name, command in see.commands.items():
        assert command.short_help
        assert callable(getattr(netspec.see, name))
