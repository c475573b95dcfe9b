"""Parts of all pictures: grids, colours, captions, and how pictures are saved."""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import fields
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text

import netspec
from netspec.errors import DataError
from netspec.files.kinds import PDF, PNG, SVG, kind_of_content
from netspec.see import figures
from netspec.see.figures import FRAME, GAP, Visualisation, coloured, columns_of, repeats, tiled
from tests.see.nets import corner_net, white

DIGIT = Path(__file__).parents[2] / "docs" / "images" / "digit.png"


def test_a_grid_has_its_images_in_order_with_a_frame() -> None:
    images = np.arange(3, dtype=np.float32).reshape(3, 1, 1, 1) / 4 + np.zeros((3, 40, 50, 1))
    grid = tiled(images, 2)
    assert grid.shape == (2 * (40 + GAP) + GAP, 2 * (50 + GAP) + GAP, 3)
    corners = [(GAP, GAP), (GAP, 50 + 2 * GAP), (40 + 2 * GAP, GAP)]
    assert [grid[corner][0] for corner in corners] == [0, 0.25, 0.5]
    assert grid[0, 0] == pytest.approx(FRAME)
    assert grid[-1, -1].tolist() == [1, 1, 1]  # a place without an image


def test_small_images_are_enlarged_and_bytes_are_fractions() -> None:
    grid = tiled(np.full((1, 2, 3, 3), 255, np.uint8), 1)
    assert grid.shape[:2] == (2 * repeats(2, 3) + 2 * GAP, 3 * repeats(2, 3) + 2 * GAP)
    assert (grid[GAP:-GAP, GAP:-GAP] == 1).all()


def test_a_grid_has_few_empty_places() -> None:
    assert [columns_of(count) for count in (1, 2, 6, 96)] == [1, 2, 3, 12]
    for count in range(1, 300):
        assert 1 <= columns_of(count) <= count


def test_zero_is_white_for_both_signs_and_dark_else() -> None:
    signed = coloured(np.array([-2.0, 0, 2]), is_signed=True)
    assert signed[1] == pytest.approx([0.97, 0.97, 0.97], abs=0.02)
    assert signed[0, 2] > signed[0, 0]  # negative is blue
    assert signed[2, 0] > signed[2, 2]  # positive is red
    unsigned = coloured(np.array([0.0, 1]))
    assert unsigned[0].sum() < unsigned[1].sum()
    assert np.isfinite(coloured(np.zeros(3))).all()


def pictures(run: Path) -> list[Visualisation]:
    see, options = netspec.see, {"weights": "digits"}
    return [
        see.filters("lenet5", **options),
        see.filters("lenet5", row="C3", kernels=[1], **options),
        see.activations("lenet5", DIGIT, **options),
        see.activations("lenet5", DIGIT, row="F6", **options),
        see.predictions("lenet5", DIGIT, **options),
        see.occlusion(corner_net(), white(), size=4, stride=4),
        see.invariance(corner_net(), white()),
        see.curves(run),
        see.confusion(run),
    ]


def test_every_picture_has_a_caption_readable_text_and_json(run: Path) -> None:
    for picture in pictures(run):
        figure = picture.figure()
        assert figure.get_suptitle().replace("\n", " ") == picture.caption.replace("\n", " ")
        sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
        assert min(sizes) >= 7, type(picture).__name__
        assert str(picture).startswith(picture.caption + "\n")
        printed = json.dumps(picture.as_json(), allow_nan=False)
        assert json.loads(printed)["caption"] == picture.caption
        left_out = {field.name for field in fields(picture) if "json" in field.metadata}
        assert json.loads(printed).keys() == {f.name for f in fields(picture)} - left_out


def test_pictures_are_saved_by_suffix_and_equal_ones_are_equal(tmp_path: Path) -> None:
    picture = netspec.see.filters("lenet5", weights="digits")
    for suffix, kind in ((".png", PNG), (".svg", SVG), (".pdf", PDF)):
        path = tmp_path / f"a{suffix}"
        picture.save(path)
        assert kind_of_content(path) is kind
        before = path.read_bytes()
        netspec.see.filters("lenet5", weights="digits").save(path)
        assert path.read_bytes() == before
    assert picture._repr_png_() == (tmp_path / "a.png").read_bytes()


def test_settings_of_a_user_do_not_change_a_picture(tmp_path: Path) -> None:
    def written() -> bytes:
        path = tmp_path / "a.png"
        netspec.see.activations("lenet5", DIGIT, weights="digits", row="C3").save(path)
        return path.read_bytes()

    settings = {"image.origin": "lower", "axes.grid": True, "text.usetex": True, "figure.dpi": 20}
    before = written()
    with matplotlib.rc_context(settings):
        assert written() == before
        assert matplotlib.rcParams["image.origin"] == "lower"  # as the user has it again


def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = netspec.see.filters("lenet5", weights="digits")
    with pytest.raises(ValueError, match=r"a\.jpg must end in \.png, \.svg, \.pdf"):
        picture.save(tmp_path / "a.jpg")
    (tmp_path / "a.png").write_text("my thesis")
    with pytest.raises(DataError, match="the existing file is not a PNG image"):
        picture.save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_text() == "my thesis"
    with pytest.raises(DataError, match=r"cannot write .*no such file"):
        picture.save(tmp_path / "none" / "b.png")

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DataError, match="no space left on device"):
        picture.save(tmp_path / "b.png")
    assert os.listdir(tmp_path) == ["a.png"]


def test_without_matplotlib_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def find(name: str, *arguments: object) -> object:
        return None if name == "matplotlib" else importlib.util.find_spec(name)

    monkeypatch.setattr(figures, "find_spec", find)
    picture = netspec.see.filters("lenet5", weights="digits")  # the numbers need no matplotlib
    with pytest.raises(DataError, match=r"pip install 'netspec-compiler\[plot\]'"):
        picture.figure()
    with pytest.raises(DataError, match=r"pip install 'netspec-compiler\[plot\]'"):
        picture.save(tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
