"""A run directory where a spec is wanted, and files of other kinds."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from netspec import SpecError, load
from netspec.artifact.manifest import SPEC
from netspec.artifact.spec import kept_settings, members_of
from netspec.language.read import RUN, SPEC_OF_RUN
from netspec.training.directory import ABOUT
from tests.forked import forked


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory, with the members that its spec is read from."""
    directory = tmp_path / "run"
    (directory / "files").mkdir(parents=True)
    base = 'net base\nimport "blocks.net"\ninput image 8x8x3\na: act\nb: fc 3\n'
    (directory / "spec.net").write_text("net mine(k=2) from base {\n    b: fc k\n}\n")
    (directory / "files/0.net").write_text(base)
    (directory / "files/1.net").write_text("block act = conv 3x3, 4 | relu\n")
    asked = [["spec.net", "base", "files/0.net"], ["files/0.net", "blocks.net", "files/1.net"]]
    about = {"settings": {"parameters": {"k": 5}, "seed": 1}, "asked": asked, "name": "mine"}
    (directory / "run.json").write_text(json.dumps(about))
    return directory


def test_the_names_are_those_that_runs_are_written_with() -> None:
    assert (RUN, SPEC_OF_RUN) == (ABOUT, SPEC)


def test_a_run_is_loaded_with_its_files_and_parameters(run: Path) -> None:
    net = load(run)
    assert net.graph.stage("b").shape == (5,)
    assert net.graph.stage("a").shape == (6, 6, 4)
    assert net.settings == {"k": 5}


def test_the_members_that_a_run_is_written_with_are_read_back(tmp_path: Path) -> None:
    net = load("alexnet_six", classes=77)
    texts, asked = members_of(net)
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text)
    parameters = {"parameters": kept_settings(net.settings)}
    about = {"settings": parameters, "asked": [[a.by, a.wrote, a.member] for a in asked]}
    (tmp_path / RUN).write_text(json.dumps(about))
    again = load(tmp_path)
    assert (again.name, again.totals) == (net.name, net.totals)
    assert again.totals.parameters != load("alexnet_six").totals.parameters


@pytest.mark.parametrize(
    "arguments",
    [("summary",), ("check",), ("diff", "lenet5"), ("document",), ("trace", "b")],
)
def test_commands_take_a_run_for_a_spec(arguments: tuple[str, ...], run: Path) -> None:
    command, *others = arguments
    done = forked(*["torch"] * (command == "trace")).run(command, run, *others)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "mine" in done.stdout or "run" in done.stdout


def test_a_run_has_its_parameters(run: Path) -> None:
    with pytest.raises(SpecError, match="is a run, which has its parameters already: `k` cannot"):
        load(run, k=3)


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ("{", "is not JSON"),
        ("{}", "settings"),
        ('{"settings": {"parameters": {}}}', "asked"),
        ('{"settings": {"parameters": {}}, "asked": [["spec.net", "x", "../../x.net"]]}', "asked"),
        (
            '{"settings": {"parameters": {}}, "asked": [["spec.net", "x", "files/9.net"]]}',
            "files/9",
        ),
    ],
)
def test_a_damaged_run_is_an_error(about: str, reason: str, run: Path) -> None:
    (run / "run.json").write_text(about)
    with pytest.raises(SpecError) as caught:
        load(run)
    (error,) = caught.value.diagnostics
    assert error.code == "NS001"
    assert reason in error.message


def test_a_link_in_a_run_is_not_followed(run: Path, tmp_path: Path) -> None:
    (tmp_path / "other.net").write_text("net other\ninput image 8x8x3\na: relu\n")
    (run / "spec.net").unlink()
    (run / "spec.net").symlink_to(tmp_path / "other.net")
    with pytest.raises(SpecError, match="it is a link"):
        load(run)


# ---------------------------------------------------------------------------- files of other kinds


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "{}")
    return buffer.getvalue()


KERAS = zipped("metadata.json", "config.json", "model.weights.h5")


@pytest.mark.parametrize(
    ("name", "content", "kind", "help"),
    [
        ("m.onnx", b"\x08\x07\x12\x07pytorch", "an ONNX model", "the .net file that it was made"),
        ("m.net", b"\x08\x07\x12\x07pytorch", "an ONNX model", "the .net file that it was made"),
        ("w.safetensors", b"\x02\0\0\0\0\0\0\0{}", "a safetensors file", "--weights FILE"),
        ("w.pth", b"\x80\x02}q\x00.", "a pickle", "netspec.save_weights"),
        ("w.pth", zipped("w/data.pkl"), "a pickle", "netspec.save_weights"),
        ("w.pt2", b"", "a PyTorch program", "the .net file that it was made"),
        ("x.png", b"\x89PNG\r\n\x1a\n", "a PNG image", "netspec run SPEC IMAGE"),
        ("x.jpg", b"\xff\xd8\xff\xe0", "a JPEG image", "netspec run SPEC IMAGE"),
        ("net.py", b"import torch\n", "a program", "netspec explain syntax"),
        ("a.netspec", b"PK", "an artifact", "netspec run"),
        ("run.json", b"{}", "JSON", "a .net file"),
        *(
            (name, b'# LeNet\nname: "LeNet"\ninput: "data"\n', "a Caffe net", "explain syntax")
            for name in ("deploy.prototxt", "deploy.txt", "deploy")
        ),
        ("n.prototxt", b"layer {\n  name: 'data'\n}\n", "a Caffe net", "explain syntax"),
        ("w.caffemodel", b"\x0a\x05LeNet", "a Caffe weights file", "takes a safetensors file"),
        ("yolo.cfg", b"[net]\nbatch=1\n", "a Darknet net", "explain syntax"),
        ("yolo", b"# a comment\n[net]\nbatch=1\n", "a Darknet net", "explain syntax"),
        ("m.h5", b"\x89HDF\r\n\x1a\n", "an HDF5 file", "takes a safetensors file"),
        ("m.net", b"\x89HDF\r\n\x1a\n", "an HDF5 file", "takes a safetensors file"),
        ("m.keras", KERAS, "a Keras model", "takes a safetensors file"),
        ("m", KERAS, "a Keras model", "takes a safetensors file"),
        ("m.pb", b"\x0a\x05", "a TensorFlow graph", "explain syntax"),
        ("m", b"\x1c\0\0\0TFL3", "a TensorFlow Lite model", "explain syntax"),
    ],
)
def test_a_file_of_another_kind_is_named_as_what_it_is(
    name: str, content: bytes, kind: str, help: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SpecError) as caught:
        load(path)
    (error,) = caught.value.diagnostics
    assert error.message == f"cannot read `{path}`: it is {kind}, not a spec"
    assert help in error.help


@pytest.mark.parametrize(
    ("name", "start"),
    [
        *((name, start) for name in ("a.net", "a.txt", "a") for start in ("", "# a\n\n", "\ufeff")),
        ("a.net", "#! netspec\n"),  # with another name it is a program
    ],
)
def test_a_spec_of_any_name_is_a_spec(name: str, start: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(f"{start}net a\ninput image 8x8x3\na: relu\n", encoding="utf-8")
    assert load(path).name == "a"


def test_a_directory_lists_its_specs(tmp_path: Path, run: Path) -> None:
    for name in ("b.net", "a.net", "c.txt"):
        (tmp_path / name).touch()
    with pytest.raises(SpecError, match=r"it is a directory\n.*\n.*inside it: a\.net, b\.net$"):
        load(tmp_path)
    done = forked().run("fmt", run)
    assert done.returncode == 1
    assert f"name the spec in it: {run}/spec.net" in done.stderr


# -------------------------------------------------------------------------- names that are misspelt


def help_for(name: str | Path) -> str:
    with pytest.raises(SpecError) as caught:
        load(name)
    return caught.value.diagnostics[0].help


def test_a_spec_of_the_folder_is_suggested_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos.net").touch()
    (tmp_path / "alexnets.net").touch()
    monkeypatch.chdir(tmp_path)
    assert help_for("photos.nett") == "did you mean `photos.net`?"
    assert help_for("photost") == "did you mean `photos.net`?"
    assert help_for("alexnetss") == "did you mean `alexnets.net` or `alexnet`?"
    assert help_for("googlenett") == "did you mean `googlenet`?"
    assert help_for(tmp_path / "photost.net") == f"did you mean `{tmp_path}/photos.net`?"
    assert help_for("zzzzzz").startswith(
        "give the path of a .net file (here: alexnets.net, photos.net), or a bundled name: alexnet,"
    )
