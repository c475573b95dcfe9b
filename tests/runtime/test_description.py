"""Weights that fit a net, and are of another."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import netspec
from netspec import DataError
from netspec.files.tensors import opened_tensors
from netspec.ir.expects import Expects
from netspec.runtime.description import KEY, VERSION, differences, notes
from netspec.runtime.weights import save_tensors
from tests.helpers import loaded

HEADER = "net small\ninput image 16x16x2\n"
ROWS = """
C1: conv 3x3, 4, pad=1 | relu | lrn 5
P1: maxpool 2x2/2
C2: conv 3x3, 4, pad=1, groups=2 | bn eps=0.001 | relu
F3: fc 6 | relu | dropout 0.5
out: fc 3 | softmax
"""


def net(*changes: tuple[str, str], rows: str = ROWS) -> netspec.Net:
    for old, new in changes:
        assert old in rows
        rows = rows.replace(old, new)
    return netspec.loads(HEADER + rows)


def told(then: netspec.Net, now: netspec.Net, folder: Path) -> list[str]:
    """The warnings when weights of one net are loaded into another."""
    path = folder / "w.safetensors"
    netspec.save_weights(netspec.compile(then), path)
    model = netspec.compile(now)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        netspec.load_weights(model, path)
    assert {warning.filename for warning in caught} <= {__file__}
    return [str(warning.message) for warning in caught]


OTHERS = {
    "lrn after the pool": [("| lrn 5\nP1: maxpool 2x2/2", "\nP1: maxpool 2x2/2 | lrn 5")],
    "no lrn": [("| lrn 5", "")],
    "another lrn": [("lrn 5", "lrn 5, alpha=0.002")],
    "tanh": [("groups=2 | bn eps=0.001 | relu", "groups=2 | bn eps=0.001 | tanh")],
    "no relu": [("F3: fc 6 | relu", "F3: fc 6")],
    "another pool": [("maxpool 2x2/2", "avgpool 2x2/2")],
    "other windows": [("maxpool 2x2/2", "maxpool 3x3/2, round=ceil")],
    "padding": [("3x3, 4, pad=1, groups", "3x3, 4, pad=(0, 2, 0, 2), groups")],
    "dilation": [("conv 3x3, 4, pad=1 |", "conv 3x3, 4, pad=2, dilation=2 |")],
    "another epsilon": [("eps=0.001", "eps=0.1")],
    "dropout of the paper": [("dropout 0.5", "dropout 0.5, scale=test")],
    "relu at the end": [("fc 3 | softmax", "fc 3 | relu | softmax")],
}
SAME = {
    "itself": [],
    "another rate while training": [("dropout 0.5", "dropout 0.1")],
    "no dropout": [(" | dropout 0.5", "")],
    "another momentum": [("eps=0.001", "eps=0.001, momentum=0.3")],
    "scores in place of probabilities": [(" | softmax", "")],
    "rows that begin elsewhere": [("| lrn 5\nP1: maxpool", "| lrn 5 | maxpool")],
    "another name of a row without parameters": [("P1", "pool")],
    "a default that is written": [("lrn 5", "lrn 5, alpha=0.0001")],
    "flattened first": [("F3: fc", "F3: flatten | fc")],
}


@pytest.mark.parametrize("other", OTHERS)
def test_weights_of_a_net_that_computes_something_else_are_told(other: str, tmp_path: Path) -> None:
    for then, now in ((net(), net(*OTHERS[other])), (net(*OTHERS[other]), net())):
        (warning,) = told(then, now, tmp_path)
        assert "w.safetensors fit small, but are of a net that" in warning
        assert " was `" in warning


@pytest.mark.parametrize("other", SAME)
def test_what_computes_the_same_is_not_told(other: str, tmp_path: Path) -> None:
    assert told(net(), net(*SAME[other]), tmp_path) == []
    assert told(net(*SAME[other]), net(), tmp_path) == []


def test_a_relu_may_stand_before_or_after_a_maxpool(tmp_path: Path) -> None:
    first = net(rows="a: conv 3x3, 4 | relu | maxpool 2x2/2\nout: fc 3")
    second = net(rows="a: conv 3x3, 4 | maxpool 2x2/2 | relu\nout: fc 3")
    assert told(first, second, tmp_path) == []
    images = torch.randn(2, 2, 16, 16)
    outputs = [netspec.reference(one, seed=1)(images) for one in (first, second)]
    torch.testing.assert_close(*outputs, rtol=0, atol=0)


def test_the_warning_names_the_row_and_both_ways(tmp_path: Path) -> None:
    (warning,) = told(net(*OTHERS["lrn after the pool"]), net(), tmp_path)
    then = "C1 | relu | maxpool kernel=2x2, stride=2x2 | lrn n=5 | conv kernel=3x3"
    now = "C1 | relu | lrn n=5 | maxpool kernel=2x2, stride=2x2 | conv kernel=3x3"
    assert f"C2.conv was `{then}" in warning
    assert f"and is `{now}" in warning
    assert warning.count(" was `") == 1


def test_alexnet_is_not_the_net_that_many_weights_are_of() -> None:
    caffe = netspec.loads(
        "net caffe from alexnet {\n"
        "    C1: conv 11x11x3/4, 96 | relu\n    S1: maxpool 3x3/2 | norm\n"
        "    F6: fc 4096 | relu | dropout 0.5\n}\n"
    )
    kept = notes(loaded("alexnet"), Expects())
    assert differences(loaded("alexnet"), kept, Path("a")) == []
    assert [text.partition(" ")[0] for text in differences(caffe, kept, Path("a"))] == ["C2", "F7"]


def test_many_differences_are_counted(tmp_path: Path) -> None:
    rows = "".join(f"r{i}: conv 1x1, 2 | relu\n" for i in range(9))
    (warning,) = told(net(rows=rows), net(rows=rows.replace("relu", "tanh")), tmp_path)
    assert warning.count(" was `") == 5
    assert warning.endswith("; and 4 more")


def test_joins_do_not_multiply_the_text() -> None:
    rows = "".join(f"r{i}: add {{ relu; tanh }}\n" for i in range(60))
    assert len(notes(net(rows=rows), Expects())[KEY]) < 10_000


def test_a_file_without_a_description_or_with_a_later_one_is_loaded(tmp_path: Path) -> None:
    path, model = tmp_path / "w.safetensors", netspec.compile(net())
    later = json.dumps({"version": VERSION + 1, "layers": [], "classes": ["a"]})
    for texts in (None, {}, {"format": "pt"}, {KEY: later}):
        save_tensors(model.state_dict(), path, texts)
        netspec.load_weights(model, path)
    more = json.loads(notes(net(), Expects())[KEY]) | {
        "classes": ["a", "b", "c"],
        "prepare": "scale",
    }
    save_tensors(model.state_dict(), path, {KEY: json.dumps(more)})
    netspec.load_weights(model, path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 1}', '{"version": 1, "computes": 3}']
)
def test_a_damaged_description_is_an_error(text: str, tmp_path: Path) -> None:
    path, model = tmp_path / "w.safetensors", netspec.compile(net())
    save_tensors(model.state_dict(), path, {KEY: text})
    with pytest.raises(DataError, match=r"the description in the metadata of .*w\.safetensors"):
        netspec.load_weights(model, path)


def test_each_bundled_net_has_a_short_description_of_its_own() -> None:
    texts = {
        name: notes(loaded(name), Expects())[KEY]
        for name in netspec.bundled()
        if not loaded(name).symbols
    }
    assert len({json.dumps(json.loads(text)["computes"]) for text in texts.values()}) == len(texts)
    assert max(map(len, texts.values())) < 40_000


def test_bundled_weights_say_what_they_are_of() -> None:
    from netspec.trained import FOLDER

    lenet5 = netspec.load("lenet5")
    expects = replace(lenet5.expects, classes=tuple("0123456789"))
    for name in ("digits", "mnist5k"):
        with opened_tensors(FOLDER / f"lenet5-{name}.safetensors") as file:
            assert file.notes[KEY] == notes(lenet5, expects)[KEY]
