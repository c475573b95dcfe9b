"""What is used: forms of a net, what they expect, and the line that says it."""

from __future__ import annotations

from pathlib import Path

import pytest

import netspec
from netspec.errors import DataError, OptionError
from netspec.inference.subject import open_subject
from netspec.ir.expects import Expects
from netspec.language.expects import prepare_of

TEXT = "net it\ninput image 6x5x3\n{}\na: fc 2 | softmax\n"


def test_each_form_says_where_what_it_expects_is_from(tiny: Path, tmp_path: Path) -> None:
    run = open_subject(tiny / "run")
    netspec.save_artifact(run.model, tmp_path / "it.netspec")
    weights = tiny / "run" / "weights.safetensors"
    artifact = open_subject(tmp_path / "it.netspec")
    spec = open_subject(tiny / "tiny.net", weights=weights)
    assert run.origin == f"the run {tiny / 'run'}"
    assert artifact.origin == f"the artifact {tmp_path / 'it.netspec'}"
    assert spec.origin == f"the weights {weights}"
    assert open_subject(run.model).origin == "the model"
    assert open_subject("lenet5", weights="digits").origin == "the weights digits"
    assert run.done == artifact.done == spec.done
    assert (run.data, artifact.data, spec.data) == ("digits:8", None, None)


def test_a_line_says_what_is_done_to_an_image(tmp_path: Path) -> None:
    steps = "prepare shorter 7 with bilinear, round=floor | order bgr | divide 58"
    subject = open_subject(netspec.loads(TEXT.format(steps)))
    assert subject.as_line() == (
        "images: shorter 7 with bilinear, round=floor | order bgr | divide 58; the centre, 6x5; "
        "from the spec"
    )
    assert "ten crops of 6x5, their outputs averaged" in subject.shown("tencrop").as_line()
    nothing = open_subject(netspec.loads(TEXT.format("")))
    assert nothing.as_line() == (
        "images: resized to cover 6x5, cut at the centre, values from 0 to 1; "
        "the net does not say how it expects them; --prepare does"
    )


def test_the_caller_s_word_is_named(tiny: Path) -> None:
    subject = open_subject(tiny / "run", expects=Expects(prepare_of("invert"), classes=("x",)))
    assert (subject.origin, subject.expects.classes) == ("--prepare", ("x",))
    named = open_subject(tiny / "run", expects=Expects(classes=("x",)))
    assert named.origin == f"the run {tiny / 'run'}"


def test_trained_weights_without_their_means_are_refused_random_ones_are_not(tiny: Path) -> None:
    net = netspec.load(tiny / "tiny.net")
    random = open_subject(net)
    assert random.origin == "the spec, without `subtract mean channel`"
    model = netspec.compile(net)
    model.load_state_dict(netspec.compile(net, seed=1).state_dict())
    with pytest.raises(DataError, match=r'needs the training set of tiny.*--prepare "range low=0'):
        open_subject(model)


def test_options_for_another_form_are_refused(tiny: Path, tmp_path: Path) -> None:
    netspec.save_artifact(netspec.compile("lenet5"), tmp_path / "it.netspec")
    cases = [
        (tmp_path / "it.netspec", {"weights": "digits"}, "the argument weights is for a spec"),
        (tmp_path / "it.netspec", {"settings": {"n": "3"}}, "the argument settings is for a spec"),
        (tmp_path / "it.netspec", {"device": "cpu"}, "the argument device is for a spec"),
        (tiny / "run", {"expect": "0" * 64}, "the argument expect is for an artifact"),
        (tiny / "run", {"weights": "digits"}, "the argument weights does not apply to a run"),
        (
            "lenet5",
            {"expect": "0" * 64},
            "expect is for an artifact, and lenet5 is not",
        ),
        (netspec.compile("lenet5"), {"weights": "digits"}, "the argument weights is for a spec"),
        (
            netspec.load("lenet5"),
            {"expect": "0" * 64},
            "expect is for an artifact, and lenet5 is not",
        ),
    ]
    for form, options, message in cases:
        with pytest.raises(OptionError, match=message):
            open_subject(form, **options)  # type: ignore[arg-type]
