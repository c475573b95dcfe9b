"""What ``compile -o`` writes: runs, weights by name, heads, and what travels with a net."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import netspec
from netspec.artifact.loading import load_manifest
from netspec.cli import main
from netspec.runtime.weights import save_tensors

EXPORTS = pytest.mark.parametrize("name", ["it.onnx", "it.pt2"])
FORMS = pytest.mark.parametrize("name", ["it", "it.netspec", "it.onnx", "it.pt2"])


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["compile", *map(str, arguments)])


def expects_in(path: Path) -> dict[str, object]:
    """What a compiled net says of images."""
    if path.suffix in (".onnx", ".pt2"):
        said = json.loads(path.with_name(f"{path.name}.json").read_text())["expects"]
        assert isinstance(said, dict)
        return said
    return netspec.load_artifact(path).expects.as_json()


def old_weights(tiny: Path, path: Path) -> Path:
    """Weights of a file that says nothing of images."""
    save_tensors(netspec.compile(tiny / "tiny.net").state_dict(), path)
    return path


@FORMS
def test_a_run_is_compiled_with_what_it_learned(name: str, tiny: Path, tmp_path: Path) -> None:
    done = run(tiny / "run", "-o", tmp_path / name)
    assert (done.exit_code, done.stderr) == (0, "")
    said = expects_in(tmp_path / name)
    assert said["classes"] == [*"0123456789"]
    assert isinstance(said["prepare"], list)
    assert [step["step"] for step in said["prepare"]] == ["range", "subtract"]
    assert len(said["prepare"][1]["numbers"]) == 1
    line = done.stdout.splitlines()[-1].strip()
    start = f"{tmp_path / name}.json next to it" if name in ("it.onnx", "it.pt2") else "it"
    assert line.startswith(f"{start} says: range low=0, high=1 | subtract 0.")
    assert line.endswith("; 10 names of classes")


@FORMS
def test_a_spec_takes_what_its_weights_say(name: str, tiny: Path, tmp_path: Path) -> None:
    weights = tiny / "run" / "weights.safetensors"
    done = run(tiny / "tiny.net", "--weights", weights, "-o", tmp_path / name)
    assert (done.exit_code, done.stderr) == (0, "")
    run(tiny / "run", "-o", tmp_path / f"run-{name}")
    assert expects_in(tmp_path / name) == expects_in(tmp_path / f"run-{name}")


@FORMS
def test_weights_have_a_name(name: str, tmp_path: Path) -> None:
    assert run("lenet5", "--weights", "digits", "-o", tmp_path / name).exit_code == 0
    assert expects_in(tmp_path / name)["classes"] == [*"0123456789"]


@FORMS
def test_what_old_weights_do_not_say_is_said_once_and_travels(
    name: str, tiny: Path, tmp_path: Path
) -> None:
    weights = old_weights(tiny, tmp_path / "old.safetensors")
    (tmp_path / "names.txt").write_text("".join(f"digit {n}\n" for n in range(10)))
    arguments = [tiny / "tiny.net", "--weights", weights, "-o", tmp_path / name]
    done = run(*arguments)
    assert done.exit_code == 1
    assert "error: `subtract mean channel` needs the training set of tiny" in done.stderr
    assert not (tmp_path / name).exists()
    assert '--prepare "range low=0, high=1 | subtract GREY"' in done.stderr
    steps = "range low=0, high=1 | subtract 0.25"
    done = run(*arguments, "--prepare", steps, "--classes", tmp_path / "names.txt")
    assert (done.exit_code, done.stderr) == (0, "")
    said = expects_in(tmp_path / name)
    assert said["classes"] == [f"digit {n}" for n in range(10)]
    assert isinstance(said["prepare"], list)
    assert said["prepare"][1] == {"step": "subtract", "numbers": [0.25]}


@pytest.mark.filterwarnings("default:the weights .* does not say how images")
def test_weights_of_which_nobody_says_how_images_are_prepared_get_a_warning(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.net").write_text("net a\ninput image 4x4x3\na: fc 2\n")
    netspec.save_weights(netspec.compile(tmp_path / "a.net"), tmp_path / "a.safetensors")
    arguments = [tmp_path / "a.net", "--weights", tmp_path / "a.safetensors"]
    arguments += ["-o", tmp_path / "a.netspec"]
    said = (
        "does not say how images are prepared for a: give the steps, which are saved with the net"
    )
    assert said in " ".join(run(*arguments).stderr.split())
    assert run(*arguments, "--prepare", "range low=0, high=1").stderr == ""
    assert run(tmp_path / "a.net").stderr == ""  # random weights expect nothing
    (tmp_path / "a.net").write_text("net a\ninput row 4\na: fc 2\n")
    netspec.save_weights(netspec.compile(tmp_path / "a.net"), tmp_path / "a.safetensors")
    assert run(*arguments).stderr == ""


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--weights", "digits"], "--weights does not apply to a run, which has its own"),
        (["--set", "n=3"], "--set does not apply to a run"),
    ],
)
def test_options_that_are_not_for_a_run_are_refused(
    option: list[str], message: str, tiny: Path, tmp_path: Path
) -> None:
    done = run(tiny / "run", "-o", tmp_path / "it", *option)
    assert done.exit_code == 2
    assert message in done.stderr
    assert [*tmp_path.iterdir()] == []


def test_an_artifact_is_not_compiled_again(tiny: Path, tmp_path: Path) -> None:
    run(tiny / "run", "-o", tmp_path / "it.netspec")
    done = run(tmp_path / "it.netspec", "-o", tmp_path / "it.onnx")
    assert done.exit_code == 1
    assert "is an artifact, which is compiled: give its spec or its run" in done.stderr


def test_files_of_a_run_are_not_overwritten(tiny: Path) -> None:
    before = sorted((tiny / "run").iterdir())
    for place in (tiny / "run", tiny / "run" / "weights.safetensors"):
        done = run(tiny / "run", "-o", place, "--format", "onnx", "--force")
        assert done.exit_code == 2, done.output
        assert "use another name" in " ".join(done.stderr.split())
    assert sorted((tiny / "run").iterdir()) == before


@pytest.mark.parametrize("name", ["it", "it.netspec"])
def test_heads_are_kept_when_asked_for(name: str, tiny: Path, tmp_path: Path) -> None:
    done = run(tiny / "run", "-o", tmp_path / name)
    assert "without 1 head, which --heads keeps" in done.stdout
    assert not load_manifest(tmp_path / name).heads
    done = run(tiny / "run", "-o", tmp_path / name, "--heads")
    assert "without" not in done.stdout
    assert load_manifest(tmp_path / name).heads


def test_heads_are_for_artifacts(tiny: Path, tmp_path: Path) -> None:
    done = run(tiny / "run", "-o", tmp_path / "it.onnx")
    assert "without 1 head" in done.stdout
    assert "--heads" not in done.stdout
    for arguments in (["-o", tmp_path / "it.onnx", "--heads"], ["--heads"]):
        done = run(tiny / "run", *arguments)
        assert done.exit_code == 2
        assert "--heads is for an artifact" in done.stderr


@EXPORTS
def test_the_description_of_an_export_is_guarded_as_the_export_is(
    name: str, tiny: Path, tmp_path: Path
) -> None:
    beside = tmp_path / f"{name}.json"
    for content, said in (
        ("[1]", "the existing file is JSON"),
        ("my thesis", "the existing file is not"),
    ):
        beside.write_text(content)
        done = run(tiny / "run", "-o", tmp_path / name)
        assert done.exit_code == 2
        assert f"cannot write {beside}: {said}" in " ".join(done.stderr.split())
        assert [*tmp_path.iterdir()] == [beside]
    assert run(tiny / "run", "-o", tmp_path / name, "--force").exit_code == 0
    assert run(tiny / "run", "-o", tmp_path / name).exit_code == 0
    done = run(tiny / "run", "-o", tmp_path / name, "--classes", beside, "--force")
    assert "which the command reads: use another name" in " ".join(done.stderr.split())


def test_json_names_the_description(tiny: Path, tmp_path: Path) -> None:
    said = json.loads(run(tiny / "run", "-o", tmp_path / "a.pt2", "--json").stdout)
    assert said["description"] == f"{tmp_path / 'a.pt2'}.json"
    said = json.loads(run(tiny / "run", "-o", tmp_path / "a", "--json").stdout)
    assert said["description"] is None
