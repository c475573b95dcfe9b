"""Where a net comes from: specs, weights by name and by path, runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import netspec
from netspec.errors import DataError, OptionError
from netspec.inference.source import Source, is_a_run, lack, open_source, said
from netspec.ir.expects import Expects
from netspec.language.expects import prepare_of
from netspec.trained import FOLDER


def test_a_spec_may_have_weights_by_name_or_by_path(tiny: Path) -> None:
    weights = FOLDER / "lenet5-digits.safetensors"
    assert open_source("lenet5", "digits").place == weights
    assert open_source("lenet5", str(weights)).place == weights
    assert open_source("lenet5").place is None
    with pytest.raises(DataError, match="weights digit: lenet5 comes with digits, mnist5k; or"):
        open_source("lenet5", "digit")
    with pytest.raises(DataError, match=r"there are no weights digits: none come with tiny"):
        open_source(tiny / "tiny.net", "digits")
    with pytest.raises(DataError, match="is a run: use it in place of the spec"):
        open_source(tiny / "tiny.net", tiny / "run")


def test_a_file_goes_before_weights_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert open_source("lenet5", "digits").place == Path("digits")


def test_a_run_has_its_weights_and_what_it_expects(tiny: Path) -> None:
    source = open_source(tiny / "run")
    assert source.run is not None
    assert (source.dtype, source.place) == ("float32", tiny / "run")
    model = netspec.compile(source.net)
    assert source.fill(model) == f"the run {tiny / 'run'}"
    assert model.is_trained
    assert model.expects.classes == tuple("0123456789")
    assert model.expects.missing == ()
    state = source.run.weights()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_weights_that_say_nothing_leave_it_to_the_spec(tiny: Path, tmp_path: Path) -> None:
    from netspec.runtime.weights import save_tensors

    net = netspec.load(tiny / "tiny.net")
    save_tensors(netspec.compile(net).state_dict(), tmp_path / "old.safetensors")
    model = netspec.compile(net)
    assert Source(net, tmp_path / "old.safetensors").fill(model) == "the spec"
    assert model.expects is net.expects
    of_run = tiny / "run" / "weights.safetensors"
    assert Source(net, of_run).fill(model) == f"the weights {of_run}"
    assert model.expects.missing == ()


def test_options_for_another_form_are_refused(tiny: Path, tmp_path: Path) -> None:
    netspec.save_artifact(netspec.compile("lenet5"), tmp_path / "it.netspec")
    with pytest.raises(OptionError, match="the argument weights does not apply to a run, "):
        open_source(tiny / "run", "digits")
    with pytest.raises(OptionError, match="the argument settings does not apply to a run"):
        open_source(tiny / "run", None, {"n": "3"})
    with pytest.raises(DataError, match=r"it.netspec is an artifact, which is compiled: give"):
        open_source(tmp_path / "it.netspec")


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=f"{tmp_path} is not a run directory: it does not contain run.json"
    ):
        open_source(tmp_path)
    assert not is_a_run(tmp_path)
    assert not is_a_run("lenet5")


def test_what_the_caller_says_goes_before_what_travels() -> None:
    net = netspec.loads("net a\ninput image 2x2x3\na: fc 3")
    known = Expects(prepare_of("subtract mean image"), "tencrop", ("a",), np.zeros((2, 2, 3)))
    steps = prepare_of("range low=0, high=1")
    assert said(net, known, Expects(classes=("x", "y"))).classes == ("x", "y")
    assert said(net, known, Expects(classes=("x", "y"))).image is known.image
    changed = said(net, known, Expects(steps))
    assert (changed.prepare, changed.views, changed.classes) == (steps, "tencrop", ("a",))
    assert changed.image is None
    with pytest.raises(DataError, match="4 names of classes, and a has 3 outputs"):
        said(net, known, Expects(classes=tuple("wxyz")))


def test_the_advice_names_channels_in_the_order_that_stands_before_it() -> None:
    text = "net a\ninput image 8x8x3\nprepare {}subtract mean channel\na: fc 2"
    for before, numbers in (("", "R G B"), ("order bgr | ", "B G R")):
        net = netspec.loads(text.format(before))
        assert f"subtract {numbers}" in lack(net, net.expects, "the spec")


def test_what_is_lacking_is_said_with_steps_that_can_be_given_back(tiny: Path) -> None:
    net = netspec.load(tiny / "tiny.net")
    message = lack(net, net.expects, "the spec")
    assert message.startswith(
        "`subtract mean channel` needs the training set of tiny, and the spec"
    )
    assert message.endswith('give the numbers: --prepare "range low=0, high=1 | subtract GREY"')
    steps = message.partition("--prepare ")[2].strip('"').replace("GREY", "0.5")
    assert lack(net, said(net, net.expects, Expects(prepare_of(steps))), "the spec") == ""
    with_views = Expects(prepare_of("subtract mean channel"), "tencrop")
    assert "tencrop" not in lack(net, with_views, "the spec")
