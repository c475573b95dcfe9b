from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

import netspec
from netspec import DataError, Net
from netspec.training.initial import PRESETS, initial_tensors
from tests.training.nets import HEADER, recipe, small

ROWS = """
a: conv 3x3, 40, pad=1 | bn eps=1e-3 | relu
S: subsample 2x2/2, by=mean
b: fc 300 | relu
out: fc 100 | softmax
"""


def initialised(
    net: Net,
    *,
    seed: int = 0,
    preset: str | None = None,
    init_from: str | None = None,
    runs: Mapping[str, Mapping[str, Tensor]] | None = None,
) -> tuple[dict[str, Tensor], list[str]]:
    assert net.recipe is not None
    return initial_tensors(
        net,
        net.recipe,
        seed=seed,
        preset=preset,
        init_from=init_from,
        run_weights=(runs or {}).__getitem__,
    )


def tensors(rows: str = ROWS, preset: str | None = None, **directives: str) -> dict[str, Tensor]:
    return initialised(small(rows, **directives), preset=preset)[0]


def assert_deviation(w: Tensor, deviation: float) -> None:
    """The estimate from n normal values deviates by deviation / sqrt(2 n); five times that."""
    estimated = float(w.double().square().mean().sqrt())
    assert abs(estimated - deviation) < 5 * deviation / (2 * w.numel()) ** 0.5
    assert abs(float(w.double().mean())) < 5 * deviation / w.numel() ** 0.5


def test_a_net_has_all_its_tensors_in_float32() -> None:
    initial = tensors()
    model = netspec.compile(small(ROWS))
    assert {n: t.shape for n, t in initial.items()} == {
        n: t.shape for n, t in model.state_dict().items()
    }
    assert {t.dtype for t in initial.values()} == {torch.float32}
    model.load_state_dict(initial)


def test_gaussian_for_all_rows_and_for_some() -> None:
    initial = tensors(init="gaussian 0.01\ngaussian 0.03 for b", bias="0\n1 for b a")
    assert_deviation(initial["a.conv.weight"], 0.01)
    assert_deviation(initial["b.weight"], 0.03)
    assert_deviation(initial["out.weight"], 0.01)
    assert [float(initial[f"{row}.bias"].unique()) for row in ("a.conv", "b", "out")] == [1, 1, 0]


def test_what_is_neither_weight_nor_bias_begins_as_its_operator_says() -> None:
    initial = tensors(init="gaussian 0.01", bias="1")
    values = {name: float(t.unique()) for name, t in initial.items() if len(t.unique()) == 1}
    assert values == {
        "a.conv.bias": 1, "a.bn.weight": 1, "a.bn.bias": 1, "a.bn.running_mean": 0,
        "a.bn.running_var": 1, "S.coefficient": 1, "S.bias": 1, "b.bias": 1, "out.bias": 1,
    }  # fmt: skip


def test_uniform_is_bounded() -> None:
    w = tensors(init="uniform 0.05")["b.weight"]
    assert 0.0499 < float(w.abs().max()) <= 0.05
    assert_deviation(w, 0.05 / 3**0.5)


def test_he_and_the_default() -> None:
    for initial in (tensors(init="he"), tensors(), tensors(preset="he", init="gaussian 1")):
        assert_deviation(initial["a.conv.weight"], (2 / 18) ** 0.5)
        assert_deviation(initial["b.weight"], (2 / 360) ** 0.5)


def test_glorot_counts_the_inputs_and_the_outputs_of_a_unit() -> None:
    rows = """
    a: conv 3x3, 64, pad=1 | relu
    g: conv 3x3, 128, groups=2, pad=1
    l: local 3x3, 8
    t: conv 3x3, 4, connect=sees
    b: fc 200
    connect sees {
        X.X.
        X.X.
        X.X.
        X.X.
        XX..
        XX..
        XX..
        XX.X
    }
    """
    for initial in (tensors(rows, init="glorot"), tensors(rows, preset="glorot")):
        assert_deviation(initial["a.weight"], (2 / (2 * 9 + 64 * 9)) ** 0.5)
        assert_deviation(initial["g.weight"], (2 / (32 * 9 + 64 * 9)) ** 0.5)
        assert_deviation(initial["l.weight"], (2 / (128 * 9 + 8 * 9)) ** 0.5)
        assert_deviation(initial["t.weight"], (2 / (17 * 9 // 4 + 17 * 9 / 8)) ** 0.5)
        assert_deviation(initial["b.weight"], (2 / (16 + 200)) ** 0.5)


def test_a_tensor_depends_on_its_name_and_the_seed_alone() -> None:
    first, more = tensors(), tensors(ROWS.replace("S:", "c: conv 1x1, 40\nS:"))
    same = [name for name in first if "weight" in name]
    assert all(torch.equal(first[name], more[name]) for name in same)
    assert not torch.equal(first["b.weight"], initialised(small(ROWS), seed=1)[0]["b.weight"])


# ------------------------------------------------------------------------------------------ presets


def alexnet_like(classes: int = 10) -> Net:
    """AlexNet's rows, small."""
    rows = "".join(f"C{n}: conv 3x3, 30, pad=1 | relu\n" for n in range(1, 6))
    rows += "".join(f"F{n}: fc 100 | relu\n" for n in (6, 7)) + f"F8: fc {classes} | softmax\n"
    return small(rows, init="gaussian 0.01", bias="0\n1 for C2 C4 C5 F6 F7")


@pytest.mark.parametrize(
    ("preset", "deviations", "hidden"),
    [
        ("paper", {"C3": 0.01, "C5": 0.01, "F6": 0.01, "F8": 0.01}, 1),
        ("author", {"C1": 0.01, "C3": 0.03, "C4": 0.03, "C5": 0.03, "F6": 0.01}, 1),
        ("caffe", {"C3": 0.01, "C5": 0.01, "F6": 0.005, "F7": 0.005, "F8": 0.01}, 0.1),
    ],
)
def test_presets_of_alexnet(preset: str, deviations: dict[str, float], hidden: float) -> None:
    """data/errata.md, P12: cuda-convnet2's layers-223-1gpu.cfg, and Caffe's bvlc_alexnet."""
    initial, _ = initialised(alexnet_like(), preset=preset)
    for row, deviation in deviations.items():
        assert_deviation(initial[f"{row}.weight"], deviation)
    biases = [
        float(initial[f"{row}.bias"].unique()) for row in ("C1", "C2", "C3", "C4", "C5", "F6")
    ]
    assert biases == [0, *(pytest.approx(b) for b in (hidden, 0, hidden, hidden, hidden))]
    assert float(initial["F8.bias"].unique()) == 0


def test_the_paper_is_what_the_spec_says() -> None:
    plain, _ = initialised(alexnet_like())
    paper, _ = initialised(alexnet_like(), preset="paper")
    assert all(torch.equal(plain[name], paper[name]) for name in plain)


def test_every_preset_runs() -> None:
    for preset in PRESETS:
        assert initialised(alexnet_like(), preset=preset)[1] == []


def test_a_preset_that_there_is_not() -> None:
    with pytest.raises(DataError, match="choose one of paper, author, caffe, glorot, he"):
        initialised(small(), preset="xavier")


def test_alexnets_presets_need_its_rows() -> None:
    with pytest.raises(DataError, match="small has no row C2, C3, C4, C5, F6, F7"):
        initialised(small(), preset="author")


# --------------------------------------------------------------------------------------- warm start


def test_from_a_run_what_matches_by_name_and_shape_is_copied() -> None:
    run, _ = initialised(alexnet_like(classes=22), seed=9)
    initial, said = initialised(alexnet_like(), init_from="before", runs={"before": run})
    fresh, _ = initialised(alexnet_like())
    for name, tensor in initial.items():
        assert torch.equal(tensor, (fresh if name.startswith("F8") else run)[name]), name
    assert said[0].startswith("copied from before: C1.weight, C1.bias, C2.weight")
    assert said[1] == (
        "not copied from before: F8.weight ([22, 100] in the run, [10, 100] in the net), "
        "F8.bias ([22] in the run, [10] in the net)"
    )


def test_a_copy_shares_no_memory_with_the_run() -> None:
    run, _ = initialised(alexnet_like(), seed=9)
    initial, _ = initialised(alexnet_like(), init_from="before", runs={"before": run})
    initial["C1.weight"].zero_()
    assert float(run["C1.weight"].abs().max()) > 0


def test_rows_that_the_other_run_has_more_are_told() -> None:
    run = {"a.weight": torch.ones(4, 2, 3, 3), "z.weight": torch.ones(3)}
    initial, said = initialised(small(), init_from="r", runs={"r": run})
    assert torch.equal(initial["a.weight"], run["a.weight"])
    assert said[-1] == "unused in r: z.weight"


def test_a_recipe_may_begin_with_rows_of_a_run() -> None:
    """VGG's trick: some rows from a smaller net, the rest at random."""
    run, _ = initialised(alexnet_like(), seed=9)
    text = HEADER + "".join(f"C{n}: conv 3x3, 30, pad=1 | relu\n" for n in range(1, 6))
    text += "F6: fc 100 | relu\nF8: fc 10 | softmax\n"
    net = netspec.loads(text + recipe(init='gaussian 0.5\nfrom "vgg11" for C1 C2'))
    for preset in (None, "he"):
        initial, said = initialised(net, runs={"vgg11": run}, preset=preset)
        assert torch.equal(initial["C2.weight"], run["C2.weight"])
        assert_deviation(initial["C3.weight"], 0.5 if preset is None else (2 / 270) ** 0.5)
        assert said == ["copied from vgg11: C1.weight, C1.bias, C2.weight, C2.bias"]


def test_a_run_of_which_nothing_matches_is_an_error() -> None:
    with pytest.raises(
        DataError, match=r"no tensor of r matches small .* a.weight \(not in the run"
    ):
        initialised(small(), init_from="r", runs={"r": {"q": torch.ones(1)}})
