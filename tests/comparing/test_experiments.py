"""Every arm is a net with a recipe, and is what its comparison says."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec import Net, load
from netspec.comparing.experiment import BEDS
from netspec.comparing.experiments import EXPERIMENTS, experiment
from netspec.comparing.nets import NETS, write_nets
from netspec.errors import DataError
from netspec.training.settings import Settings

CASES = [(one, bed) for one in EXPERIMENTS for bed in one.arms]


def nets(name: str, bed: str, folder: Path, classes: int = 10) -> dict[str, Net]:
    written = write_nets(experiment(name).arms[bed], bed, classes, folder)
    return {arm: load(path) for arm, path in written.items()}


@pytest.mark.parametrize(("one", "bed"), CASES, ids=[f"{one.name}-{bed}" for one, bed in CASES])
def test_every_arm_is_a_net_that_can_be_trained(one, bed: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    by_arm = nets(one.name, bed, tmp_path, classes=7)
    assert len(by_arm) == len(one.arms[bed])
    for arm in one.arms[bed]:
        net = by_arm[arm.name]
        assert net.graph.stage(net.graph.outputs[0]).known_shape.elements == 7
        asked = Settings(spec=net.source.name, data="digits", **arm.training)
        assert asked.recipe(net).loss
        assert arm.begins_with in {"", *by_arm}
        assert arm.shares in {"", *by_arm}
    texts = {(net.source.text.split("(")[1], str(arm)) for arm, net in by_arm.items()}
    assert len(texts) == len(by_arm)
    assert one.says
    assert one.source


@pytest.mark.parametrize("bed", ["cifar4", "alexnet"])
def test_with_its_defaults_a_bed_is_the_bundled_net(bed: str) -> None:
    arms, bundled = load(NETS / f"{bed}_arms.net"), load(bed)
    assert arms.totals == bundled.totals
    assert [str(s.known_shape) for s in arms.graph.stages()] == [
        str(s.known_shape) for s in bundled.graph.stages()
    ] or bed == "cifar4"  # which has a dropout of 0 more


def test_pooling_without_overlap_gives_maps_of_the_same_size(tmp_path: Path) -> None:
    for bed in {*BEDS.values()}:
        by_arm = nets("pooling", bed, tmp_path / bed)
        sizes = [[str(s.known_shape) for s in net.graph.stages()] for net in by_arm.values()]
        assert sizes[0] == sizes[1]


def test_a_layer_is_removed(tmp_path: Path) -> None:
    by_arm = nets("layers", "alexnet_arms", tmp_path)
    rows = {*by_arm["all"].graph.rows}
    for row in ("C2", "C3", "C4", "C5", "F6", "F7"):
        assert rows - {*by_arm[f"without {row}"].graph.rows} == {row}


def test_one_column_has_half_the_kernels(tmp_path: Path) -> None:
    by_arm = nets("columns", "lenet5_arms", tmp_path)
    for row in ("C1", "C3"):
        two, one = (by_arm[f"{n} column{s}"].graph for n, s in (("two", "s"), ("one", "")))
        assert two.stage(row).known_shape.channels == 2 * one.stage(row).known_shape.channels


def test_colour_is_not_for_grey_digits() -> None:
    with pytest.raises(DataError, match="cifar10, cifar100, images, shards"):
        experiment("colour").arms_for("digits")


def test_an_unknown_comparison_is_told_with_those_that_there_are() -> None:
    with pytest.raises(DataError, match="relu-tanh"):
        experiment("relu")
