from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm
from torch.nn.utils.parametrizations import spectral_norm as new_spectral_norm

from netspec.pretrained.grouping import Ungrouped, layers_of


def named(*names: str) -> dict[str, Tensor]:
    return {name: torch.zeros(2, 2) for name in names}


def test_the_part_before_the_last_dot_is_the_layer() -> None:
    state = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)).state_dict()
    layers, skipped = layers_of(state)
    assert [(layer.name, layer.kind, [*layer.tensors]) for layer in layers] == [
        ("0", "conv", ["weight", "bias"]),
        ("1", "norm", ["weight", "bias", "running_mean", "running_var"]),
        ("2", "fc", ["weight", "bias"]),
    ]
    assert skipped == ("1.num_batches_tracked",)
    for layer in layers:
        assert all(layer.tensors[role] is state[name] for role, name in layer.names.items())


def test_the_order_is_that_of_the_first_tensor_of_each_layer() -> None:
    layers, _ = layers_of(named("b.weight", "a.weight", "b.bias"))
    assert [(layer.name, [*layer.tensors]) for layer in layers] == [
        ("b", ["weight", "bias"]), ("a", ["weight"]),
    ]  # fmt: skip


def test_other_roles_stay_and_integers_are_skipped() -> None:
    state = {"scale": torch.ones(2), "a.logits.extra": torch.ones(3), "a.index": torch.arange(3)}
    layers, skipped = layers_of(state)
    assert [(layer.name, [*layer.tensors]) for layer in layers] == [
        ("", ["scale"]), ("a.logits", ["extra"]),
    ]  # fmt: skip
    assert skipped == ("a.index",)


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_removed_where_every_tensor_has_them(prefix: str) -> None:
    layers, skipped = layers_of(named(f"{prefix}a.weight", f"{prefix}b.c.weight"))
    assert [layer.name for layer in layers] == ["a", "b.c"]
    assert layers[0].names == {"weight": f"{prefix}a.weight"}
    assert skipped == ()
    layers, _ = layers_of(named(f"{prefix}a.weight", "other.weight"))
    assert [layer.name for layer in layers] == [f"{prefix}a", "other"]


def test_a_word_that_no_wrapper_writes_stays() -> None:
    layers, _ = layers_of(named("features.0.weight", "features.1.weight"))
    assert [layer.name for layer in layers] == ["features.0", "features.1"]
    assert [layer.name for layer in layers_of(named("module.weight"))[0]] == [""]
    assert layers_of({}) == ((), ())


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("make", [weight_norm, parametrizations.weight_norm])
@pytest.mark.parametrize(
    ("kind", "sizes", "axis"),
    [(nn.Conv2d, (3, 4, 3), 0), (nn.ConvTranspose2d, (3, 4, 3), 1), (nn.Linear, (5, 4), None)],
)
def test_a_weight_with_weight_norm_is_computed(
    make: Any, kind: Any, sizes: tuple[int, ...], axis: int | None
) -> None:
    torch.manual_seed(1)
    normed = make(kind(*sizes), dim=axis)
    with torch.no_grad():  # otherwise g is the norm of v
        next(p for name, p in normed.named_parameters() if name[-2:] in ("_g", "l0")).mul_(3)
    (layer,), skipped = layers_of({f"a.{n}": own for n, own in normed.state_dict().items()})
    assert {*layer.tensors} == {"weight", "bias"}
    assert skipped == ()
    normed(torch.zeros(1, *((5,) if kind is nn.Linear else (3, 8, 8))))  # computes the weight
    # float32: a norm of 27 terms and a division, each rounded; ours is computed in float64
    torch.testing.assert_close(layer.tensors["weight"], normed.weight, rtol=1e-6, atol=0)
    assert layer.names["weight"] in ("a.weight_v", "a.parametrizations.weight.original1")


def test_a_weight_norm_of_one_value_is_its_sign() -> None:
    state = {"weight_g": torch.tensor([2.0, 3.0]), "weight_v": torch.tensor([-5.0, 4.0])}
    (layer,), _ = layers_of(state)
    assert layer.tensors["weight"].tolist() == [-2.0, 3.0]


@pytest.mark.filterwarnings("ignore:.*spectral_norm.*:FutureWarning")
def test_other_parametrisations_are_named() -> None:
    for make in (spectral_norm, new_spectral_norm):
        state = nn.Sequential(make(nn.Linear(3, 2))).state_dict()
        with pytest.raises(Ungrouped, match="the weight of its layer 0 is parametrised"):
            layers_of(state)
    with pytest.raises(Ungrouped, match=r"has the shapes \[3\] and \[2, 3\]"):
        layers_of({"a.weight_g": torch.ones(3), "a.weight_v": torch.ones(2, 3)})
