"""``netspec pack``, in real processes."""

from __future__ import annotations

import json
from pathlib import Path

from netspec.data import open_data
from tests.cli.test_cli import run


def test_a_data_set_is_packed_and_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    done = run("pack", "digits:16", "-o", folder, "--size", "16", "--workers", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "train  1,437 images of 16 x 16 pixels in 1 shard, 2.8 MiB",
        "val    360 images of 16 x 16 pixels in 1 shard, 0.7 MiB",
        f"train and test with --data shards:{folder}",
    ]
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    assert done.stdout.replace(str(folder), "shards") in page
    assert len(open_data(f"shards:{folder}").train) == 1437
    again = run("pack", "digits:16", "-o", folder, "--size", "16", "--json")
    assert json.loads(again.stdout)["splits"]["val"] == {
        "images": 360,
        "shards": 1,
        "bytes": (folder / "val-000000.tar").stat().st_size,
        "faults": [],
    }


def test_corrupt_images_are_told(photographs: Path, tmp_path: Path) -> None:
    spoilt = photographs / "val" / "flower" / "flower_2.JPEG"
    spoilt.write_bytes(b"")
    arguments = ("pack", f"images:{photographs}", "-o", tmp_path / "shards", "--size", "32")
    arguments += ("--workers", "1")
    done = run(*arguments, "--faults", "0")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"more than 0 images cannot be read, such as: cannot read {spoilt}" in done.stderr
    done = run(*arguments)
    assert done.returncode == 0
    assert f"note: skipped: cannot read {spoilt}: it is not an image" in done.stdout
    assert "5 images of 32 x 32 pixels in 1 shard, 30.0 KiB, 1 image skipped" in done.stdout


def test_data_that_is_not_there_is_an_error_of_the_data(tmp_path: Path) -> None:
    done = run("pack", f"mnist:{tmp_path}", "-o", tmp_path / "shards")
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: missing train-images-idx3-ubyte.gz, " in done.stderr
    assert f"in {tmp_path}: MNIST is" in done.stderr
    assert not (tmp_path / "shards").exists()
    done = run("pack", "imagenet", "-o", tmp_path / "shards", "--json")
    assert "is not a data set" in json.loads(done.stdout)["error"]


def test_a_size_of_nothing_is_an_error_of_the_command(tmp_path: Path) -> None:
    assert run("pack", "digits", "-o", tmp_path / "shards", "--size", "0").returncode == 2
    assert run("pack", "digits").returncode == 2
