"""A trained net has the same answers for the same files in whatever form it is used."""

from __future__ import annotations

from collections.abc import Callable
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

ROWS = "C1: conv 3x3, 6 | relu | maxpool 2x2/2\nF2: fc 8 | relu\nF3: fc {} | softmax\n"


@dataclass(frozen=True)
class Case:
    """A net with its recipe, data that it learns from, and the type that it is compiled for."""

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
    """A run, and everything that was made of it.

    Attributes:
        folder: the spec ``it.net``, the run, and the forms that it was compiled to.
        data: what it learned from.
        dtype: of the compiled forms; a run is in float32.
        pictures: the files of its validation set.
        expected: the answers of the compiled net in memory.
    """

    folder: Path
    data: str
    dtype: str
    pictures: list[str]
    expected: list[Classification]

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
    train(Settings(spec=str(folder / "it.net"), data=data), folder / "run")
    shown = open_data(data).validation
    (folder / "pictures").mkdir()
    for number in range(len(shown)):
        pixels = shown.example(number).pixels
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        picture.save(folder / "pictures" / f"{number:02}.png")
    for name in forms(case.dtype):
        netspec_says("compile", folder / "run", "-o", folder / name, "--dtype", case.dtype)
    pictures = sorted(map(str, (folder / "pictures").iterdir()))
    model = netspec.compile(folder / "it.net", dtype=getattr(torch, case.dtype))
    netspec.load_weights(model, folder / "run" / "weights.safetensors")
    expected = netspec.classify(model, pictures, top=100)
    return Trained(folder, data, case.dtype, pictures, expected)


def forms(dtype: str) -> list[str]:
    """What a net is compiled to; ONNX has no convolutions in bfloat16."""
    return ["artifact", "it.netspec", "it.pt2", *(["it.onnx"] if dtype == "float32" else [])]


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


# How far the probabilities of two programs are apart at most.  Each of three layers rounds values
# below 10 to units of 2^-9 in bfloat16, with sums in float32; in float32 a sum of some 1,000 terms
# is rounded to sqrt(1000) units of 2^-24.  A softmax passes on no more than that.
TOLERANCES = {"bfloat16": 3 * 10 * 2**-9, "float32": 3 * 10 * 1000**0.5 * 2**-24}


def test_the_net_has_learned_and_its_names_are_those_of_the_data(trained: Trained) -> None:
    dataset = open_data(trained.data).validation
    labels = [dataset.example(number).label for number in range(len(dataset))]
    said = answers(trained.expected)
    assert [dataset.classes[number] for number, _ in said] == [name for _, name in said]
    right = [number == label for (number, _), label in zip(said, labels, strict=True)]
    assert sum(right) >= 0.75 * len(right)
    assert len({*said}) > 1


def test_the_run_and_its_spec_with_its_weights_answer_alike(trained: Trained) -> None:
    weights = trained / "run" / "weights.safetensors"
    by_run = netspec.classify(trained / "run", trained.pictures, top=100)
    by_path = netspec.classify(trained / "it.net", trained.pictures, weights=weights, top=100)
    assert by_path == by_run
    assert answers(by_path) == answers(trained.expected)
    if trained.dtype == "float32":
        assert by_run == trained.expected


@pytest.mark.parametrize("form", ["artifact", "it.netspec"])
def test_an_artifact_answers_as_the_net_in_memory(form: str, trained: Trained) -> None:
    assert netspec.classify(trained / form, trained.pictures, top=100) == trained.expected


@pytest.mark.parametrize(("name", "reader"), [("it.onnx", by_onnx), ("it.pt2", by_pt2)])
def test_another_program_answers_as_the_net_in_memory(
    name: str, reader: Callable[[Path], Consumer], trained: Trained
) -> None:
    if name not in forms(trained.dtype):
        done = CliRunner().invoke(
            main,
            ["compile", str(trained / "run"), "-o", str(trained / name), "--dtype", "bfloat16"],
        )
        assert "ONNX does not have convolutions in bfloat16" in done.stderr
        return
    consumer = reader(trained / name)
    for result in trained.expected:
        number, named, scores = consumer.classify(Path(result.image))
        assert (number, named) == (result.best.number, result.best.name)
        given = [scores[answer.number] for answer in result.answers]
        wanted = [answer.score for answer in result.answers]
        assert given == pytest.approx(wanted, abs=TOLERANCES[trained.dtype])


def test_the_error_is_the_same_in_every_form(trained: Trained) -> None:
    alone = evaluate([trained / "run"])
    others: dict[Path, dict[str, Any]] = {
        trained / "artifact": {},
        trained / "it.netspec": {},
        trained / "it.net": {"weights": trained / "run" / "weights.safetensors"},
    }
    for path, options in others.items():
        evaluation = evaluate([path], trained.data, **options)
        assert evaluation.ensemble == alone.ensemble, path
        assert {*evaluation.applied.values()} == {*alone.applied.values()}
        with pytest.raises(DataError, match="does not have a data set: give one with --data"):
            evaluate([path], **options)


def test_several_forms_are_averaged(trained: Trained) -> None:
    nets = [trained / "run", trained / "artifact", trained / "it.net"]
    evaluation = evaluate(nets, weights=trained / "run" / "weights.safetensors")
    assert [*evaluation.runs] == nets
    assert {*evaluation.runs.values()} == {evaluation.ensemble}


# ---------------------------------------------------------------------- weights that come with it


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder, shown = tmp_path_factory.mktemp("digits"), open_data("digits").validation
    for number in range(len(shown)):
        Image.fromarray(shown.example(number).pixels[..., 0]).save(folder / f"{number:03}.png")
    return folder, sorted(map(str, folder.iterdir()))


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_all_360_digits_are_answered_alike_and_357_right(
    dtype: str, digits: tuple[Path, list[str]], tmp_path: Path
) -> None:
    _, pictures = digits
    weights = FOLDER / "lenet5-digits.safetensors"
    dataset = open_data("digits").validation
    labels = [str(dataset.example(number).label) for number in range(len(dataset))]
    by_name = answers(netspec.classify("lenet5", pictures, weights="digits"))
    assert sum(name == label for (_, name), label in zip(by_name, labels, strict=True)) == 357
    assert answers(netspec.classify("lenet5", pictures, weights=weights)) == by_name
    readers = {"it.onnx": by_onnx, "it.pt2": by_pt2}
    for form in forms(dtype):
        path = tmp_path / form
        netspec_says("compile", "lenet5", "--weights", "digits", "-o", path, "--dtype", dtype)
        if form in readers:
            consumer = readers[form](path)
            given = [consumer.classify(Path(picture))[:2] for picture in pictures]
        else:
            given = answers(netspec.classify(path, pictures))
            evaluation = evaluate([path], "digits")
            assert (evaluation.ensemble.images, evaluation.ensemble.wrong1) == (360, 3)
        assert given == by_name, form
    evaluation = evaluate(["lenet5"], "digits", weights="digits")
    assert (evaluation.ensemble.images, evaluation.ensemble.wrong1) == (360, 3)
