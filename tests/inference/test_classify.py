"""``netspec.classify``: pictures in, named classes out, without what only training needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import netspec
from netspec import Answer, Classification, DataError
from netspec.trained import trained
from tests.forked import forked

DIGIT = Path(__file__).parents[2] / "docs" / "images" / "digit.png"

LEAST = """net least
input image 2x2x1
prepare range low=0, high=1
classes "dark", "bright"
codes two 1x2 {
.. XX
}
a: fc 2 | rbf two
"""


def test_a_picture_is_a_path_an_image_or_pixels() -> None:
    model = netspec.compile("lenet5")
    netspec.load_weights(model, trained("lenet5", "digits").weights)
    with Image.open(DIGIT) as image:
        rgb = np.asarray(image.convert("RGB"))
        grey = np.asarray(image.convert("L"))
        tensor = torch.from_numpy(rgb.copy()).movedim(2, 0)
        forms = [DIGIT, str(DIGIT), image, rgb, grey, grey[..., None], tensor]
        results = netspec.classify(model, forms, top=3)
        (alone,) = netspec.classify(model, image, top=3)
    assert [one.answers for one in results] == [results[0].answers] * 7
    assert alone.answers == results[0].answers
    assert [one.image for one in results] == [str(DIGIT)] * 2 + ["the image"] * 5
    assert results[0].best == Answer(7, "7", results[0].best.score)
    assert results[0].best.score > 0.99
    assert len(results[0].answers) == 3


@pytest.mark.parametrize(
    ("wrong", "error", "described"),
    [
        (3, TypeError, "an object of type int"),
        (None, TypeError, "None"),
        (b"a.png", TypeError, "an object of type bytes"),
        (np.zeros((4, 4)), TypeError, "an array of float64 \\[4, 4\\]"),
        (torch.zeros(3, 4, 4), TypeError, "a tensor of float32 \\[3, 4, 4\\]"),
        (np.zeros((2, 4, 4, 3), np.uint8), ValueError, "an array of uint8 \\[2, 4, 4, 3\\]"),
        (np.zeros((0, 4), np.uint8), ValueError, "an array of uint8 \\[0, 4\\]"),
        (torch.zeros(4, 4, 3, dtype=torch.uint8), ValueError, "a tensor of uint8 \\[4, 4, 3\\]"),
    ],
)
def test_an_object_that_is_not_an_image_is_an_error(
    wrong: Any, error: type[Exception], described: str
) -> None:
    with pytest.raises(error, match=f"^an image must be a path, .*, not {described}$"):
        netspec.classify("lenet5", [wrong])


def test_the_least_output_is_the_answer_of_a_net_of_distances(tmp_path: Path) -> None:
    model = netspec.compile(netspec.loads(LEAST))
    result = netspec.classify(model, np.full((2, 2), 255, np.uint8), top=2)[0]
    assert isinstance(result, Classification)
    assert result.answers[0].score <= result.answers[1].score
    assert {answer.name for answer in result.answers} == {"dark", "bright"}


def test_a_reference_is_a_type_error_that_says_what_to_give() -> None:
    with pytest.raises(
        TypeError, match=r"net must be a net, a path .*, or what netspec.compile returns, not"
    ):
        netspec.classify(netspec.reference("lenet5"), DIGIT)  # type: ignore[arg-type]


def test_an_output_without_a_name_has_its_number() -> None:
    assert str(Answer(3, "", 0.5)) == "class 3"
    assert str(Answer(3, "cat", 0.5)) == "cat"


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(DataError, match=r"a\.png"):
        netspec.classify("lenet5", tmp_path / "a.png")


def test_an_image_of_pillow_that_cannot_be_used_can_be_skipped(tmp_path: Path) -> None:
    content = Path(DIGIT).read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) - 60])
    with Image.open(DIGIT) as whole, Image.open(tmp_path / "cut.png") as cut:  # read headers only
        images = [whole.convert("F"), cut, whole]
        results = netspec.classify("lenet5", images, skip=True)
    assert [failure.number for failure in results.failures] == [0, 1]
    for failure in results.failures:
        assert failure.error.startswith("cannot use the image: ")
    assert len(results) == 1
    with pytest.raises(DataError, match="floating-point pixels"):
        netspec.classify("lenet5", images[0])


PROGRAM = """
import sys
from netspec.cli import main
for net in (["lenet5", "--weights", "digits"], [{artifact!r}]):
    try:
        main(["run", *net, {picture!r}], standalone_mode=False)
    except SystemExit as ended:
        assert not ended.code
print(*sys.modules)
"""

NEEDED = {"dataset", "geometry", "images", "preprocessing"}
"""Modules of netspec.data that classifying takes."""


def test_neither_training_nor_readers_of_data_sets_are_imported_to_classify(
    tmp_path: Path,
) -> None:
    model = netspec.compile("lenet5")
    netspec.load_weights(model, trained("lenet5", "digits").weights)
    netspec.save_artifact(model, tmp_path / "it.netspec")
    program = PROGRAM.format(artifact=str(tmp_path / "it.netspec"), picture=str(DIGIT))
    done = forked("torch").python("-c", program)
    assert done.returncode == 0, done.stderr
    *lines, modules = done.stdout.splitlines()
    assert [line.split()[0] for line in lines if "99.91 %" in line] == ["7", "7"]
    loaded = {*modules.split()}
    data = {name.removeprefix("netspec.data.") for name in loaded if "netspec.data." in name}
    assert data == NEEDED
    assert not [name for name in loaded if name.startswith("netspec.training")]
    assert "sklearn" not in loaded
