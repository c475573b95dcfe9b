"""What a net expects of images, and its heads, in artifacts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import netspec
from netspec import DataError, load_artifact, loads, save_artifact
from netspec.artifact.loading import load_manifest
from netspec.data.preprocessing import resolved
from netspec.ir.expects import Expects
from netspec.ir.recipe import Subtract
from netspec.runtime.verification import random_images
from tests.artifact.helpers import artifact, changed
from tests.data.test_preprocessing import Constant

TEXT = """net small
input image 6x5x3
prepare shorter 9 with bilinear, round=floor | order bgr | {}
classes "cat", "dog"
a: conv 3x3, 4 | relu
head h from a, weight=0.3: gap | fc 2 | softmax
out from a: gap | fc 3 | softmax
"""

FORMS = pytest.mark.parametrize("form", ["", ".netspec"])


@FORMS
def test_what_a_net_expects_comes_back(form: str, tmp_path: Path) -> None:
    model = netspec.compile(loads(TEXT.format("subtract 1 2.5 (-3) | divide 2")))
    save_artifact(model, tmp_path / f"it{form}")
    loaded = load_artifact(tmp_path / f"it{form}")
    assert loaded.expects.prepare == model.net.expects.prepare
    assert loaded.expects.classes == ("cat", "dog")
    assert loaded.expects.views == "center"
    assert loaded.expects.image is None


@FORMS
def test_the_image_of_means_travels_too(form: str, tmp_path: Path) -> None:
    model = netspec.compile(loads(TEXT.format("subtract mean image")))
    image = np.random.default_rng(0).uniform(0, 255, (6, 5, 3)).astype(np.float32)
    model.expects = resolved(model.expects, Constant(image.astype(np.float64)))
    save_artifact(model, tmp_path / f"it{form}")
    loaded = load_artifact(tmp_path / f"it{form}")
    assert loaded.expects.missing == ()
    assert loaded.expects.image is not None
    assert np.array_equal(loaded.expects.image, image)
    again = save_artifact(loaded, tmp_path / f"again{form}")
    assert again == load_manifest(tmp_path / f"it{form}").root


def test_names_and_steps_of_the_model_are_kept_not_those_of_its_spec(tmp_path: Path) -> None:
    model = netspec.compile(loads(TEXT.format("invert")))
    model.expects = replace(model.expects, classes=("yes", "no", "perhaps"), views="tencrop")
    save_artifact(model, tmp_path / "it")
    loaded = load_artifact(tmp_path / "it")
    assert loaded.expects.classes == ("yes", "no", "perhaps")
    assert loaded.expects.views == "tencrop"
    assert loaded.net.expects.classes == ("cat", "dog")


def test_nothing_that_is_not_known_is_made_up(tmp_path: Path) -> None:
    model = netspec.compile(loads("net a\ninput image 8x8x3\na: fc 2"))
    save_artifact(model, tmp_path / "it")
    expects = load_artifact(tmp_path / "it").expects
    assert (expects.prepare, expects.classes) == (None, ())


@FORMS
def test_heads_are_left_out_unless_they_are_asked_for(form: str, tmp_path: Path) -> None:
    model = netspec.compile(loads(TEXT.format("invert")))
    save_artifact(model, tmp_path / f"without{form}")
    save_artifact(model, tmp_path / f"with{form}", heads=True)
    without, complete = (load_artifact(tmp_path / f"{n}{form}") for n in ("without", "with"))
    assert [name for name in complete.state_dict() if name not in without.state_dict()] == [
        "h.weight",
        "h.bias",
    ]
    assert not load_manifest(tmp_path / f"without{form}").heads
    assert load_manifest(tmp_path / f"with{form}").heads
    x = random_images(model.net, batch=2)[0].float()
    assert torch.equal(without(x), model(x))
    assert torch.equal(without.as_reference()(x), model.as_reference()(x))
    assert torch.equal(without.features("a")(x), model.features("a")(x))
    # and a copy, a pickle or another artifact of it does not ask for them
    root = save_artifact(without, tmp_path / f"again{form}", heads=True)
    assert root == load_manifest(tmp_path / f"without{form}").root


def test_an_artifact_of_the_first_format_is_read(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)

    def older(manifest: dict[str, object]) -> None:
        manifest["format"] = 1
        del manifest["heads"]
        del manifest["members"]["expects.json"]  # type: ignore[attr-defined]

    (path / "expects.json").unlink()
    changed(path, older)
    loaded = load_artifact(path)
    assert loaded.expects is loaded.net.expects
    assert "h.bias" in loaded.state_dict()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "version"),
        ('{"version": 1, "prepare": [{"step": "crop"}], "views": "center", "classes": [], '
         '"image": null}', r"prepare\[0\]` is not a step"),
        ('{"version": 1, "prepare": null, "views": "five", "classes": [], "image": null}', "views"),
        ('{"version": 1, "prepare": null, "views": "center", "classes": [], "image": [6, 5, 3]}',
         "do not belong together"),
    ],
)  # fmt: skip
def test_what_no_net_expects_is_refused(tmp_path: Path, text: str, message: str) -> None:
    from hashlib import sha256

    path, _ = artifact(tmp_path)
    (path / "expects.json").write_text(text)
    described = {"sha256": sha256(text.encode()).hexdigest(), "size": len(text)}
    changed(path, lambda manifest: manifest["members"].update({"expects.json": described}))
    with pytest.raises(DataError, match=message):
        load_artifact(path)


def test_steps_that_need_a_training_set_stay_missing(tmp_path: Path) -> None:
    model = netspec.compile(loads(TEXT.format("subtract mean channel")))
    save_artifact(model, tmp_path / "it")
    assert load_artifact(tmp_path / "it").expects.missing == (
        Subtract(what="mean", over="channel"),
    )
    assert isinstance(model.expects, Expects)
