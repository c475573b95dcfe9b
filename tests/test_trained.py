"""The weights that come with netspec are what is said of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from benchmarks.trained import main as keep
from netspec import bundled, load
from netspec.cli import main
from netspec.compiler import compile as compile_net
from netspec.data import open_data
from netspec.data.preprocessing import for_testing
from netspec.errors import DataError
from netspec.runtime.weights import load_weights
from netspec.trained import FOLDER, names, trained
from netspec.training.settings import recipe_json
from tests.training.runs import settings as small_settings

DIGIT = Path(__file__).parents[1] / "docs" / "images" / "digit.png"
CASES = [(net, name) for net in bundled() for name in names(net)]


def test_lenet5_comes_with_weights() -> None:
    assert CASES == [("lenet5", "digits"), ("lenet5", "mnist5k")]
    for name, error in (("digits", 2), ("mnist5k", 2.5)):
        pretrained = trained("lenet5", name)
        assert pretrained.weights.stat().st_size == pretrained.about["weights"]["bytes"] < 260_000
        assert pretrained.about["validation"]["error"] <= error


@pytest.mark.parametrize(("spec", "name"), CASES)
def test_their_error_is_what_is_said(spec: str, name: str) -> None:
    pretrained, net = trained(spec, name), load(spec)
    splits = open_data(name)
    for use, split in splits._asdict().items():
        said = {"name": split.name, "images": len(split), "digest": split.digest}
        assert pretrained.about["data"][use] == said
    view = for_testing(net.recipe, net.input_shape, None)
    model = compile_net(net)
    load_weights(model, pretrained.weights)
    examples = [splits.validation.example(i) for i in range(len(splits.validation))]
    images = np.concatenate([view(one.pixels) for one in examples])
    with torch.inference_mode():
        outputs = model(torch.from_numpy(images).movedim(-1, 1)).flatten(1)
    wrong = int((outputs.argmax(1) != torch.tensor([one.label for one in examples])).sum())
    said = pretrained.about["validation"]
    assert (wrong, len(examples)) == (said["wrong"], said["images"])
    assert said["error"] == pytest.approx(100 * wrong / len(examples), abs=1e-4)


@pytest.mark.parametrize(("spec", "name"), CASES)
def test_they_are_of_the_recipe_as_it_is(spec: str, name: str) -> None:
    net = load(spec)
    about = trained(spec, name).about
    assert net.recipe is not None
    assert about["recipe"] == json.loads(json.dumps(recipe_json(net.recipe)))
    assert about["parameters"] == net.totals.parameters
    assert about["command"] == f"netspec train {spec} --data {name} --seed 0 -o RUN"


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    for path in FOLDER.glob("lenet5-digits.*"):
        shutil.copy(path, tmp_path)
    content = bytearray((tmp_path / "lenet5-digits.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "lenet5-digits.safetensors").write_bytes(content)
    with pytest.raises(DataError, match="damaged: install netspec again"):
        trained("lenet5", "digits", tmp_path)
    (tmp_path / "lenet5-digits.safetensors").unlink()
    with pytest.raises(DataError, match="damaged"):
        trained("lenet5", "digits", tmp_path)


def test_the_digit_of_the_demo_is_held_out_and_read() -> None:
    example = open_data("digits").validation.example(3)
    with Image.open(DIGIT) as image:
        assert np.array_equal(np.asarray(image), example.pixels[..., 0])
    words = ["run", "lenet5", str(DIGIT), "--weights", "digits", "--json"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    answer = json.loads(done.output)
    assert answer["trained"]
    best = answer["results"][0]["top"][0]
    assert (best["class"], best["name"]) == (example.label, str(example.label))
    assert best["score"] > 0.9


def test_a_file_is_meant_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits").write_bytes(b"nothing")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["run", "lenet5", str(DIGIT), "--weights", "digits"])
    assert done.exit_code == 1
    assert "not a complete safetensors file" in done.stderr


def test_weights_of_another_data_set_are_not_there() -> None:
    done = CliRunner().invoke(main, ["run", "lenet5", str(DIGIT), "--weights", "mnist"])
    assert done.exit_code == 1
    assert "there are no weights mnist: lenet5 comes with digits" in done.stderr


def test_a_finished_run_is_kept_with_what_it_is(tmp_path: Path) -> None:
    from netspec.training.loop import train

    result = train(small_settings(tmp_path, epochs=1), tmp_path / "run")
    keep([str(tmp_path / "run")], tmp_path / "kept")
    pretrained = trained("small", "digits", tmp_path / "kept")
    assert names("small", tmp_path / "kept") == ["digits"]
    assert pretrained.about["validation"]["error"] == pytest.approx(result.top1, abs=1e-4)
    assert (
        pretrained.weights.read_bytes() == (tmp_path / "run" / "weights.safetensors").read_bytes()
    )
