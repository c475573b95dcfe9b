from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netspec
from netspec import DataError
from netspec.pretrained.checks import check
from netspec.pretrained.convert import converted
from tests.pretrained.test_convert import SMALL, TWINS, saved, small, twins


def with_last_bias(value: float) -> nn.Module:
    module = twins()
    with torch.no_grad():
        module[4].bias.fill_(value)
    return module


def exchanged(module: nn.Module) -> nn.Module:
    """The module with its two convolutions of one shape exchanged."""
    other = twins()
    other.load_state_dict(module.state_dict())
    other[0], other[2] = other[2], other[0]
    return other


@pytest.mark.parametrize("bias", [0, 10])
def test_exchanged_layers_are_noticed(bias: float, tmp_path: Path) -> None:
    module = with_last_bias(bias)
    path = saved(module, tmp_path / "a.pth")
    net = netspec.loads(TWINS)
    assert converted(net, path, module).checked.error is not None
    with pytest.raises(DataError, match="does not compute what the module Sequential does"):
        converted(net, path, exchanged(module))


class Single(nn.Module):
    """A module that computes in float32 only."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        assert images.dtype == torch.float32
        outputs: Tensor = self.inner(images)
        return outputs


def test_modules_compute_in_float64_where_they_can(tmp_path: Path) -> None:
    """With a bias of 1e6, exchanged layers change outputs by less than the rounding of float32."""
    module = with_last_bias(1e6)
    path = saved(module, tmp_path / "a.pth")
    net = netspec.loads(TWINS)
    assert converted(net, path, module).checked.error is not None
    with pytest.raises(DataError, match="does not compute what"):
        converted(net, path, exchanged(module))
    assert (
        next(module.parameters()).dtype == torch.float32
    )  # the module of the caller is not changed


def test_outputs_that_hardly_depend_on_the_image_show_nothing(tmp_path: Path) -> None:
    inner = with_last_bias(1e6)
    module = Single(inner)
    path = saved(inner, tmp_path / "a.pth")
    result = converted(netspec.loads(TWINS), path, module)
    assert result.checked.error is None
    assert "hardly depend on the image" in str(result.checked)
    assert result.uncertain
    with pytest.raises(DataError, match="paired by their order alone"):
        netspec.convert_weights(
            netspec.loads(TWINS), path, tmp_path / "a.safetensors", module=module
        )


class Ending(nn.Module):
    """A module whose outputs a function changes."""

    def __init__(self, inner: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.change = inner, change

    def forward(self, images: Tensor) -> Tensor:
        return self.change(self.inner(images))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (Tensor.half, "are of the type float16"),
        (Tensor.long, "are of the type int64"),
        (torch.fft.fft, "are of the type complex128"),
        (lambda outputs: outputs * float("nan"), "NaN or infinite"),
        (lambda outputs: outputs[:, :0], "no outputs"),
    ],
)
def test_outputs_that_cannot_be_compared_show_nothing(
    change: Callable[[Tensor], Tensor], reason: str, tmp_path: Path
) -> None:
    module = twins()
    path = saved(module, tmp_path / "a.pth")
    checked = converted(netspec.loads(TWINS), path, Ending(module, change)).checked
    assert checked.error is None
    assert reason in checked.reason


def test_a_saturated_softmax_shows_nothing(tmp_path: Path) -> None:
    class Saturated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = twins()

        def forward(self, images: Tensor) -> Tensor:
            return torch.softmax(1e4 * self.inner(images), 1)

    path = saved(twins(), tmp_path / "a.pth")
    result = converted(netspec.loads(f"{TWINS.rstrip()} | softmax\n"), path, Saturated())
    assert result.checked.error is None
    assert "is saturated" in str(result.checked)


def test_a_module_that_raises_is_named(tmp_path: Path) -> None:
    class Raises(nn.Module):
        def forward(self, images: Tensor) -> Any:
            raise KeyError("missing")

    path = saved(small(), tmp_path / "a.pth")
    with pytest.raises(DataError, match="cannot run the module Raises: KeyError: missing"):
        converted(netspec.loads(SMALL), path, Raises())


def test_the_message_of_a_module_that_raises_is_whole(tmp_path: Path) -> None:
    module = twins()
    path = saved(module, tmp_path / "a.pth")

    def fail(outputs: Tensor) -> Tensor:
        raise TypeError("'None' is not a tensor")

    with pytest.raises(DataError, match="TypeError: 'None' is not a tensor"):
        converted(netspec.loads(TWINS), path, Ending(module, fail))


def test_another_number_of_outputs_is_named(tmp_path: Path) -> None:
    path = saved(small(), tmp_path / "a.pth")
    module = nn.Sequential(small(), nn.Linear(5, 7)).eval()
    with pytest.raises(DataError, match=r"the net has 5 outputs, and the module .* returns 7"):
        converted(netspec.loads(SMALL), path, module)


def test_a_module_of_the_current_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_of_test.py").write_text(
        "from tests.pretrained.test_convert import small\ndef make(): return small()\n"
    )
    monkeypatch.chdir(tmp_path)
    path = saved(small(), tmp_path / "a.pth")
    result = converted(netspec.loads(SMALL), path, "mine_of_test:make")
    assert result.checked.source == "the module mine_of_test:make"


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("torch", "write MODULE:NAME"),
        ("no_such_package:a", "cannot make no_such_package:a: ModuleNotFoundError"),
        ("torch.nn:Nothing", "cannot make torch.nn:Nothing: AttributeError"),
        ("collections:OrderedDict", "makes an object of type OrderedDict, not a module"),
        ("torch.nn:ReLU", "outputs, and the module torch.nn:ReLU returns"),
        ("torchless:", "write MODULE:NAME"),
    ],
)
def test_a_module_that_cannot_be_made_is_named(module: str, message: str, tmp_path: Path) -> None:
    path = saved(small(), tmp_path / "a.pth")
    with pytest.raises(DataError, match=message):
        converted(netspec.loads(SMALL), path, module)


def test_a_net_of_several_inputs_is_not_run() -> None:
    net = netspec.loads(
        "net a\ninput x 4x4x3\ninput y 4x4x3\nC1 from x: relu\nC2 from y: relu\noutput C1, C2\n"
    )
    weights: Any = None
    assert "several inputs" in check(net, {}, weights, None).reason
