"""Nets and data that do not fit are refused before there is a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import netspec
from netspec.data import open_data
from netspec.errors import DataError
from netspec.training.fitting import (
    least_images,
    other_names,
    require_batches,
    require_outputs,
    require_usable,
)
from netspec.training.loop import train
from netspec.training.progress import Report
from netspec.training.run import Run
from netspec.training.settings import Settings
from tests.training.nets import recipe

CLASSES = ("cat", "dog", "eel", "fox", "gnu", "hen")

HEADS = """net two(classes=3)
input image 8x8x3
a: conv 3x3, 4 | relu
out: fc classes | softmax
head side from a, weight=0.3: fc 4 | softmax
"""


def net(rows: str, header: str = "net small(classes=3)") -> netspec.Net:
    return netspec.loads(f"{header}\ninput image 8x8x3\n{rows}\n{recipe()}")


@pytest.mark.parametrize(
    ("rows", "header", "remedy"),
    [
        ("F: fc classes | softmax", "net small(classes=3)", "use --set classes=6"),
        ("F: fc classes", "net small(width=4, classes=3)", "use --set classes=6"),
        ("a: conv 1x1, n | gap\nF: fc 3 | softmax", "net small(n=3)", "write 6 outputs into row F"),
        ("F: fc 3 | softmax", "net small", "write 6 outputs into row F"),
        ("F: conv 8x8, classes", "net small(classes=3)", "use --set classes=6"),
    ],
)
def test_more_classes_than_outputs_are_refused(rows: str, header: str, remedy: str) -> None:
    with pytest.raises(DataError) as caught:
        require_outputs(net(rows, header), CLASSES)
    assert str(caught.value).startswith(
        "the data has 6 classes (cat, dog, eel, fox, gnu, ...), but row F of small has 3 outputs: "
    )
    assert remedy in str(caught.value)


def test_a_variant_is_given_the_parameter_of_its_base(tmp_path: Path) -> None:
    (tmp_path / "base.net").write_text("net base(classes=3)\ninput image 8x8x3\nF: fc classes\n")
    variant = tmp_path / "variant.net"
    variant.write_text('net variant(classes=4) from "base.net" {\n}\n')
    with pytest.raises(DataError, match="has 4 outputs: use --set classes=6"):
        require_outputs(netspec.load(variant), CLASSES)


def test_heads_need_as_many_outputs() -> None:
    two = netspec.loads(HEADS, "two", classes=6)
    with pytest.raises(DataError, match="row side of two has 4 outputs: write 6 outputs into row"):
        require_outputs(two, CLASSES)


def test_outputs_without_a_class_are_told() -> None:
    assert require_outputs(net("F: fc classes"), CLASSES[:3]) == []
    (one,) = require_outputs(net("F: fc classes"), CLASSES[:2])
    assert one.startswith("output 2 of row F has no class, since the data has 2 classes (cat, dog)")
    assert one.endswith("To remove them, use --set classes=2")
    main, side = require_outputs(netspec.loads(HEADS, "two", classes=8), CLASSES[:2])
    assert main.startswith("outputs 2 to 7 of row out have")
    assert side.startswith("outputs 2 to 3 of row side have")


# ----------------------------------------------------------------------------------------- batches

FC = "a: fc 4 | bn eps=1e-5\nF: fc 3"
POOLED = "a: conv 3x3, 4 | gap | bn eps=1e-5\nF: fc 3"
MAPS = "a: conv 3x3, 4 | bn eps=1e-5\nF: fc 3"
INSIDE = "block b = fc 4 | bn eps=1e-5\na: b\nF: fc 3"


@pytest.mark.parametrize("rows", [FC, POOLED, INSIDE])
@pytest.mark.parametrize(
    ("images", "batch", "says"),
    [
        (36, 7, "36 images are 5 batches of 7 and a last batch of 1 image"),
        (8, 7, "8 images are 1 batch of 7 and a last batch of 1 image"),
        (5, 1, "a batch is 1 image"),
        (1, 7, "a batch is 1 image"),
    ],
)
def test_a_batch_of_one_is_refused_where_vectors_are_normalised(
    rows: str, images: int, batch: int, says: str
) -> None:
    small = net(rows)
    with pytest.raises(DataError) as caught:
        require_batches(small, images, batch)
    message = str(caught.value)
    assert message.startswith(f"{says}, but `bn` in row a of small normalises")
    if images > 1:  # what it advises is accepted
        require_batches(small, images, int(message.rpartition("--batch ")[2]))
    else:
        assert message.endswith("add images")


@pytest.mark.parametrize("rows", [MAPS, "F: fc 3"])
def test_other_nets_learn_from_one_image(rows: str) -> None:
    require_batches(net(rows), 36, 7)
    require_batches(net(rows), 5, 1)


def test_how_many_images_a_step_needs() -> None:
    rows = (FC, POOLED, INSIDE, MAPS, "F: fc 3")
    assert [least_images(net(each)) for each in rows] == [2, 2, 2, 1, 0]


class Noting(Report):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize("rows", [FC, MAPS])
def test_a_step_that_loses_its_images_is_left_out(photographs: Path, rows: str) -> None:
    """Six images in batches of 2, and two of them are spoilt, so that a step has one, or none."""
    for name in ("flower_0", "palace_0"):
        path = photographs / "train" / name.partition("_")[0] / f"{name}.JPEG"
        path.write_bytes(b"not an image")
    spec = photographs / "small.net"
    header = "net small\ninput image 8x8x3\n"
    prepare = "resize 8x8 | range low=-1, high=1"
    spec.write_text(f"{header}{rows}\n{recipe(prepare=prepare, batch='2', epochs='6')}")
    asked = Settings(spec=str(spec), data=f"images:{photographs}", lr=0.01)
    report = Noting()
    train(asked, photographs / "run", report=report)
    told = [note for note in report.notes if "is skipped" in note]
    needed = {FC: 2, MAPS: 1}[rows]
    assert told
    assert all(f"batch normalisation needs {needed}" in note for note in told)
    model = Run.open(photographs / "run").weights()
    assert all(tensor.isfinite().all() for tensor in model.values())


# ------------------------------------------------------------------------------------------ images


def plain(prepare: str = "", augment: str = "") -> netspec.Net:
    steps = {k: v for k, v in (("prepare", prepare), ("augment", augment)) if v}
    return netspec.loads(f"net small\ninput image 32x32x3\nF: fc 2\n{recipe(**steps)}")


def checked(folder: Path, asked: netspec.Net) -> None:
    assert asked.recipe is not None
    require_usable(asked, asked.recipe, open_data(f"images:{folder}"))


@pytest.mark.parametrize("split", ["train", "val"])
def test_images_that_are_all_too_small_are_refused(photographs: Path, split: str) -> None:
    checked(photographs, plain())
    for path in (photographs / split).rglob("*.JPEG"):
        with Image.open(path) as image:
            image.resize((31, 40)).save(path)
    with pytest.raises(DataError) as caught:
        checked(photographs, plain())
    use = {"train": "training", "val": "validation"}[split]
    assert str(caught.value).startswith(
        f"no image of {photographs}, 6 for {use} can be used, such as: example 0, "
        "flower/flower_0.JPEG: the image is 40x31, smaller than the 32x32 pixels of the crop"
    )
    checked(photographs, plain(prepare="shorter 32"))
    if split == "train":
        checked(photographs, plain(augment="rescale 32, 40 | crop 32"))


def test_one_image_that_can_be_used_is_enough(photographs: Path) -> None:
    paths = sorted((photographs / "val").rglob("*.JPEG"))
    for path in paths[:-1]:
        path.write_bytes(b"")
    checked(photographs, plain())
    paths[-1].write_bytes(b"")
    with pytest.raises(DataError, match=r"6 for validation can be used, such as: .*not an image"):
        checked(photographs, plain())


def test_names_that_the_data_does_not_have_are_told() -> None:
    net = netspec.loads('net a\ninput image 8x8x3\nclasses "blau", "rot"\na: fc 2 | softmax')
    assert other_names(net, ("blau", "rot")) == []
    (note,) = other_names(net, ("blue", "red"))
    assert note.startswith("the classes are named blue, red in the data and blau, rot in the spec")
