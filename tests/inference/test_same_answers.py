"""A trained net has the same answers for the same files in whatever form it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import netspec
from netspec import Classification, DataError
from netspec.cli import main
from netspec.data import open_data
from netspec.inference.testing import evaluate
from netspec.trained import FOLDER
from netspec.training.loop import train
from netspec.training.settings import Settings
from tests.data.files import write_mnist, write_photographs
from tests.inference.consumer import Array, Consumer

TRAIN = """
train {{
    {}
    loss      cross_entropy
    init      glorot
    optimizer sgd lr=0.05, momentum=0.9
    batch     6
    epochs    {}
    {}
}}
"""

ROWS = "C1: conv 3x3, 6 | relu | maxpool 2x2, stride 2\nF2: fc 8 | relu\nF3: fc {} | softmax\n"


@dataclass(frozen=True)
class Case:
    """A net, its recipe, and data that it learns from."""

    text: str
    data: str
    dtype: str = "float32"


MEAN_IMAGE = (
    "net photos\ninput image 20x22x3\n"
    + ROWS.format(2)
    + TRAIN.format(
        "prepare   resize 24x26 | range low=-1, high=1 | subtract mean image\n"
        "    augment   crop 20x22 | flip",
        12,
        "evaluate  tencrop",
    )
)

BGR = (
    "net caffe\ninput image 24x24x3\n"
    "prepare shorter 27 with bilinear, round=floor | center 24, round=even | order bgr "
    "| subtract 103.939 116.779 123.68 | divide 58\n" + ROWS.format(2) + TRAIN.format("", 12, "")
)

CIFAR = (
    "net coloured\ninput image 32x32x3\n"
    + ROWS.format(2)
    + TRAIN.format(
        "prepare   resize 32x32 | invert | range low=0, high=1 | subtract mean channel "
        "| divide 0.25 0.26 0.27",
        12,
        "",
    )
)

MNIST = (
    "net numerals\ninput image 28x28x1\n"
    + ROWS.format(12)
    + TRAIN.format("prepare   range low=0, high=1 | subtract mean channel", 6, "")
)

CASES = {
    "photographs": Case(MEAN_IMAGE, "images"),
    "bgr": Case(BGR, "images"),
    "bgr, bfloat16": Case(BGR, "images", "bfloat16"),
    "cifar": Case(CIFAR, "images"),
    "mnist": Case(MNIST, "mnist"),
}


@dataclass(frozen=True)
class Trained:
    """A run, and everything that was made of it."""

    folder: Path
    data: str
    dtype: str
    pictures: list[str]

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


def netspec_says(*arguments: object) -> str:
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    return done.output


def folder_of(data: str, folder: Path, photograph: Path) -> str:
    """Write a data set; return its name."""
    if data == "images":
        classes = {"palace": photograph, "a flöwer": photograph.with_name("flower.jpg")}
        write_photographs(folder / "data", classes, count=6)
    else:
        (folder / "data").mkdir()
        labels = np.arange(45) % 10
        images = np.random.default_rng(0).integers(0, 60, (45, 28, 28))
        for image, label in zip(images, labels, strict=True):
            image[2 + 2 * label : 6 + 2 * label, 4:24] += 180
        write_mnist(folder / "data", images, labels)
    return f"{data}:{folder / 'data'}"


@pytest.fixture(scope="module", params=CASES)
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, photograph: Path
) -> Trained:
    case, folder = CASES[request.param], tmp_path_factory.mktemp("answers")
    (folder / "it.net").write_text(case.text, encoding="utf-8")
    data = folder_of(case.data, folder, photograph)
    train(Settings(str(folder / "it.net"), data=data, dtype=case.dtype), folder / "run")
    shown = open_data(data).validation
    (folder / "pictures").mkdir()
    for number in range(len(shown)):
        pixels = shown.example(number).pixels
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        picture.save(folder / "pictures" / f"{number:02}.png")
    for name in ("artifact", "it.netspec", "it.pt2", *(["it.onnx"] * (case.dtype == "float32"))):
        netspec_says("compile", folder / "run", "-o", folder / name)
    pictures = sorted(map(str, (folder / "pictures").iterdir()))
    return Trained(folder, data, case.dtype, pictures)


def answers(results: list[Classification]) -> list[tuple[int, str]]:
    return [(one.best.number, one.best.name) for one in results]


def by_onnx(path: Path) -> Consumer:
    session = onnxruntime.InferenceSession(path)

    def run(images: Array) -> Array:
        (outputs,) = session.run(None, {session.get_inputs()[0].name: images})
        return outputs

    return Consumer(path.with_name(f"{path.name}.json"), run)


def by_pt2(path: Path) -> Consumer:
    program = torch.export.load(path).module()
    consumer = Consumer(path.with_name(f"{path.name}.json"), lambda images: images)
    dtype = getattr(torch, consumer.about["dtype"])

    def run(images: Array) -> Array:
        with torch.inference_mode():
            outputs: Any = program(torch.from_numpy(images).to(dtype))
        numbers: Array = outputs.float().numpy()
        return numbers

    consumer.net = run
    return consumer


def tolerance(dtype: str) -> float:
    """How far probabilities of two programs are apart at most, for nets of some 3,000 terms a sum.

    Rounding a sum of products of values near 1 differs by some ``sqrt(terms)`` units in the last
    place, 2^-24 or 2^-9; a softmax passes on no more than that of its logits, which are below 10.
    """
    return (
        10 * 3000**0.5 * 2.0 ** {"float32": -24, "bfloat16": -9}[dtype] / 10 ** (dtype != "float32")
    )


def test_the_net_has_learned_and_its_names_are_those_of_the_data(trained: Trained) -> None:
    dataset = open_data(trained.data).validation
    labels = [dataset.example(number).label for number in range(len(dataset))]
    said = answers(netspec.classify(trained / "run", trained.pictures))
    assert [dataset.classes[number] for number, _ in said] == [name for _, name in said]
    right = [number == label for (number, _), label in zip(said, labels, strict=True)]
    assert sum(right) >= 0.75 * len(right)
    assert len({*said}) > 1


@pytest.mark.parametrize("form", ["artifact", "it.netspec"])
def test_an_artifact_answers_as_its_run(form: str, trained: Trained) -> None:
    expected = netspec.classify(trained / "run", trained.pictures)
    assert netspec.classify(trained / form, trained.pictures) == expected


def test_a_spec_with_the_weights_answers_as_their_run(trained: Trained) -> None:
    expected = netspec.classify(trained / "run", trained.pictures)
    weights = trained / "run" / "weights.safetensors"
    model = netspec.compile(trained / "it.net", dtype=getattr(torch, trained.dtype))
    netspec.load_weights(model, weights)
    assert netspec.classify(model, trained.pictures) == expected
    by_path = netspec.classify(trained / "it.net", trained.pictures, weights=weights)
    assert answers(by_path) == answers(expected)


@pytest.mark.parametrize(("name", "reader"), [("it.onnx", by_onnx), ("it.pt2", by_pt2)])
def test_another_program_answers_as_the_run(
    name: str, reader: Callable[[Path], Consumer], trained: Trained
) -> None:
    if not (trained / name).exists():
        done = CliRunner().invoke(
            main, ["compile", str(trained / "run"), "-o", str(trained / name)]
        )
        assert "ONNX has no convolutions in bfloat16" in done.stderr
        return
    consumer = reader(trained / name)
    for result in netspec.classify(trained / "run", trained.pictures, top=100):
        number, named, scores = consumer.classify(Path(result.image))
        assert (number, named) == (result.best.number, result.best.name)
        for answer in result.answers:
            assert scores[answer.number] == pytest.approx(
                answer.score, abs=tolerance(trained.dtype)
            )


def test_the_error_is_the_same_in_every_form(trained: Trained) -> None:
    alone = evaluate([trained / "run"])
    forms: dict[Path, dict[str, Any]] = {
        trained / "artifact": {},
        trained / "it.netspec": {},
        trained / "it.net": {"weights": trained / "run" / "weights.safetensors"},
    }
    for path, options in forms.items():
        evaluation = evaluate([path], trained.data, **options)
        assert evaluation.ensemble == alone.ensemble, path
        assert {*evaluation.applied.values()} == {*alone.applied.values()}
        with pytest.raises(DataError, match="does not say what to test on: --data"):
            evaluate([path], **options)


def test_several_forms_are_averaged(trained: Trained) -> None:
    nets = [trained / "run", trained / "artifact", trained / "it.net"]
    evaluation = evaluate(nets, weights=trained / "run" / "weights.safetensors")
    assert [*evaluation.runs] == nets
    assert {*evaluation.runs.values()} == {evaluation.ensemble}


# ------------------------------------------------------------------------- weights that come with it


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    folder = tmp_path_factory.mktemp("digits")
    shown = open_data("digits").validation
    for number in range(len(shown)):
        Image.fromarray(shown.example(number).pixels[..., 0]).save(folder / f"{number:03}.png")
    pictures = sorted(map(str, folder.iterdir()))
    for name in ("artifact", "it.netspec", "it.onnx", "it.pt2"):
        netspec_says("compile", "lenet5", "--weights", "digits", "-o", folder / name)
    yield folder, pictures


def test_all_360_digits_are_answered_alike_and_357_right(
    digits: tuple[Path, list[str]],
) -> None:
    folder, pictures = digits
    dataset = open_data("digits").validation
    labels = [str(dataset.example(number).label) for number in range(len(dataset))]
    by_name = answers(netspec.classify("lenet5", pictures, weights="digits"))
    assert sum(name == label for (_, name), label in zip(by_name, labels, strict=True)) == 357
    weights = FOLDER / "lenet5-digits.safetensors"
    assert answers(netspec.classify("lenet5", pictures, weights=weights)) == by_name
    for form in ("artifact", "it.netspec"):
        assert answers(netspec.classify(folder / form, pictures)) == by_name
    for consumer in (by_onnx(folder / "it.onnx"), by_pt2(folder / "it.pt2")):
        assert [consumer.classify(Path(picture))[:2] for picture in pictures] == by_name


def test_the_error_of_digits_is_the_same_in_every_form(digits: tuple[Path, list[str]]) -> None:
    folder, _ = digits
    for nets, weights in (
        (["lenet5"], "digits"),
        ([folder / "artifact", folder / "it.netspec"], None),
    ):
        evaluation = evaluate(nets, "digits", weights=weights)
        assert {errors.wrong1 for errors in evaluation.runs.values()} == {3}
        assert evaluation.ensemble.images == 360
