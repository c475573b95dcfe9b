from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.nn.utils.parametrizations import weight_norm

import netspec
from netspec import DataError
from netspec.export import export_onnx, export_pt2, onnx_bytes
from netspec.runtime.expects import as_json
from netspec.runtime.reference import Model
from netspec.runtime.verification import as_tuple, random_images
from netspec.trained import trained
from tests.backends.onnx.helpers import (
    CASES,
    assert_exact,
    compiled,
    example,
    images_for,
    run,
)

Export = Callable[..., None]
EXPORTS = pytest.mark.parametrize("export", [export_onnx, export_pt2])


def outputs_of(path: Path, images: list[Tensor]) -> list[Tensor]:
    """What the program of a pt2 file answers."""
    return list(as_tuple(torch.export.load(path).module()(*images)))


@pytest.mark.parametrize("case", [case for case in CASES if "," not in case] + ["lrn, groups"])
def test_an_operator_comes_back_from_pt2_as_it_went(case: str, tmp_path: Path) -> None:
    model, path = example(CASES[case]), tmp_path / "example.pt2"
    export_pt2(model, path)
    for batch in (1, 3):
        images = images_for(model, batch)
        assert_exact(model, outputs_of(path, images), images)


@pytest.mark.slow  # as lenet5 and each operator
def test_googlenet_comes_back_from_pt2_as_it_went(tmp_path: Path) -> None:
    # its softmax would make relative errors ones that depend on the size of what goes in
    logits = netspec.loads("net logits from googlenet { out: gap | dropout 0.4 | fc 1000 }")
    model, path = compiled(logits), tmp_path / "net.pt2"
    export_pt2(model, path)
    images = [image.float() for image in random_images(model.net, batch=3)]
    assert_exact(model, outputs_of(path, images), images)
    assert sorted(os.listdir(tmp_path)) == ["net.pt2", "net.pt2.json"]


def test_a_pt2_file_holds_the_model_s_parameters_and_pytorch_s_operations(tmp_path: Path) -> None:
    rows = "a: conv 3x3, 4 | bn eps=1e-3 | lrn 3\nhead h from a, weight=1: fc 3\nb from a: fc 2"
    model, path = example(rows).train(), tmp_path / "net.pt2"
    export_pt2(model, path)
    program = torch.export.load(path)
    parameters = {name: t for name, t in model.state_dict().items() if not name.startswith("h.")}
    assert program.state_dict.keys() == parameters.keys()
    assert all(torch.equal(program.state_dict[name], tensor) for name, tensor in parameters.items())
    assert {name for name, _ in program.named_buffers()} == {
        name for name, _ in model.named_buffers()
    }
    called = {n.target for n in program.graph.nodes if n.op == "call_function"}
    assert called
    assert all(str(target).startswith("aten.") for target in called)
    assert model.training
    images = images_for(model, 2)
    assert_exact(model.eval(), outputs_of(path, images), images)


def test_the_batch_of_a_pt2_file_is_open_or_fixed(tmp_path: Path) -> None:
    model, path = example("a: conv 3x3, 4"), tmp_path / "net.pt2"
    export_pt2(model, path, batch=3)
    images = images_for(model, 3)
    assert_exact(model, outputs_of(path, images), images)
    with pytest.raises(AssertionError, match="== 3"):
        outputs_of(path, images_for(model, 2))


def test_several_inputs_and_outputs_keep_their_order_in_pt2(tmp_path: Path) -> None:
    header = "net example\ninput right 4x4x2\ninput left 4x4x2\ninput row 5\n"
    rows = "b from right, left: concat\na from left: relu\nc from row: fc 3\noutput c, b, a"
    model, path = compiled(netspec.loads(header + rows)), tmp_path / "net.pt2"
    export_pt2(model, path)
    images = images_for(model, 2)
    outputs = outputs_of(path, images)
    assert [list(y.shape) for y in outputs] == [[2, 3], [2, 4, 4, 4], [2, 2, 4, 4]]
    assert_exact(model, outputs, images)


def test_export_onnx_writes_the_bytes_and_the_type_stays(tmp_path: Path) -> None:
    model, path = example("a: conv 3x3, 4"), tmp_path / "net.onnx"
    export_onnx(model, str(path), batch=2)
    assert path.read_bytes() == onnx_bytes(model, batch=2)
    images = images_for(model, 2)
    assert_exact(model, run(path.read_bytes(), images), images)
    assert sorted(os.listdir(tmp_path)) == ["net.onnx", "net.onnx.json"]


@EXPORTS
def test_nothing_is_printed(
    export: Export, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    export(netspec.reference("lenet5"), tmp_path / "net")
    assert capfd.readouterr() == ("", "")


@EXPORTS
def test_a_file_that_cannot_be_written_is_named_and_nothing_is_left(
    export: Export, tmp_path: Path
) -> None:
    model = example("a: fc 2")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"old")
    for path, reason in (
        (tmp_path / "none" / "net", "no such file or directory"),
        (tmp_path / "folder", "is a directory"),
        (tmp_path / "file" / "net", "not a directory"),
    ):
        with pytest.raises(DataError, match=f"cannot write {path}: {reason}"):
            export(model, path)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert os.listdir(tmp_path / "folder") == []


@EXPORTS
def test_a_folder_that_may_not_be_written_to_is_named(export: Export, tmp_path: Path) -> None:
    # /proc refuses new files to everyone, root too
    with pytest.raises(DataError, match="cannot write /proc/net_of_mine"):
        export(example("a: fc 2"), "/proc/net_of_mine")


@EXPORTS
def test_a_file_of_another_kind_is_replaced_by_force_only(export: Export, tmp_path: Path) -> None:
    path = tmp_path / "net"
    path.write_bytes(b"net mine\n")
    with pytest.raises(DataError, match=f"{path}: the existing file is a spec, not.*force=True"):
        export(example("a: fc 2"), path)
    assert path.read_bytes() == b"net mine\n"
    export(example("a: fc 2"), path, force=True)
    export(example("a: fc 2"), path)
    with pytest.raises(DataError, match=r"net.py: .py is the suffix of a program"):
        export(example("a: fc 2"), tmp_path / "net.py", force=True)
    assert sorted(os.listdir(tmp_path)) == ["net", "net.json"]


@EXPORTS
def test_a_full_disk_leaves_the_old_file(
    export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net"
    export(example("a: fc 2"), path)
    old = path.read_bytes()
    whole = Path.write_bytes

    def half(target: Path, content: bytes) -> int:
        whole(target, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(DataError, match=f"cannot write {path}: no space left on device"):
        export(example("a: fc 2"), path)
    assert path.read_bytes() == old
    assert sorted(os.listdir(tmp_path)) == ["net", "net.json"]


def test_what_the_checker_refuses_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = onnx.helper.make_tensor_value_info

    def wrong(name: str, element: int, shape: list[int | str]) -> onnx.ValueInfoProto:
        return described(name, element, [shape[0], 7] if name == "a" else shape)

    monkeypatch.setattr(onnx.helper, "make_tensor_value_info", wrong)
    with pytest.raises(onnx.shape_inference.InferenceError):
        export_onnx(example("a: fc 2"), tmp_path / "net.onnx")
    assert os.listdir(tmp_path) == []


def test_a_missing_package_is_named_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(DataError, match=r"package onnx.*pip install 'netspec-compiler\[onnx\]'"):
        export_onnx(example("a: fc 2"), tmp_path / "net.onnx")
    assert os.listdir(tmp_path) == []
    export_pt2(example("a: fc 2"), tmp_path / "net.pt2")


def test_what_is_exported_are_the_weights_of_now(tmp_path: Path) -> None:
    model: Model = example("a: fc 2")
    images = images_for(model, 2)
    before = run(onnx_bytes(model), images)[0]
    with torch.no_grad():
        model.get_parameter("a.bias").add_(1)
    after = run(onnx_bytes(model), images)[0]
    torch.testing.assert_close(after, before + 1)


def test_the_page_of_exports_runs_and_shows_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "export.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for program in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(program, "export.md", "exec"), {})
    assert capsys.readouterr().out == "".join(re.findall(r"```text\n(.*?)```", page, re.DOTALL))
    written = ["googlenet.onnx", "googlenet.pt2"]
    assert sorted(os.listdir(tmp_path)) == sorted([*written, *(f"{w}.json" for w in written)])


# ------------------------------------------------------------------------ the description file

IMAGES = """net it
input image 4x5x3
prepare resize 4x5 | subtract mean image | order bgr
classes "cat", "dög"
a: fc 3
"""


def described(image: bool = True) -> Model:
    """A net that subtracts a mean image."""
    model = compiled(netspec.loads(IMAGES))
    if image:
        means = np.random.default_rng(0).uniform(0, 255, (4, 5, 3)).astype(np.float32)
        model.expects = replace(model.expects, image=means.astype(np.float64))
    return model


@EXPORTS
def test_a_description_says_what_the_net_expects(export: Export, tmp_path: Path) -> None:
    model = described()
    export(model, tmp_path / "net")
    text = (tmp_path / "net.json").read_text(encoding="utf-8")
    said = json.loads(text)
    assert text.splitlines()[1] == ' "kind": "netspec.description",'
    assert len(text.splitlines()) == len(said) + 2
    assert (said["version"], said["net"], said["dtype"]) == (1, "it", "float32")
    assert said["inputs"] == [{"name": "image", "shape": [3, 4, 5]}]
    assert said["outputs"] == [{"name": "a", "shape": [3]}]
    assert said["answer"] == "largest"
    assert said["expects"] == as_json(model.expects)
    assert said["expects"]["classes"] == ["cat", "dög"]
    assert model.expects.image is not None
    assert np.array_equal(np.float32(said["mean_image"]), model.expects.image)


@EXPORTS
def test_a_net_that_answers_by_its_least_output_says_so(export: Export, tmp_path: Path) -> None:
    export(example(CASES["rbf"]), tmp_path / "net")
    said = json.loads((tmp_path / "net.json").read_text())
    assert (said["answer"], said["mean_image"]) == ("smallest", None)
    assert said["expects"]["prepare"] is None


def test_an_onnx_model_says_what_it_expects_itself() -> None:
    model = described()
    (said,) = onnx.load_from_string(onnx_bytes(model)).metadata_props
    assert said.key == "netspec.expects"
    assert json.loads(said.value) == as_json(model.expects)


def test_what_weights_expect_travels_through_the_plain_net(tmp_path: Path) -> None:
    model = netspec.compile("lenet5")
    netspec.load_weights(model, trained("lenet5", "digits").weights)
    export_pt2(model.as_reference(), tmp_path / "net.pt2")
    said = json.loads((tmp_path / "net.pt2.json").read_text())
    assert said["expects"]["classes"] == list("0123456789")


@EXPORTS
def test_a_file_in_the_place_of_the_description_is_replaced_by_force_only(
    export: Export, tmp_path: Path
) -> None:
    beside = tmp_path / "net.json"
    beside.write_text('{"name": "mine"}')
    message = f"cannot write {beside}: the existing file is JSON, not a description"
    with pytest.raises(DataError, match=message):
        export(described(), tmp_path / "net")
    assert os.listdir(tmp_path) == ["net.json"]
    export(described(), tmp_path / "net", force=True)
    export(described(), tmp_path / "net")
    assert json.loads(beside.read_text())["net"] == "it"
    with pytest.raises(DataError, match="is the suffix of JSON"):
        export(described(), beside)


@EXPORTS
def test_no_net_is_written_without_its_description(export: Export, tmp_path: Path) -> None:
    export(described(), tmp_path / "net")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "link.json").symlink_to(tmp_path / "no folder" / "it")
    with pytest.raises(DataError, match=f"cannot write {tmp_path / 'link.json'}"):
        export(described(image=False), tmp_path / "link")
    (tmp_path / "link.json").unlink()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


CHANGES: dict[str, tuple[str, Callable[[Model], object]]] = {
    "a hook": ("a has hooks", lambda model: model.a.register_forward_hook(print)),
    "a hook on the net": (
        "the model has hooks",
        lambda model: model.register_forward_hook(lambda module, x, y: 2 * y),
    ),
    "pruned": ("b has hooks", lambda model: prune.l1_unstructured(model.b, "weight", 0.5)),
    "parametrised": ("b is of class ParametrizedPart now", lambda model: weight_norm(model.b)),
    "edited": (
        "a.maxpool is MaxPool2d.* now",
        lambda model: setattr(model.a.maxpool, "kernel_size", (1, 1)),
    ),
    "replaced": ("b is of class Identity now", lambda model: setattr(model, "b", nn.Identity())),
    "another activation": (
        "a.relu is of class ELU now",
        lambda model: setattr(model.a, "relu", nn.ELU()),
    ),
}


@EXPORTS
@pytest.mark.parametrize(("reason", "change"), CHANGES.values(), ids=CHANGES)
def test_what_a_file_would_not_have_is_refused(
    export: Export, reason: str, change: Callable[[Model], object], tmp_path: Path
) -> None:
    model = example("a: conv 3x3, 4 | relu | maxpool 2x2/2\nb: fc 5")
    export(model, tmp_path / "before")
    change(model)
    with pytest.raises(DataError, match=f"as its spec describes it, and {reason}: undo this"):
        export(model, tmp_path / "after")
    assert sorted(os.listdir(tmp_path)) == ["before", "before.json"]
