from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from netspec import SpecError, load, loads
from netspec.ir.recipe import Range, Resize, Subtract
from netspec.language.expects import prepare_of

NET = "net a(n=3)\ninput image 8x8x3\n{}\na: fc n | softmax"
TRAIN = "train {{\n  loss cross_entropy\n  optimizer sgd lr=1\n  batch 2\n  epochs 1\n  {}\n}}"


def errors(text: str) -> list[tuple[str, str]]:
    with pytest.raises(SpecError) as caught:
        loads(text)
    return [(d.code, d.span.text) for d in caught.value.diagnostics]


def test_prepare_stands_outside_a_recipe_or_in_it() -> None:
    steps = (Resize(size=(8, 8)), Range(low=0.0, high=1.0))
    text = "prepare resize 8 | range low=0, high=1"
    outside = loads(NET.format(text))
    assert outside.expects.prepare == steps
    assert outside.recipe is None
    inside = loads(NET.format(TRAIN.format(text)))
    assert inside.expects.prepare == steps
    beside = loads(NET.format(f"{text}\n{TRAIN.format('evaluate tencrop')}"))
    assert beside.expects.prepare == steps
    assert beside.recipe is not None
    assert tuple(beside.recipe.prepare) == steps  # the recipe prepares as the net does
    assert beside.expects.views == "tencrop"
    assert loads(NET.format("")).expects.prepare is None


def test_a_recipe_that_does_not_prepare_shows_values_as_they_are_with_a_warning() -> None:
    net = loads(NET.format(TRAIN.format("")))
    assert net.expects.prepare == ()
    assert [(d.code, d.span.text) for d in net.warnings] == [("NS504", "train")]
    assert not loads(NET.format(f"prepare invert\n{TRAIN.format('')}")).warnings


def test_prepare_stands_once() -> None:
    text = f"prepare resize 8\n{TRAIN.format('prepare resize 8')}"
    assert errors(NET.format(text)) == [("NS131", "prepare")]
    assert errors(NET.format("prepare resize 8\nprepare invert")) == [("NS131", "prepare")]


@pytest.mark.parametrize("base", ["prepare resize 8", TRAIN.format("prepare resize 8")])
@pytest.mark.parametrize("own", ["prepare invert", TRAIN.format("prepare invert")])
def test_a_variant_prepares_as_it_says_itself(tmp_path: Path, base: str, own: str) -> None:
    (tmp_path / "base.net").write_text(NET.format(base))
    (tmp_path / "own.net").write_text(f"net b from base\n{own}")
    (tmp_path / "same.net").write_text("net c from base")
    assert str(load(tmp_path / "own.net").expects) == "invert"
    assert str(load(tmp_path / "same.net").expects) == "resize 8x8"


@pytest.mark.parametrize(
    ("statement", "code", "place"),
    [
        ("prepare resize", "NS133", "resize"),
        ("prepare resise 8", "NS151", "resise"),
        ("prepare crop 8", "NS151", "crop"),
        ("prepare subtract 1 2", "NS155", "subtract 1 2"),
        ("prepare subtract 1 2 3 4", "NS135", "4"),
        ("prepare divide 0", "NS132", "0"),
        ("prepare shorter 8 with magic", "NS113", "magic"),
        ("prepare subtract mean", "NS133", "subtract"),
        ("prepare range low=0, high=1 | resize 8", "NS157", "resize 8"),
        ("prepare invert | center 8", "NS157", "center 8"),
        ("prepare subtract 1 | shorter 9 with box | center 8", "NS157", "shorter 9 with box"),
        ("prepare resize 8 | subtract mean image | subtract mean channel", "NS157",
         "subtract mean channel"),
        (TRAIN.format("prepare order bgr | resize 8"), "NS157", "resize 8"),
        (TRAIN.format("prepare divide 2 | center 8"), "NS157", "center 8"),
        ('classes "imagenet"', "NS156", '"imagenet"'),
        ('classes "x", "x", "y"', "NS156", '"x"'),
        ('classes "a", "b", "c", "d"', "NS156", "classes"),
        ('classes "a", "b"\nclasses "c", "d"', "NS131", "classes"),
        ('classes "names.txt"', "NS001", '"names.txt"'),
    ],
)  # fmt: skip
def test_mistakes_are_named_at_their_place(statement: str, code: str, place: str) -> None:
    assert errors(NET.format(statement)) == [(code, place)]


def test_bgr_is_for_three_channels() -> None:
    grey = "net a\ninput image 8x8x1\nprepare order bgr\na: fc 2"
    assert errors(grey) == [("NS155", "order bgr")]


def test_classes_are_named_one_by_one_or_by_a_list(tmp_path: Path) -> None:
    assert loads(NET.format('classes "cat", "dog"')).expects.classes == ("cat", "dog")
    ten = 'net a\ninput image 8x8x3\nclasses "cifar-10"\na: fc 10'
    assert loads(ten).expects.classes[:2] == ("airplane", "automobile")
    (tmp_path / "names.txt").write_text("one\n  zwei \ntr\N{LATIN SMALL LETTER E WITH ACUTE}s\n")
    (tmp_path / "a.net").write_text(NET.format('classes "names.txt"'))
    net = load(tmp_path / "a.net")
    assert net.expects.classes == ("one", "zwei", "tr\N{LATIN SMALL LETTER E WITH ACUTE}s")
    (tmp_path / "names.txt").unlink()
    # a pickle, like an artifact, has the file with it
    assert pickle.loads(pickle.dumps(net)).expects.classes == net.expects.classes


@pytest.mark.parametrize(
    "content", [b"", b"\n \n", b"a\n\xff\n", b"a\x00b", b"a\n\nb\n", b"a\nb\n a\n"]
)
def test_a_list_that_cannot_be_used_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "names.txt").write_bytes(content)
    (tmp_path / "a.net").write_text(NET.format('classes "names.txt"'))
    with pytest.raises(SpecError, match=r"names\.txt"):
        load(tmp_path / "a.net")


def test_a_list_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("secret")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.net").write_text(NET.format('classes "../names.txt"'))
    with pytest.raises(SpecError, match="outside the folder"):
        load(tmp_path / "below" / "a.net")


def test_imagenets_names_are_a_thousand_in_the_order_of_wordnet() -> None:
    net = loads('net a\ninput image 8x8x3\nclasses "imagenet-1k"\na: fc 1000')
    assert len(set(net.expects.classes)) == 1000
    assert net.expects.classes[0] == "tench"
    assert net.expects.classes[207] == "golden retriever"
    assert net.expects.classes[999] == "toilet tissue"


def test_names_of_another_net_are_dropped_under_settings_with_a_note() -> None:
    net = loads(NET.format('classes "a", "b", "c"'), n=2)
    assert net.expects.classes == ()
    assert [(note.code, note.span.text) for note in net.notes] == [("NS305", "classes")]
    assert loads(NET.format('classes "a", "b", "c"'), n=4).expects.classes == ("a", "b", "c")


def test_the_words_still_label_rows() -> None:
    net = loads(
        "net a\ninput image 8x8x3\nprepare: conv 3x3, 4\nclasses from prepare: fc 2\n"
        "b from classes: softmax"
    )
    assert list(net.graph.rows) == ["prepare", "classes", "b"]


def test_what_is_subtracted_are_the_statistics_or_numbers() -> None:
    steps = loads(NET.format("prepare subtract mean channel | divide 2")).expects.prepare
    assert steps is not None
    assert steps[0] == Subtract(what="mean", over="channel")


def test_steps_outside_of_a_spec_are_checked_as_in_one() -> None:
    with pytest.raises(SpecError, match=r"NS157.*`center` changes the size"):
        prepare_of("range low=0, high=1 | center 8")
