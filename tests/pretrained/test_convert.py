from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import netspec
from netspec import DataError
from netspec.ir.parameter_names import parameter_names
from netspec.pretrained import convert
from netspec.pretrained.convert import converted
from netspec.pretrained.layers import Weights
from tests.pretrained.examples import layer_like
from tests.pretrained.formats import test_caffe as caffe

SMALL = """
net small
input image 12x12x3
prepare range low=0, high=1
classes "a", "b", "c", "d", "e"
C1: conv 3x3, 4, pad=1 | relu
S1: maxpool 2x2/2
C2: conv 3x3, 8, pad=1, bias=off | bn eps=1e-5 | relu
F3: fc 16 | relu
F4: fc 5 | softmax
"""


def small() -> nn.Sequential:
    """What SMALL describes, in PyTorch."""
    torch.manual_seed(3)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Flatten(), nn.Linear(288, 16), nn.ReLU(), nn.Linear(16, 5),
    )  # fmt: skip
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.uniform_(0.5 if "running_var" in name else -0.5, 1.5 if "var" in name else 0.5)
    return module.eval()


def twins() -> nn.Sequential:
    """A module with two convolutions of one shape."""
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1), nn.Flatten(),
        nn.Linear(192, 2),
    ).eval()  # fmt: skip


TWINS = """
net twins
input image 8x8x3
C1: conv 3x3, 3, pad=1 | relu
C2: conv 3x3, 3, pad=1
F3: fc 2
"""


def saved(module: nn.Module, path: Path) -> Path:
    torch.save(module.state_dict(), path)
    return path


def exported(module: nn.Module, path: Path, size: int) -> Path:
    torch.onnx.export(module, torch.zeros(1, 3, size, size), path, dynamo=False)
    return path


def logits(net: netspec.Net, path: Path, images: torch.Tensor) -> torch.Tensor:
    model = netspec.reference(net)
    netspec.load_weights(model, path)
    with torch.inference_mode():
        outputs: torch.Tensor = model.logits(images)
    return outputs


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def test_a_state_dict_is_paired_by_shape_and_computes_the_same(
    tmp_path: Path, images: torch.Tensor
) -> None:
    net, module = netspec.loads(SMALL), small()
    result = netspec.convert_weights(
        net, saved(module, tmp_path / "a.pth"), tmp_path / "a.safetensors"
    )
    assert [(pair.layer.name, pair.stage) for pair in result.pairing.pairs] == [
        ("0", "C1"), ("3", "C2.conv"), ("4", "C2.bn"), ("7", "F3"), ("9", "F4"),
    ]  # fmt: skip
    assert result.checked.error is None
    assert result.weights.skipped == ("4.num_batches_tracked",)
    ours = logits(net, tmp_path / "a.safetensors", images)
    torch.testing.assert_close(ours, module(images), rtol=1e-5, atol=1e-6)


def test_outputs_are_compared_with_those_of_a_module(tmp_path: Path) -> None:
    net, module = netspec.loads(SMALL), small()
    path = saved(module, tmp_path / "a.pth")
    result = netspec.convert_weights(net, path, module=module)
    assert result.checked.error is not None
    assert result.checked.error < 1e-6
    assert result.path is None
    module[4].eps = 0.5
    with pytest.raises(DataError, match="does not compute what the module Sequential does"):
        netspec.convert_weights(net, path, tmp_path / "b.safetensors", module=module)
    assert not (tmp_path / "b.safetensors").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_outputs_are_compared_with_those_of_an_onnx_model(tmp_path: Path) -> None:
    net = netspec.loads(SMALL)
    path = exported(nn.Sequential(small(), nn.Softmax(1)), tmp_path / "a.onnx", 12)
    result = netspec.convert_weights(net, path, tmp_path / "a.safetensors")
    assert result.checked.source == "the ONNX model in ONNX Runtime"
    assert result.checked.error is not None
    assert result.checked.error < 1e-6


def test_pairs_that_order_alone_decides_are_shown_and_not_written(tmp_path: Path) -> None:
    net, output = netspec.loads(TWINS), tmp_path / "out.safetensors"
    path = saved(twins(), tmp_path / "twins.pth")
    result = netspec.convert_weights(net, path)
    assert [pair.stage for pair in result.uncertain] == ["C1", "C2"]
    assert "C1 ?" in str(result)
    with pytest.raises(DataError, match=r"2 of 3 layers of .* are paired by their order alone"):
        netspec.convert_weights(net, path, output)
    assert not output.exists()
    netspec.convert_weights(net, path, output, accept=True)
    assert output.exists()


def test_the_command_shows_the_pairs_that_it_does_not_write(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from netspec.cli import main

    spec, output = tmp_path / "a spec.net", tmp_path / "out.safetensors"
    spec.write_text(TWINS)
    path = saved(twins(), tmp_path / "twins.pth")
    words = ["weights", str(spec), "--from", str(path), "-o", str(output)]
    told = CliRunner().invoke(main, words)
    assert (told.exit_code, output.exists()) == (1, False)
    assert "C1 ?  0      3x3x3x3" in told.output
    assert "check them in the table, then add --accept" in told.output
    assert "nothing is written without" not in told.output
    assert "C1 ?" not in CliRunner().invoke(main, [*words, "--json"]).output
    with pytest.raises(DataError, match=rf"netspec weights '{spec}' --from {path}"):
        netspec.compile(netspec.load(spec), weights=path)
    result = netspec.convert_weights(netspec.load(spec), path, module=twins())
    assert "?" not in str(result)


def test_a_comparison_of_outputs_accepts_pairs_that_order_decides(tmp_path: Path) -> None:
    net, module = netspec.loads(TWINS), twins()
    path = saved(module, tmp_path / "twins.pth")
    result = netspec.convert_weights(net, path, tmp_path / "a.safetensors", module=module)
    assert result.uncertain == ()
    swapped = {name: module.state_dict()[name.replace("0.", "2.", 1) if name[0] == "0" else
               name.replace("2.", "0.", 1)] for name in module.state_dict()}  # fmt: skip
    swapped |= {name: tensor for name, tensor in module.state_dict().items() if name[0] == "4"}
    torch.save(swapped, path)
    with pytest.raises(DataError, match="does not compute what"):
        netspec.convert_weights(net, path, tmp_path / "b.safetensors", module=module)


def test_what_weights_expect_is_written_with_them(tmp_path: Path) -> None:
    net, path = netspec.loads(SMALL), saved(small(), tmp_path / "a.pth")
    netspec.convert_weights(
        net, path, tmp_path / "a.safetensors", prepare="range low=-1, high=1", classes=list("vwxyz")
    )
    with pytest.warns(UserWarning, match="the latter is used"):
        model = netspec.compile(net, weights=tmp_path / "a.safetensors")
    assert str(model.expects) == "range low=-1, high=1"
    assert model.expects.classes == ("v", "w", "x", "y", "z")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_named(value: float, tmp_path: Path) -> None:
    module = small()
    module.state_dict()["7.weight"][3, 5] = value
    with pytest.raises(DataError, match=r"not finite: F3\.weight"):
        netspec.convert_weights(netspec.loads(SMALL), saved(module, tmp_path / "a.pth"))


def test_a_variance_below_zero_is_named(tmp_path: Path) -> None:
    module = small()
    module.state_dict()["4.running_var"][2] = -1
    with pytest.raises(DataError, match="4 has a variance below 0"):
        netspec.convert_weights(netspec.loads(SMALL), saved(module, tmp_path / "a.pth"))


def test_a_spec_takes_files_of_other_frameworks_in_every_function(
    tmp_path: Path, images: torch.Tensor
) -> None:
    net, module = netspec.loads(SMALL), small()
    model = netspec.compile(net, weights=saved(module, tmp_path / "a.pth"))
    torch.testing.assert_close(model.logits(images), module(images), rtol=1e-4, atol=1e-5)
    with pytest.raises(
        DataError, match=r"paired by their order alone.*netspec weights SPEC --from"
    ):
        netspec.compile(netspec.loads(TWINS), weights=saved(twins(), tmp_path / "twins.pth"))


HEADED = """
net headed
input image 8x8x3
C1: conv 3x3, 4, pad=1 | relu
F2: fc 5 | softmax
head aux from C1, weight=0.3: fc 5 | softmax
"""


def test_heads_may_be_without_weights(tmp_path: Path) -> None:
    """Only training needs them; published files often leave them out."""
    net = netspec.loads(HEADED)
    model = netspec.reference(net)
    tensors = {k: v.contiguous() for k, v in model.state_dict().items() if "aux" not in k}
    torch.save(tensors, tmp_path / "a.pth")
    result = netspec.convert_weights(net, tmp_path / "a.pth", tmp_path / "a.safetensors")
    assert result.pairing.without == ("aux",)
    assert {*load_file(tmp_path / "a.safetensors")} == {*tensors}
    other = netspec.reference(net, seed=8)
    before = other.state_dict()["aux.weight"].clone()
    netspec.load_weights(other, tmp_path / "a.safetensors")
    assert torch.equal(other.state_dict()["C1.weight"], tensors["C1.weight"])
    assert torch.equal(other.state_dict()["aux.weight"], before)
    netspec.compile(net, weights=tmp_path / "a.safetensors")


def test_an_fc_becomes_a_convolution(tmp_path: Path) -> None:
    fc = netspec.loads("net a\ninput image 8x8x6\nF6: fc 20 | relu\nF7: fc 5\n")
    conv = netspec.loads("net b\ninput image 12x10x6\nF6: conv 8x8, 20 | relu\nF7: conv 1x1, 5\n")
    model = netspec.reference(fc)
    netspec.save_weights(model, tmp_path / "fc.safetensors")
    with pytest.raises(DataError, match="netspec weights SPEC --from"):
        netspec.load_weights(netspec.reference(conv), tmp_path / "fc.safetensors")
    netspec.convert_weights(conv, tmp_path / "fc.safetensors", tmp_path / "conv.safetensors")
    wide = netspec.reference(conv)
    netspec.load_weights(wide, tmp_path / "conv.safetensors")
    image = torch.rand(1, 6, 12, 10, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        places = wide(image)
        for row, column in ((0, 0), (4, 2)):
            one = model(image[:, :, row : row + 8, column : column + 8])
            torch.testing.assert_close(places[:, :, row, column], one)


def test_the_command_prints_what_the_call_returns(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from netspec.cli import main

    spec = tmp_path / "small.net"
    spec.write_text(SMALL)
    path = saved(small(), tmp_path / "a.pth")
    told = CliRunner().invoke(main, ["weights", str(spec), "--from", str(path)])
    assert told.exit_code == 0, told.output
    hint = "\nnothing is written without -o FILE.safetensors"
    assert told.output.rstrip() == str(converted(netspec.load(spec), path)) + hint
    data = json.loads(
        CliRunner().invoke(main, ["weights", str(spec), "--from", str(path), "--json"]).output
    )
    assert data["pairs"][2] == {
        "stage": "C2.bn", "layer": "4", "reason": "shape", "rivals": [],
        "shapes": {"weight": [8], "bias": [8], "running_mean": [8], "running_var": [8]},
    }  # fmt: skip
    assert data["output"] is None


def test_every_tensor_of_the_net_is_written(tmp_path: Path) -> None:
    net = netspec.loads(SMALL)
    netspec.convert_weights(net, saved(small(), tmp_path / "a.pth"), tmp_path / "a.safetensors")
    names = {name for name, _, _ in parameter_names(net.graph)}
    assert {*load_file(tmp_path / "a.safetensors")} == names


def test_a_file_of_another_net_warns_although_names_and_shapes_fit(tmp_path: Path) -> None:
    other = netspec.loads(SMALL.replace("maxpool 2x2/2", "avgpool 2x2/2"))
    netspec.save_weights(netspec.reference(other), tmp_path / "a.safetensors")
    with pytest.warns(UserWarning, match=r"something else: C2\.conv was .*avgpool"):
        netspec.convert_weights(netspec.loads(SMALL), tmp_path / "a.safetensors")


@pytest.mark.parametrize("spec", ["googlenet", "alexnet"])
def test_the_spec_of_a_known_family_is_named(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the layers do not fit, and if they fit a spec with the labels of another."""
    source = {"googlenet": "torchvision_googlenet", "alexnet": "caffe_alexnet"}[spec]
    (family,) = (one for one in netspec.families() if one.name == source)
    layers = tuple(layer_like(family.net, stage, name) for name, stage in family.rows.items())
    weights = Weights(tmp_path / "a b", family.formats[0], layers, facts={"net": "alexnet"})
    monkeypatch.setattr(convert, "read", lambda path: weights)
    with pytest.raises(DataError) as caught:
        netspec.convert_weights(spec, tmp_path / "a b")
    assert str(caught.value).startswith(
        f"{tmp_path / 'a b'} has the weights of {family.title}, which are for the spec "
        f"{family.spec}: netspec weights {family.spec} --from '{tmp_path / 'a b'}'; "
    )


TEN = """
net ten from squeezenet1_1 {
    classes "a", "b", "c"
    conv10: dropout 0.5 | conv 1x1, 3 | relu
}
"""


def test_a_net_that_was_trained_again_has_the_names_and_its_own_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last layer alone has other outputs, as is usual for fine-tuned nets."""
    net = netspec.loads(TEN)
    (family,) = (one for one in netspec.families() if one.name == "torchvision_squeezenet1_1")
    layers = tuple(layer_like(net, stage, name) for name, stage in family.rows.items())
    weights = Weights(tmp_path / "a.pth", "pytorch", layers)
    monkeypatch.setattr(convert, "read", lambda path: weights)
    result = netspec.convert_weights(net, tmp_path / "a.pth")
    assert {pair.reason for pair in result.pairing.pairs} == {"name"}
    assert result.expects.classes == ("a", "b", "c")
    assert result.expects.prepare == family.expects.prepare
    with pytest.raises(DataError, match=r"conv10 expects 1000x512x1x1; .* net NAME from squeez"):
        netspec.convert_weights("squeezenet1_1", tmp_path / "a.pth")
    other = netspec.loads(TEN.replace("conv 1x1", "lrn 5 | conv 1x1"))
    with pytest.raises(DataError, match="computes something else"):
        netspec.convert_weights(other, tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["a", "tf_efficientnet_lite0.in1k"])
def test_weights_of_a_twin_are_warned_of_unless_the_path_tells(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (family,) = (one for one in netspec.families() if one.twin)
    layers = tuple(layer_like(family.net, stage, row) for row, stage in family.rows.items())
    weights = Weights(tmp_path / name, "safetensors", layers)
    monkeypatch.setattr(convert, "read", lambda path: weights)
    monkeypatch.setattr(convert, "_expects", lambda *parts: family.expects)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        netspec.convert_weights(family.spec, tmp_path / name)
    assert len(caught) == (name == "a")
    for one in caught:
        assert "and of timm's efficientnet_lite0.ra_in1k, which pads" in str(one.message)


@pytest.mark.parametrize(("eps", "told"), [("1e-3", 0), ("1e-5", 1)])
def test_another_epsilon_than_that_of_the_file_is_named(
    eps: str, told: int, tmp_path: Path
) -> None:
    """A file of weights fits with any, and outputs are off by little."""
    text = f"net a\ninput image 8x8x3\nC1: conv 3x3, 3, bias=off | bn eps={eps}\n"
    conv = caffe.layer("conv1", "Convolution", caffe.blob(caffe.random(3, 3, 3, 3)))
    norm = caffe.norm("bn1", "conv1", "bn1"), caffe.scale("scale1", "bn1", "bn1")
    path = caffe.wrote(tmp_path, conv, *norm)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        netspec.convert_weights(netspec.loads(text), path)
    assert len(caught) == told
    for one in caught:
        assert f"than {path}: C1.bn adds 1e-05, and bn1 0.001; write" in str(one.message)


def test_families_of_a_spec_are_listed() -> None:
    from click.testing import CliRunner

    from netspec.cli import main

    def told(*words: str) -> str:
        done = CliRunner().invoke(main, ["weights", *words, "--list"])
        assert done.exit_code == 0, done.output
        return str(done.output)

    assert told("alexnet_owt").startswith("alexnet_owt: torchvision's alexnet\n")
    assert told("lenet5") == (
        "no published weights are known; without SPEC, --list prints all known families\n"
    )
    assert told().count("images: ") == len(netspec.families())
    done = CliRunner().invoke(main, ["weights", "alexnt", "--list"])
    assert done.exit_code == 1
    assert "did you mean" in done.output
