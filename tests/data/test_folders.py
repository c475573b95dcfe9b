from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netspec.data import open_data
from netspec.data.images import suffixes
from netspec.errors import DataError


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_data(f"images:{folder}")
    return str(caught.value)


def test_classes_are_sorted_and_images_too(photographs: Path) -> None:
    train, validation = open_data(f"images:{photographs}")
    assert train.classes == validation.classes == ("flower", "palace")
    assert train.name == f"{photographs}, 6 for training"
    assert [train.example(i).label for i in range(6)] == [0, 0, 0, 1, 1, 1]
    for number, name in ((1, "flower"), (4, "palace")):
        with Image.open(photographs / "train" / name / f"{name}_1.JPEG") as image:
            assert np.array_equal(train.example(number).pixels, np.asarray(image))
    assert train.example(2).pixels.shape == (80, 112, 3)


def test_grey_and_transparent_images_become_rgb(photographs: Path) -> None:
    folder = photographs / "train" / "flower"
    Image.new("L", (4, 4), 100).save(folder / "a.png")
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(folder / "b.png")
    train = open_data(f"images:{photographs}").train
    assert (train.example(0).pixels == 100).all()
    assert (train.example(1).pixels == 255).all()
    assert train.example(0).pixels.shape == (4, 4, 3)


def test_it_pickles(photographs: Path) -> None:
    train = open_data(f"images:{photographs}").train
    again = pickle.loads(pickle.dumps(train))
    assert np.array_equal(again.example(5).pixels, train.example(5).pixels)
    assert again.digest == train.digest


def test_the_digest_sees_names_sizes_and_classes(photographs: Path) -> None:
    digests = [open_data(f"images:{photographs}").train.digest]
    image = photographs / "train" / "flower" / "flower_0.JPEG"
    image.write_bytes(image.read_bytes() + b"0")
    digests.append(open_data(f"images:{photographs}").train.digest)
    image.rename(image.with_name("flower_x.JPEG"))
    digests.append(open_data(f"images:{photographs}").train.digest)
    for split in ("train", "val"):
        (photographs / split / "flower").rename(photographs / split / "rose")
    digests.append(open_data(f"images:{photographs}").train.digest)
    assert len(set(digests)) == 4
    moved = photographs.rename(photographs.with_name("moved"))
    assert open_data(f"images:{moved}").train.digest == digests[-1]


def test_a_spoilt_image_is_named_and_the_others_are_read(photographs: Path) -> None:
    path = photographs / "train" / "palace" / "palace_1.JPEG"
    path.write_bytes(path.read_bytes()[:700])
    train = open_data(f"images:{photographs}").train
    with pytest.raises(DataError, match=f"cannot read {path}: "):
        train.example(4)
    assert train.example(5).label == 1


def test_a_image_that_is_gone_is_named(photographs: Path) -> None:
    train = open_data(f"images:{photographs}").train
    path = photographs / "train" / "flower" / "flower_0.JPEG"
    path.unlink()
    with pytest.raises(DataError, match=f"cannot read {path}: there is no such file"):
        train.example(0)
    with pytest.raises(DataError, match=f"cannot read {path}: no such file"):
        _ = train.digest


def test_hidden_and_other_files_are_no_images(photographs: Path) -> None:
    for name in ("._flower_0.JPEG", "Thumbs.db", "notes.txt"):
        (photographs / "train" / "flower" / name).write_text("")
    (photographs / "train" / ".cache").mkdir()
    (photographs / "train" / "list.txt").write_text("")
    assert len(open_data(f"images:{photographs}").train) == 6


def test_files_are_images_by_the_suffixes_that_pillow_knows(photographs: Path) -> None:
    """Real files of each format: those that an earlier list of suffixes passed over."""
    folder = photographs / "train" / "palace"
    with Image.open(folder / "palace_0.JPEG") as image:
        picture = image.resize((24, 20))
    for suffix in ("jfif", "jpe", "jp2", "j2k", "avif", "webp", "pbm", "tga", "pcx", "sgi", "dib"):
        if f".{suffix}" in suffixes():  # AVIF and JPEG 2000 are not in every Pillow
            picture.convert("1" if suffix == "pbm" else "RGB").save(folder / f"x.{suffix.upper()}")
    added = [path.name for path in folder.glob("x.*")]
    assert {"x.JFIF", "x.JP2", "x.AVIF", "x.WEBP"} <= set(added)
    train = open_data(f"images:{photographs}").train
    assert len(train) == 6 + len(added)
    assert train.passed_over == ""
    for number in range(3, len(train)):
        assert train.example(number).label == 1


def test_what_is_passed_over_is_counted_and_named(photographs: Path) -> None:
    folder = photographs / "train" / "palace"
    for name in ("a.heic", "b.HEIC", "c.jxl", "d"):
        (folder / name).write_bytes(b"x")
    (folder / "deeper").mkdir()
    (folder / "away").symlink_to("/mnt/away/7")
    (photographs / "train" / "labels.csv").write_text("")
    train, validation = open_data(f"images:{photographs}")
    assert train.passed_over == (
        f"skipped in {photographs / 'train'}: 1 file .csv (labels.csv), 2 files .heic (such as "
        "palace/a.heic), 1 broken link (palace/away), 1 file .jxl (palace/c.jxl), "
        "1 file without a suffix (palace/d), 1 other kind"
    )
    assert validation.passed_over == ""
    assert (len(train), len(validation)) == (6, 6)


def test_a_link_that_leads_nowhere_is_an_image_that_cannot_be_read(photographs: Path) -> None:
    """So that it counts among the corrupt ones, and a disk that is not mounted ends a run."""
    path = photographs / "train" / "palace" / "palace_1.JPEG"
    kept = path.rename(photographs / "kept")
    path.symlink_to("/mnt/away/palace_1.JPEG")
    train = open_data(f"images:{photographs}").train
    assert len(train) == 6
    with pytest.raises(DataError, match=f"cannot read {path}: it is a broken link"):
        train.example(4)
    assert train.called(4) == "example 4, palace/palace_1.JPEG"
    before = train.digest
    path.unlink()
    path.symlink_to(kept)
    train = open_data(f"images:{photographs}").train
    assert train.example(4).label == 1
    assert train.digest != before


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize(
    ("there", "says"),
    [
        ("heic", "3 files .heic (such as palace_0.heic)"),
        ("deeper", "1 folder (deeper)"),
        ("links", "3 broken links (such as palace_0.JPEG)"),
    ],
)
def test_a_class_without_images_is_refused_with_what_is_there(
    photographs: Path, split: str, there: str, says: str
) -> None:
    folder = photographs / split / "palace"
    for path in sorted(folder.iterdir()):
        if there == "heic":
            path.rename(path.with_suffix(".heic"))
        elif there == "deeper":
            (folder / "deeper").mkdir(exist_ok=True)
            path.rename(folder / "deeper" / path.name)
        else:
            path.unlink()
            path.symlink_to(f"/mnt/away/{path.name}")
    message = refusal(photographs)
    assert message.startswith(f"class palace has no image in {folder}, which has {says}: images ")


def test_a_class_without_an_image_to_learn_from_is_refused(photographs: Path) -> None:
    for split in ("train", "val"):
        (photographs / split / "tree").mkdir()
    message = refusal(photographs)
    assert message.startswith(f"class tree has no image in {photographs / 'train' / 'tree'}, which")
    assert "has no files" in message


def test_a_class_without_a_image_to_measure_on_needs_an_empty_folder(photographs: Path) -> None:
    (photographs / "train" / "tree").mkdir()
    Image.new("L", (4, 4), 100).save(photographs / "train" / "tree" / "a.png")
    message = refusal(photographs)
    assert f"{photographs / 'val'} does not have the class folders tree" in message
    (photographs / "val" / "tree").mkdir()
    assert open_data(f"images:{photographs}").validation.classes == ("flower", "palace", "tree")
    (photographs / "val" / "bird").mkdir()
    assert f"{photographs / 'train'} does not have the class folders bird" in refusal(photographs)


def test_folders_that_are_not_there_or_flat_or_empty_are_told(
    photographs: Path, tmp_path: Path
) -> None:
    assert f"there is no folder {tmp_path / 'none' / 'train'}" in refusal(tmp_path / "none")
    for path in (photographs / "val").rglob("*.JPEG"):
        path.rename(photographs / "val" / path.name)
    message = refusal(photographs)
    assert f"{photographs / 'val'} has no images, only 6 files .jpeg (such as flower_0" in message
    for path in [p for p in (photographs / "val").iterdir() if p.is_dir()]:
        path.rmdir()
    message = refusal(photographs)
    assert f"{photographs / 'val'} has no folders of classes" in message
    assert "one folder per class" in message


# ----------------------------------------------------------------------------------------- doubts


def test_validation_that_is_training_is_warned_of(photographs: Path) -> None:
    shutil.rmtree(photographs / "val")
    (photographs / "val").symlink_to("train")
    with pytest.warns(UserWarning, match="val is the same folder as .*train, so errors") as warned:
        open_data(f"images:{photographs}")
    assert len(warned) == 1


def test_class_folders_that_are_one_are_warned_of(photographs: Path) -> None:
    for split, target in (("train", "palace"), ("val", "../train/flower")):
        (photographs / split / "rose").symlink_to(target)
    with pytest.warns(UserWarning, match="rose is the same folder as ") as warned:
        open_data(f"images:{photographs}")
    assert len(warned) == 2


@pytest.mark.parametrize("other", ["Flower", "flower ", "FLOWER"])
def test_names_of_classes_that_look_the_same_are_warned_of(photographs: Path, other: str) -> None:
    for split in ("train", "val"):
        (photographs / split / "palace").rename(photographs / split / other)
    with pytest.warns(UserWarning, match="differ only by case, surrounding space or Unicode"):
        open_data(f"images:{photographs}")


def test_names_in_two_unicode_forms_are_warned_of(photographs: Path) -> None:
    for split in ("train", "val"):
        (photographs / split / "palace").rename(photographs / split / "caf\u00e9")
        (photographs / split / "flower").rename(photographs / split / "cafe\u0301")
    with pytest.warns(UserWarning, match="differ only by case, surrounding space or Unicode"):
        open_data(f"images:{photographs}")


def test_one_class_is_warned_of(photographs: Path) -> None:
    for split in ("train", "val"):
        shutil.rmtree(photographs / split / "palace")
    with pytest.warns(
        UserWarning, match=r"has only one class \(flower\), so every answer is correct"
    ):
        open_data(f"images:{photographs}")


@pytest.mark.parametrize(
    ("name", "other"), [("val", "validation"), ("train", "Train"), ("val", "test")]
)
def test_a_folder_with_a_near_name_is_named(photographs: Path, name: str, other: str) -> None:
    (photographs / name).rename(photographs / other)
    told = refusal(photographs)
    assert f"there is no folder {photographs / name}, but {other}: rename it" in told


def test_what_is_no_image_in_an_empty_class_of_val_may_be_removed(photographs: Path) -> None:
    for path in (photographs / "val" / "palace").iterdir():
        path.unlink()
    (photographs / "val" / "palace" / "README.txt").write_text("none yet")
    assert "or empty the folder: in val a class folder may be empty" in refusal(photographs)
