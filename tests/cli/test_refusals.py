"""Refusals of the commands that use nets: each says what is wrong, and a way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import netspec
from netspec.cli import main
from netspec.runtime.weights import save_tensors

DIGIT = Path(__file__).parents[2] / "docs" / "images" / "digit.png"

MEAN_IMAGE = """net means
input image 8x8x3
prepare subtract mean image
a: fc 3 | softmax
"""

WITHOUT_PREPARE = """net bare
input image 8x8x1
a: fc 10 | softmax
train {
    loss      cross_entropy
    optimizer sgd lr=0.01
    batch     128
    epochs    10
}
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def said(done: Result) -> str:
    return " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("FOLDER", "it is a folder; give a text file with one name per line"),
        (DIGIT, "the file is not UTF-8 text: byte 0x89; give a text file"),
        ("none.txt", "none.txt: there is no such file or list; give a text file"),
        ("imagenet", "there is no such file or list; did you mean `imagenet-1k`?"),
    ],
)
def test_what_holds_no_names_of_classes_is_said(
    classes: str | Path, message: str, tmp_path: Path
) -> None:
    given = tmp_path if classes == "FOLDER" else classes
    done = run("run", "lenet5", DIGIT, "--weights", "digits", "--classes", given)
    assert done.exit_code == 1
    assert said(done).startswith(f"error: cannot read names of classes from {given}: ")
    assert message in said(done)


def test_a_file_of_names_needs_no_suffix(tmp_path: Path) -> None:
    (tmp_path / "names").write_text("".join(f"digit {n}\n" for n in range(10)))
    done = run("run", "lenet5", DIGIT, "--weights", "digits", "--classes", tmp_path / "names")
    assert done.exit_code == 0
    assert "digit 7   99.91 %" in done.stdout


def test_an_empty_list_of_steps_is_refused_with_an_example() -> None:
    done = run("run", "lenet5", DIGIT, "--weights", "digits", "--prepare", " ")
    assert done.exit_code == 2
    assert 'prepare must be steps, such as "shorter 256 | center 224 |' in said(done)


def test_a_list_of_another_length_than_the_data_is_said(tmp_path: Path) -> None:
    (tmp_path / "two.txt").write_text("a\nb\n")
    options = ("--weights", "digits", "--data", "digits", "--classes", tmp_path / "two.txt")
    done = run("eval", "lenet5", *options)
    assert done.exit_code == 1
    assert "has names of 2 classes, and digits, 360 for validation has 10 classes" in said(done)


@pytest.mark.parametrize("name", ["it.onnx", "it.pt2", "it.onnx.json", "it.safetensors", "it.png"])
def test_a_file_that_is_not_a_net_is_said(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "it.png":
        path.write_bytes(DIGIT.read_bytes())
    elif name == "it.safetensors":
        save_tensors({}, path)
    else:
        netspec.save("lenet5", path.with_name(name.removesuffix(".json")))
    done = run("run", path, DIGIT)
    assert done.exit_code == 1
    assert f"cannot read `{path}`: it is a" in said(done)
    assert ", not a spec" in said(done)
    with pytest.raises(netspec.SpecError, match="not a spec"):
        netspec.classify(path, DIGIT)


@pytest.fixture
def means(tmp_path: Path) -> Path:
    """Weights of a net that subtracts a mean image, which they do not have."""
    (tmp_path / "means.net").write_text(MEAN_IMAGE)
    path = tmp_path / "means.safetensors"
    save_tensors(netspec.compile(tmp_path / "means.net").state_dict(), path)
    return path


def test_numbers_are_not_advised_in_place_of_an_image_of_means(means: Path) -> None:
    done = run("run", means.with_name("means.net"), DIGIT, "--weights", means)
    assert done.exit_code == 1
    assert "a mean image cannot be written as steps" in said(done)
    assert "or give the numbers" not in said(done)


@pytest.mark.parametrize("name", ["it", "it.netspec", "it.onnx", "it.pt2"])
def test_a_net_whose_mean_image_is_missing_is_not_saved(
    name: str, means: Path, tmp_path: Path
) -> None:
    spec, output = tmp_path / "means.net", tmp_path / name
    done = run("compile", spec, "--weights", means, "-o", output)
    assert done.exit_code == 1
    assert "error: `subtract mean image` needs the training set of means" in said(done)
    with pytest.raises(netspec.DataError, match="needs the training set"):
        netspec.save(spec, output, weights=means)
    assert not output.exists()
    steps = "shorter 8 | center 8 | range low=0, high=1"
    done = run("compile", spec, "--weights", means, "-o", output, "--prepare", steps)
    assert (done.exit_code, done.stderr) == (0, "")
    assert output.exists()


def test_saving_does_not_change_what_a_model_expects(means: Path, tmp_path: Path) -> None:
    model = netspec.compile(tmp_path / "means.net", weights=means)
    before = model.expects
    netspec.save(model, tmp_path / "it.netspec", prepare="range low=0, high=1")
    assert model.expects is before
    assert str(netspec.load_artifact(tmp_path / "it.netspec").expects) == "range low=0, high=1"


@pytest.mark.filterwarnings("default")
def test_no_warning_of_a_recipe_without_prepare_if_the_steps_are_given(tmp_path: Path) -> None:
    spec = tmp_path / "bare.net"
    spec.write_text(WITHOUT_PREPARE)
    assert "warning[NS504]" in run("run", spec, DIGIT, "--classes", "cifar-10").stderr
    steps = "shorter 8 | center 8 | range low=0, high=1"
    for arguments in (["run", spec, DIGIT], ["compile", spec]):
        done = run(*arguments, "--prepare", steps)
        assert (done.exit_code, done.stderr) == (0, "")


@pytest.mark.parametrize("size", [6, 10])
def test_one_rule_for_the_size_of_images_in_and_outside_of_a_recipe(
    size: int, tmp_path: Path
) -> None:
    steps = f"shorter 12 | center {size}"
    message = f"images come out of `center` as {size}x{size}, and the net takes 8x8x1"
    inside = WITHOUT_PREPARE.replace("    loss", f"    prepare {steps}\n    loss")
    outside = WITHOUT_PREPARE.replace("a: fc", f"prepare {steps}\na: fc")
    alone = outside.partition("train")[0]
    for text in (inside, outside, alone):
        (tmp_path / "a.net").write_text(text)
        done = run("check", tmp_path / "a.net")
        assert f"error[NS154]: {message}" in done.stdout + done.stderr
    (tmp_path / "a.net").write_text(alone.replace(steps, "shorter 12 | center 8"))
    assert run("check", tmp_path / "a.net").exit_code == 0
    done = run("run", tmp_path / "a.net", DIGIT, "--prepare", steps)
    assert done.exit_code == 1
    assert f"error: {message}" in said(done)


def test_a_recipe_that_crops_takes_larger_images(tmp_path: Path) -> None:
    text = WITHOUT_PREPARE.replace("    loss", "    augment   crop 8\n    loss")
    (tmp_path / "a.net").write_text(text.replace("a: fc", "prepare shorter 12 | center 10\na: fc"))
    assert run("check", tmp_path / "a.net").exit_code == 0
    done = run("run", tmp_path / "a.net", DIGIT, "--prepare", "shorter 12 | center 9")
    assert done.exit_code == 0


def test_an_artifact_is_tested_by_its_digest(tmp_path: Path) -> None:
    saved = netspec.save("lenet5", tmp_path / "it.netspec", weights="digits")
    options = (tmp_path / "it.netspec", "--data", "digits", "--expect")
    assert run("eval", *options, saved.digest).exit_code == 0
    done = run("eval", *options, "0" * 64)
    assert done.exit_code == 1
    assert "not the expected one" in said(done)
    done = run("eval", "lenet5", "--weights", "digits", "--data", "digits", "--expect", "0" * 64)
    assert done.exit_code == 2
    assert "--expect is for one artifact, and 0 are given" in said(done)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.txt", "a.mlmodel", "a.npz"])
def test_a_folder_is_not_named_like_a_file(name: str, tmp_path: Path) -> None:
    done = run("compile", "lenet5", "-o", tmp_path / name)
    assert done.exit_code == 2
    assert f"{Path(name).suffix} is the suffix of a file" in said(done)
    assert "a single file ends in .netspec" in said(done)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["a", "a.1", "lenet5-v1.0", "a.old"])
def test_other_names_are_those_of_folders(name: str, tmp_path: Path) -> None:
    netspec.save("lenet5", tmp_path / name)
    assert (tmp_path / name / "manifest.json").is_file()
