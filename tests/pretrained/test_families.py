from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import netspec
from netspec.language.expects import classes_of, prepare_of, require_size
from netspec.pretrained.families import Family, expanded, families, family_in, family_of, near
from netspec.pretrained.layers import Layer, Weights
from tests.pretrained.examples import layer_like, trained

ALL = pytest.mark.parametrize("family", families(), ids=lambda family: str(family.name))


def file_of(family: Family, *, heads: bool = True) -> Weights:
    """The layers of a file of a family, by its table."""
    net = netspec.load(family.spec)
    kept = net if heads else net.without_heads()
    layers = tuple(
        layer_like(net, stage, name) for name, stage in family.rows.items() if stage in kept.graph
    )
    called = {"net": family.called[0]} if family.called else {}
    return Weights(Path("a"), family.formats[0], layers, facts=called)


@pytest.mark.parametrize(
    ("left", "right", "pairs"),
    [
        ("a", "b", [("a", "b")]),
        ("f.{0,3}", "C{1,2}", [("f.0", "C1"), ("f.3", "C2")]),
        ("f.{1..3}", "{a,b,c}", [("f.1", "a"), ("f.2", "b"), ("f.3", "c")]),
        ("d{1,2}", "b{2..4/2}", [("d1", "b2"), ("d2", "b4")]),
        ("x{_r,}", "x{1,2}", [("x_r", "x1"), ("x", "x2")]),
        (
            "m{a,b}.{0,1}.{conv,bn}",
            "{a,b}.{conv,bn}{1,2}",
            [
                ("ma.0.conv", "a.conv1"), ("ma.0.bn", "a.bn1"),
                ("ma.1.conv", "a.conv2"), ("ma.1.bn", "a.bn2"),
                ("mb.0.conv", "b.conv1"), ("mb.0.bn", "b.bn1"),
                ("mb.1.conv", "b.conv2"), ("mb.1.bn", "b.bn2"),
            ],
        ),
        (
            "l{0,1}.c{1,2}",
            "r{1,2}.c{1,2}",
            [("l0.c1", "r1.c1"), ("l0.c2", "r1.c2"), ("l1.c1", "r2.c1"), ("l1.c2", "r2.c2")],
        ),
    ],
)  # fmt: skip
def test_braces_are_taken_in_parallel(left: str, right: str, pairs: list[tuple[str, str]]) -> None:
    assert expanded(left, right) == pairs


def test_braces_that_do_not_follow_others_are_an_error() -> None:
    with pytest.raises(ValueError, match="do not follow"):
        expanded("a{1,2}", "b{1,2,3}")


@ALL
def test_a_table_names_every_stage_once(family: Family) -> None:
    net = netspec.load(family.spec)
    needed = {stage.name for stage in trained(net.without_heads())}
    counts = Counter(family.rows.values())
    assert needed <= counts.keys() <= {stage.name for stage in trained(net)}
    assert set(counts.values()) == {1}


@ALL
def test_a_family_says_what_it_expects_and_where_it_is_published(family: Family) -> None:
    net = netspec.load(family.spec)
    steps = prepare_of(family.prepare) if family.prepare else net.expects.prepare
    assert steps
    require_size(steps, net.input_shape, net.recipe)
    assert len(classes_of(Path(family.classes))) == 1000
    assert all("http" in one for one in family.published)
    assert set(family.formats) <= {"pytorch", "safetensors", "caffe", "onnx", "keras", "matconvnet"}


@ALL
@pytest.mark.parametrize("heads", [True, False])
def test_a_file_is_recognised_and_paired(family: Family, heads: bool) -> None:
    weights = file_of(family, heads=heads)
    known = family_of(weights, family.spec)
    assert known is not None
    assert (known.spec, known.formats) == (family.spec, family.formats)
    pairing = family.pairing(weights)
    assert {pair.layer.name: pair.stage for pair in pairing.pairs} == {
        name: stage for name, stage in family.rows.items()
        if any(layer.name == name for layer in weights.layers)
    }  # fmt: skip
    assert not pairing.unused


@ALL
def test_a_file_with_a_layer_more_or_less_is_not_of_the_family(family: Family) -> None:
    weights = file_of(family)
    extra = Layer("extra", "fc", {"weight": torch.zeros(3, 3)}, {"weight": "extra.weight"})
    assert not family.fits(replace(weights, layers=(*weights.layers, extra)))
    assert not family.fits(replace(weights, layers=weights.layers[1:]))
    text = near(replace(weights, layers=weights.layers[1:]))
    assert (
        f"{len(weights.layers) - 1} of {len(weights.layers) - 1} layers have the names of" in text
    )


def test_nets_of_equal_layers_are_told_apart_by_the_name_in_the_file() -> None:
    """BVLC's AlexNet and CaffeNet have the same layers, and pool and normalise in other orders."""
    by_name = {family.name: family for family in families()}
    alexnet = file_of(by_name["caffe_alexnet"])
    caffenet = replace(alexnet, facts={"net": "CaffeNet"})
    nameless = replace(alexnet, facts={})
    for spec in ("alexnet_caffe", "caffenet"):
        assert (
            family_of(replace(alexnet, facts={"net": "AlexNet"}), spec) is by_name["caffe_alexnet"]
        )
        assert family_of(caffenet, spec) is by_name["caffe_caffenet"]
        known = family_of(nameless, spec)
        assert known is not None
        assert known.spec == spec


def test_numbers_that_keras_counts_on_are_counted_from_zero() -> None:
    (family,) = [family for family in families() if family.name == "keras_inception_v3"]
    weights = file_of(family)
    layers = []
    for layer in weights.layers:
        word, _, number = layer.name.rpartition("_")
        name = f"{word}_{int(number) + 94}" if number.isdecimal() else layer.name
        layers.append(replace(layer, name=name))
    assert family.fits(replace(weights, layers=tuple(layers)))
    first = replace(weights.layers[0], name="conv2d")  # the first of a session has no number
    assert family.fits(replace(weights, layers=(first, *weights.layers[1:])))


def test_a_layer_in_two_rows_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('title = "a"\nspec = "lenet5"\n[rows]\n"a.{1,2}" = "C{1,3}"\n"a.1" = "F6"\n')
    with pytest.raises(ValueError, match=r"a\.1 is in two rows"):
        family_in(path)
