from __future__ import annotations

import json
import re
import subprocess
import sys
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import netspec
from netspec import Compiled, DataError, load_artifact, save_artifact
from netspec.artifact.loading import load_kernels, load_manifest
from netspec.artifact.reading import is_artifact
from netspec.backends.cpu import CpuBackend
from netspec.ir.shapes import Kernel
from netspec.ir.values import Word
from netspec.runtime.verification import as_tuple, random_images
from tests.artifact.helpers import (
    BASE,
    BLOCKS,
    KERNELS,
    VARIANT,
    artifact,
    changed,
    replace_member,
    small,
    write_specs,
)

FORMS = pytest.mark.parametrize("form", ["", ".netspec"])


def assert_same(one: Compiled, other: Compiled) -> None:
    """Outputs and tensors are the same to the bit."""
    images = [image.to(one.lowered.dtype) for image in random_images(one.net, batch=3)]
    pairs = zip(as_tuple(one(*images)), as_tuple(other(*images)), strict=True)
    assert all(torch.equal(y, z) for y, z in pairs)
    tensors, others = one.state_dict(), other.state_dict()
    assert list(tensors) == list(others)
    assert all(torch.equal(tensors[name], others[name]) for name in tensors)


@FORMS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_lenet5_comes_back_to_the_bit(form: str, dtype: torch.dtype, tmp_path: Path) -> None:
    model, path = netspec.compile("lenet5", dtype=dtype, seed=3, batch=2), tmp_path / f"it{form}"
    root = save_artifact(model, path)
    loaded = load_artifact(path, expect=root)
    assert (loaded.lowered.dtype, loaded.lowered.batch) == (dtype, 2)
    assert loaded.lowered.plan == model.lowered.plan
    assert_same(model, loaded)
    assert path.is_file() == bool(form)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@FORMS
def test_a_variant_with_imports_and_settings_comes_back_to_the_bit(
    form: str, tmp_path: Path
) -> None:
    path, root = artifact(tmp_path, form)
    loaded = load_artifact(str(path), expect=root.upper())
    assert loaded.net.settings == {"width": "2 + 4", "kernel": "5x5"}
    assert loaded.net.graph.stage("a.conv").known_shape.channels == 6
    assert_same(small(), loaded)


@FORMS
def test_what_was_loaded_is_saved_as_it_was(form: str, tmp_path: Path) -> None:
    path, root = artifact(tmp_path, form)
    again = tmp_path / f"again{form}"
    assert save_artifact(load_artifact(path), again, kernels=KERNELS, heads=True) == root


def test_the_root_digest_does_not_depend_on_the_form_or_the_folder(tmp_path: Path) -> None:
    roots = {artifact(tmp_path, form)[1] for form in ("", ".netspec")}
    (tmp_path / "elsewhere").mkdir()
    net = netspec.load(write_specs(tmp_path / "elsewhere"), width="2 + 4", kernel="5x5")
    roots.add(save_artifact(netspec.compile(net), tmp_path / "other", kernels=KERNELS, heads=True))
    assert len(roots) == 1


def test_the_root_digest_is_that_of_the_manifest_and_changes_with_the_weights(
    tmp_path: Path,
) -> None:
    path, root = artifact(tmp_path)
    assert sha256((path / "manifest.json").read_bytes()).hexdigest() == root
    model = load_artifact(path)
    with torch.no_grad():
        model.get_parameter("a.conv.weight")[0, 0, 0, 0] += 1
    other = save_artifact(model, tmp_path / "other", kernels=KERNELS, heads=True)
    assert other != root
    assert_same(model, load_artifact(tmp_path / "other", expect=other))


def test_the_members_are_what_the_page_says(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    assert (path / "spec.net").read_text(encoding="utf-8") == VARIANT
    assert (path / "files" / "0.net").read_text(encoding="utf-8") == BASE
    assert (path / "files" / "1.net").read_text(encoding="utf-8") == BLOCKS
    plan = json.loads((path / "plan.json").read_bytes())
    lowered = small().lowered
    assert plan["plan"] == json.loads(json.dumps(lowered.plan.as_json()))
    assert plan["choices"] == {name: c.implementation for name, c in lowered.choices.items()}
    manifest = json.loads((path / "manifest.json").read_bytes())
    assert manifest["made_by"]["netspec"] == netspec.__version__
    assert manifest["made_by"]["torch"] == torch.__version__
    assert str(tmp_path) not in json.dumps(manifest)


def test_safetensors_reads_the_weights(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    wanted = small().state_dict()
    length = int.from_bytes((path / "weights.safetensors").read_bytes()[:8], "little")
    assert length % 8 == 0
    with safe_open(path / "weights.safetensors", framework="pt") as file:
        assert file.metadata() is None
        assert {*file.keys()} == {*wanted}
        assert all(torch.equal(file.get_tensor(name), t) for name, t in wanted.items())


def test_a_net_without_parameters_comes_back(tmp_path: Path) -> None:
    model = netspec.compile(netspec.loads("net none\ninput image 8x8x3\na: relu"))
    save_artifact(model, tmp_path / "it")
    with safe_open(tmp_path / "it" / "weights.safetensors", framework="pt") as file:
        assert list(file.keys()) == []
    assert_same(model, load_artifact(tmp_path / "it"))


def test_choices_other_than_the_preferred_come_back(tmp_path: Path) -> None:
    first = netspec.compile("lenet5").lowered.choices
    choices = {stage: list(choice.candidates)[-1] for stage, choice in first.items()}
    model = netspec.compile("lenet5", choices=choices)
    save_artifact(model, tmp_path / "it")
    loaded = load_artifact(tmp_path / "it")
    stored = {stage: choice.implementation for stage, choice in loaded.lowered.choices.items()}
    assert stored == choices != {stage: choice.implementation for stage, choice in first.items()}
    assert_same(model, loaded)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (6, 6),
        (6.0, 6.0),
        ("2 * 3", "2 * 3"),
        (Fraction(6), "6 / 1"),
        (Kernel(6, 3, stride=2), "6x3/2"),
        (Word("tanh"), "tanh"),
        (True, True),
    ],
)
def test_settings_of_every_kind_come_back(value: object, kept: object, tmp_path: Path) -> None:
    row = {Kernel: "conv v, 4", Word: "v", bool: "conv 3x3, 4, bias=v"}.get(type(value), "fc v")
    default = {Kernel: "3x3", Word: "relu", bool: "off"}.get(type(value), "4")
    text = f"net set(v={default})\ninput image 8x8x3\na: {row}"
    model = netspec.compile(netspec.loads(text, "set", v=value))  # type: ignore[arg-type]
    save_artifact(model, tmp_path / "it")
    loaded = load_artifact(tmp_path / "it")
    assert loaded.net.settings == {"v": kept}
    assert_same(model, loaded)


def test_a_loaded_net_can_be_trained(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    with torch.inference_mode():
        model = load_artifact(path)
    y, heads = model.train()(torch.rand(2, 3, 8, 8))
    (y.sum() + sum(heads.values()).sum()).backward()
    gradient = model.get_parameter("a.conv.weight").grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_a_net_in_training_is_saved_with_the_weights_of_now(tmp_path: Path) -> None:
    model = load_artifact(artifact(tmp_path)[0]).train()
    with torch.no_grad():
        model.get_parameter("h.bias").fill_(7)
    save_artifact(model, tmp_path / "trained", heads=True)
    assert model.training
    loaded = load_artifact(tmp_path / "trained")
    assert not loaded.training
    assert loaded.state_dict()["h.bias"].tolist() == [7, 7]


# ------------------------------------------------------------------------------- what is expected


@FORMS
def test_an_artifact_with_another_root_digest_is_refused(form: str, tmp_path: Path) -> None:
    path, root = artifact(tmp_path, form)
    wrong = f"{'0' if root[0] != '0' else '1'}{root[1:]}"
    for load in (load_artifact, load_kernels, load_manifest):
        with pytest.raises(DataError, match=f"cannot load {path}: its root digest is {root}, not"):
            load(path, expect=wrong)
        load(path, expect=root)


def test_a_part_of_a_root_digest_is_refused(tmp_path: Path) -> None:
    path, root = artifact(tmp_path)
    for part in (root[:12], root[:63], f"{root}0", "", f" {root[1:]}", f"{root}\n"):
        with pytest.raises(DataError, match="root digest does not have 64 hexadecimal digits"):
            load_artifact(path, expect=part)


def test_what_is_not_expected_is_not_even_parsed(tmp_path: Path) -> None:
    path, root = artifact(tmp_path)
    (path / "manifest.json").write_bytes(b"{")
    with pytest.raises(DataError, match="its root digest is"):
        load_artifact(path, expect=root)


def test_only_an_expected_root_digest_detects_what_was_put_in_on_purpose(tmp_path: Path) -> None:
    path, root = artifact(tmp_path)
    weights = bytearray((path / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    replace_member(path, "weights.safetensors", bytes(weights))
    load_artifact(path)
    with pytest.raises(DataError, match="its root digest is"):
        load_artifact(path, expect=root)


@FORMS
def test_kernels_come_back_by_name(form: str, tmp_path: Path) -> None:
    path, root = artifact(tmp_path, form)
    assert load_kernels(path, expect=root) == KERNELS
    assert load_manifest(path).kernels == tuple(sorted(KERNELS))


@FORMS
def test_kernels_are_used_of_an_expected_artifact_alone(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, root = artifact(tmp_path, form)
    used: list[object] = []
    monkeypatch.setattr(CpuBackend, "use", lambda self, kernels: used.append(kernels))
    load_artifact(path)
    with pytest.raises(DataError):
        load_artifact(path, expect="0" * 64)
    assert used == []
    load_artifact(path, expect=root)
    assert used == [KERNELS]


# ------------------------------------------------------------------------- other machines, versions


def test_a_newer_format_names_the_netspec_that_wrote_it(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)

    def newer(manifest: dict[str, object]) -> dict[str, object]:
        return {"format": 3, "made_by": {"netspec": "9.1"}, "unheard": [manifest]}

    changed(path, newer)
    with pytest.raises(DataError, match=r"format 3 of netspec 9\.1, .* install netspec 9\.1"):
        load_artifact(path)


def test_an_older_format_is_to_be_compiled_again(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    changed(path, lambda manifest: manifest.update(format=0))
    with pytest.raises(
        DataError, match="format 0, which netspec does not support: compile it again"
    ):
        load_artifact(path)


def test_other_versions_are_notes(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    assert load_manifest(path).notes == []
    changed(path, lambda manifest: manifest["made_by"].update(torch="1.0", triton=None))
    load_artifact(path)
    here = re.escape(torch.__version__)
    torch_note, triton_note = load_manifest(path).notes
    assert re.fullmatch(f"it was made with torch 1.0, and version {here} is installed", torch_note)
    assert triton_note.startswith("it was made without triton, and ")


def test_a_plan_that_netspec_does_not_make_is_refused(tmp_path: Path) -> None:
    def plan_changed(number: int, key: str, value: object) -> None:
        folder = tmp_path / f"{number}"
        folder.mkdir()
        path, _ = artifact(folder)
        plan = json.loads((path / "plan.json").read_bytes())
        plan["plan"][key] = value
        text = json.dumps(plan, indent=1, sort_keys=True) + "\n"
        replace_member(path, "plan.json", text.encode())
        with pytest.raises(
            DataError, match=r"the installed version makes another plan .* compile it again"
        ):
            load_artifact(path)

    memory_plan = small().lowered.plan
    slots = [{**slot, "buffer": 0} for slot in memory_plan.as_json()["slots"]]
    plan_changed(0, "slots", slots)
    plan_changed(1, "buffers", [])
    plan_changed(2, "arena", memory_plan.arena - 64)
    plan_changed(3, "bound", None)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"nobody": "torch"}, "name the stage 'nobody'"),
        ({"c": "cublas"}, "c cannot be computed by 'cublas'"),
        ({"c": ["torch"]}, "`choices.* is a list of"),
        ([], "`choices.* is a list of"),
    ],
)
def test_choices_that_do_not_fit_are_refused(choices: object, message: str, tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    plan = json.loads((path / "plan.json").read_bytes())
    plan["choices"] = choices
    replace_member(path, "plan.json", json.dumps(plan).encode())
    with pytest.raises(DataError, match=message):
        load_artifact(path)


def test_a_target_without_backend_is_refused(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    for target, message in (
        (
            "meta",
            "compiled by netspec .* for meta, and cannot run on this machine: there is no backend",
        ),
        ("toaster", "cannot run on this machine: there is no backend for toaster"),
        ("cpu\x1b[31m", "`target` is .*, not the name of a backend"),
    ):
        changed(path, lambda manifest, target=target: manifest.update(target=target))
        with pytest.raises(DataError, match=message):
            load_artifact(path)


# --------------------------------------------------------------------------------------- the spec


def test_a_spec_of_another_net_is_refused(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    for text, message in (
        (VARIANT.replace("small", "other"), "its spec describes 'other', and its manifest 'small'"),
        (VARIANT.replace("pair 3", "pair 2"), "does not hold|another plan|does not have the size"),
        (VARIANT.replace("pair", "pear"), r"has errors in netspec (.|\n)*spec.net:2"),
        (VARIANT.replace("base", "lenet5"), "other files than it contains|has errors"),
        ("net small\ninput image 8x8x3\na: relu", "has no parameter|other files than it contains"),
        (VARIANT + "\0", "has errors in netspec(.|\n)*control character"),
    ):
        replace_member(path, "spec.net", text.encode())
        with pytest.raises(DataError, match=message):
            load_artifact(path)


def test_a_spec_that_is_not_text_or_too_large_is_refused(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    replace_member(path, "files/0.net", b"net \xff")
    with pytest.raises(DataError, match="not UTF-8"):
        load_artifact(path)
    replace_member(path, "files/0.net", b"#" * (2**20 + 1))
    with pytest.raises(DataError, match="larger than 1 MiB"):
        load_artifact(path)


def test_bundled_specs_do_not_stand_in_for_files_that_are_not_there(tmp_path: Path) -> None:
    model = netspec.compile(netspec.loads("net mine from lenet5 { out: fc 3 }"))
    save_artifact(model, tmp_path / "it")
    assert_same(model, load_artifact(tmp_path / "it"))

    def without(manifest: dict[str, object]) -> None:
        manifest["asked"] = []
        manifest["members"].pop("files/0.net")  # type: ignore[attr-defined]

    changed(tmp_path / "it", without)
    (tmp_path / "it" / "files" / "0.net").unlink()
    with pytest.raises(DataError, match="other files than it contains"):
        load_artifact(tmp_path / "it")


def test_symbols_are_refused(tmp_path: Path) -> None:
    model = netspec.compile(netspec.loads("net sized\ninput image 8 x 8 x C\na: relu", "s", C=3))
    save_artifact(model, tmp_path / "it")
    changed(tmp_path / "it", lambda manifest: manifest.update(settings={}))
    with pytest.raises(DataError, match="symbols without a value: C"):
        load_artifact(tmp_path / "it")


def test_a_net_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    text = "net {0}\ninput image 8x8x3\na: relu\n"
    unread = netspec.loads(f"net set(v=4)\n{text[8:]}", "set", v=Word("nonsense"))
    named_alike = netspec.loads("net lenet5 from lenet5 { out: fc 3 }", "lenet5")
    for net, message in (
        (netspec.loads(text.format("half") + "# \ud800", "half.net"), "half.net contains half of"),
        (unread, r"its spec, read again with its settings, has errors (.|\n)*`nonsense` is not"),
        (named_alike, "two files of lenet5 are called lenet5"),
    ):
        with pytest.raises(DataError, match=f"cannot write {tmp_path / 'it'}: {message}"):
            save_artifact(netspec.compile(net), tmp_path / "it")
    assert list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------------------- what it needs


def test_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    data = (path / "weights.safetensors").read_bytes()
    replace_member(path, "weights.safetensors", data[:-4])
    with pytest.raises(
        DataError, match=r"weights\.safetensors does not have the size of small's tensors"
    ):
        load_artifact(path)
    assert data.count(b'"h.bias"') == 1
    replace_member(path, "weights.safetensors", data.replace(b'"h.bias"', b'"h.size"'))
    with pytest.raises(
        DataError, match=r"weights\.safetensors does not contain the tensors of small"
    ):
        load_artifact(path)


def test_a_machine_with_too_little_memory_is_told_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = artifact(tmp_path)
    monkeypatch.setattr("netspec.runtime.reference._memory", lambda: 100.0)
    with pytest.raises(MemoryError, match="the parameters of small take"):
        load_artifact(path)


def test_loading_runs_and_unpickles_nothing() -> None:
    import netspec.artifact as package

    for file in Path(package.__file__).parent.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"\b(pickle|torch\.load|marshal|shelve|eval\(|exec\()", text), file


def test_the_api_is_lazy() -> None:
    program = (
        "import sys, netspec; from netspec.artifact.reading import is_artifact; "
        "assert not is_artifact('googlenet'); assert 'torch' not in sys.modules; "
        "netspec.load_artifact, netspec.save_artifact"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert {"load_artifact", "save_artifact"} <= {*netspec.__all__} & {*dir(netspec)}


def test_artifacts_and_specs_are_told_apart(tmp_path: Path) -> None:
    folder, _ = artifact(tmp_path)
    file, _ = artifact(tmp_path, ".netspec")
    spec = tmp_path / "small.net"
    spec.write_text(VARIANT, encoding="utf-8")
    assert [is_artifact(p) for p in (folder, str(file), spec, tmp_path, "googlenet", "no.netspec")]
    assert is_artifact(folder)
    assert is_artifact(str(file))
    assert is_artifact("missing.netspec")
    assert not any(map(is_artifact, (spec, tmp_path, "googlenet")))


def test_the_page_of_artifacts_runs_and_shows_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "artifact.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    shared: dict[str, object] = {}
    for program in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(program, "artifact.md", "exec"), shared)
    assert capsys.readouterr().out == "".join(re.findall(r"```text\n(.*?)```", page, re.DOTALL))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lenet5.netspec", "mine"]


def test_whether_weights_are_trained_stays_known(tmp_path: Path) -> None:
    model = netspec.compile("lenet5")
    netspec.save_artifact(model, tmp_path / "drawn")
    assert not netspec.load_artifact(tmp_path / "drawn").is_trained
    model.load_state_dict(model.state_dict())
    netspec.save_artifact(model, tmp_path / "loaded")
    assert netspec.load_artifact(tmp_path / "loaded").is_trained


def test_weights_that_are_not_finite_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = netspec.compile(netspec.loads("net n\ninput image 4x4x3\na: conv 3x3, 2 | relu\n"))
    tensors = model.state_dict()
    tensors["a.bias"][1] = float("nan")
    model.load_state_dict(tensors)
    monkeypatch.setattr("netspec.artifact.saving.require_finite_to_save", lambda *_: None)
    netspec.save_artifact(model, tmp_path / "n.netspec")
    message = r"cannot load \S*n\.netspec: the weights in weights\S* are not finite: a\.bias is NaN"
    with pytest.raises(DataError, match=message):
        netspec.load_artifact(tmp_path / "n.netspec")


def test_a_nan_that_damage_made_is_reported_as_damage(tmp_path: Path) -> None:
    path, _ = artifact(tmp_path)
    member = path / "weights.safetensors"
    member.write_bytes(member.read_bytes()[:-4] + b"\xff" * 4)
    with pytest.raises(DataError, match=r"weights\.safetensors is damaged: its digest is not"):
        load_artifact(path)
