"""The command line, in processes of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import save_file

import netspec
from netspec.ir.ops import OPERATORS
from netspec.language.handbook import codes
from netspec.runtime.verification import random_images
from tests.forked import forked

GOOD = "net example(n=10)\ninput image 8x8x3\na: fc n | softmax -> 10\n"


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return forked("torch").run(*arguments, cwd=cwd)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "example.net"
    path.write_text(GOOD)
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.net"
    path.write_text("net bad\ninput image 8x8x3\na: cnov 3x3\n")
    return path


# ------------------------------------------------------------------------------------------ check


def test_check_says_what_holds() -> None:
    done = run("check", "googlenet", "alexnet", "lenet5")
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] == "googlenet: 18 rows, 158 stages, 20 claims hold"
    assert len(done.stdout.splitlines()) == 3


def test_check_reports_every_file_and_fails(spec: Path, bad: Path) -> None:
    done = run("check", bad, spec, bad.parent / "missing.net")
    assert done.returncode == 1
    assert "error[NS112]: there is no operator or block `cnov`" in done.stderr
    assert f"--> {bad}:3:4" in done.stderr
    assert "error[NS001]" in done.stderr
    assert "example.net: 1 row, 2 stages, 1 claim holds" in done.stdout


def test_check_prints_json_for_editors(spec: Path, bad: Path) -> None:
    done = run("check", "--json", spec, bad)
    assert done.returncode == 1
    (error,) = json.loads(done.stdout)
    assert set(error) == {
        "code", "severity", "message", "file", "line", "column", "end_line", "end_column",
        "notes", "help",
    }  # fmt: skip
    assert (error["code"], error["file"], error["line"], error["column"]) == (
        "NS112", str(bad), 3, 4
    )  # fmt: skip
    assert json.loads(run("check", "--json", spec).stdout) == []


def test_settings_list_the_claims_that_do_not_apply(spec: Path) -> None:
    done = run("check", spec, "--set", "n=5")
    assert done.returncode == 0
    assert "note[NS305]" in done.stdout
    assert "0 claims hold, 1 does not apply" in done.stdout
    for command in ("summary", "compile"):
        told = run(command, spec, "--set", "n=5").stdout.splitlines()[-1]
        assert "with these settings: row a is 5, not 10 (" in told
        assert told.endswith("example.net, line 3)")


# ---------------------------------------------------------------------------------------- summary


def test_summary_prints_the_table() -> None:
    done = run("summary", "alexnet")
    assert done.returncode == 0
    assert "27x27x96    5x5x48/1, 256    27x27x256" in done.stdout
    assert "60,965,224   724,406,816" in done.stdout


def test_summary_says_what_columns_exchange() -> None:
    done = run("summary", "alexnet", "--columns")
    assert "S2         13x13x256   C3              173,056          173,056" in done.stdout
    data = json.loads(run("summary", "alexnet", "--columns", "--json").stdout)
    assert data["exchanges"]["forward"] == 246_688
    done = run("summary", "lenet5", "--columns")
    assert done.returncode == 1
    assert done.stderr.startswith("error: lenet5 does not have columns")


def read_until_closed(terminal: int) -> bytes:
    """Return what was written to the other end until its last process closed it: one read
    returns only what has arrived so far, and Linux reports the end as an error."""
    shown = b""
    with contextlib.suppress(OSError):
        while some := os.read(terminal, 1 << 16):
            shown += some
    return shown


@pytest.mark.parametrize("columns", ["80", "120"])
def test_summary_fits_the_terminal(columns: str) -> None:
    ours, terminal = os.openpty()
    command = [sys.executable, "-m", "netspec", "summary", "alexnet"]
    env = os.environ | {"COLUMNS": columns}
    with subprocess.Popen(command, stdout=terminal, env=env) as process:
        os.close(terminal)
        shown = read_until_closed(ours).decode()
    os.close(ours)
    assert process.returncode == 0
    assert "conv relu norm" in shown
    assert ("Hidden columns: input, field." in shown) == (columns == "80")


def test_summary_expands_blocks() -> None:
    done = run("summary", "googlenet", "--expand")
    assert "\n3a.b2.conv2 " in done.stdout
    assert "\n3a " in done.stdout
    data = json.loads(run("summary", "googlenet", "--expand", "--json").stdout)
    labels = [row["label"] for row in data["rows"]]
    assert labels.index("3a") + 1 == labels.index("3a.b1")


def test_summary_prints_the_documented_json() -> None:
    data = json.loads(run("summary", "googlenet", "--json").stdout)
    assert list(data) == [
        "name", "title", "inputs", "parameters", "buffers", "macs", "neurons", "with_heads",
        "columns", "exchange", "rows", "stages",
    ]  # fmt: skip
    assert data["parameters"] == 6_998_552
    assert data["macs"] == 1_582_671_872
    assert data["with_heads"] == {"parameters": 13_378_280, "macs": 1_591_044_096}


def test_a_closed_pipe_is_quiet() -> None:
    command = f"{sys.executable} -m netspec summary googlenet --json | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout == "{\n"
    assert done.stderr == ""


# -------------------------------------------------------------------------------------------- run


def test_run_says_that_weights_are_untrained(photograph: Path) -> None:
    done = run("run", "lenet5", photograph, "--top", "3")
    assert done.returncode == 0, done.stderr
    assert "untrained, random weights" in done.stdout
    assert "(give trained ones with --weights digits)" in done.stdout
    assert done.stdout.count("class") == 3


def test_run_reads_weights_and_gives_the_classes_they_mean(tmp_path: Path, spec: Path) -> None:
    import torch

    model = netspec.compile(spec)
    with torch.no_grad():
        model.a.weight.zero_()
        model.a.bias.copy_(torch.arange(10.0))
    netspec.save_weights(model, tmp_path / "w.safetensors")
    Image.new("RGB", (30, 20), "red").save(tmp_path / "a.png")
    arguments = ("run", spec, tmp_path / "a.png", "--weights", tmp_path / "w.safetensors")
    done = run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["trained"]
    assert [place["class"] for place in data["results"][0]["top"]] == [9, 8, 7, 6, 5]
    assert "untrained" not in run(*arguments).stdout


def test_run_goes_on_after_a_image_that_cannot_be_read(spec: Path, tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "b.png")
    done = run("run", spec, tmp_path / "none.png", tmp_path / "b.png")
    assert done.returncode == 1
    assert "none.png: there is no such file" in done.stderr
    assert done.stdout.count("class") == 5
    assert "Traceback" not in done.stderr


def test_run_refuses_nets_that_do_not_classify_images(tmp_path: Path, photograph: Path) -> None:
    for rows in ("a: relu", "a: fc 3\nb from image: fc 3\noutput a, b"):
        path = tmp_path / "a.net"
        path.write_text(f"net a\ninput image 8x8x3\n{rows}\n")
        done = run("run", path, photograph)
        assert done.returncode == 1
        assert done.stderr.startswith("error: a ")


def test_weights_of_another_net_are_refused(tmp_path: Path, spec: Path, photograph: Path) -> None:
    netspec.save_weights(netspec.compile("lenet5"), tmp_path / "w.safetensors")
    done = run("run", spec, photograph, "--weights", tmp_path / "w.safetensors")
    assert done.returncode == 1
    assert "are not this net's" in done.stderr


# --------------------------------------------------------------------------------- explain and ops


def test_explain_shows_the_page_or_the_list() -> None:
    assert run("explain", "ns204").stdout.startswith("# NS204: branches of a concat differ")
    assert run("explain", "syntax").stdout.startswith("# syntax: the language on one screen")
    listed = run("explain").stdout.splitlines()
    assert listed[0] == "syntax the language on one screen"
    assert len(listed) == 1 + len(codes())
    unknown = run("explain", "NS999")
    assert unknown.returncode == 2
    assert "there is no page NS999" in unknown.stderr


def test_ops_describes_operators() -> None:
    assert len(run("ops").stdout.splitlines()) == len(OPERATORS)
    shown = run("ops", "lrn").stdout
    assert shown.startswith("lrn N, k=, alpha=, beta=, groups=")
    assert "default 0.0001" in shown
    data = json.loads(run("ops", "avgpool", "--json").stdout)
    assert data[0]["attributes"][0]["name"] == "kernel"
    assert run("ops", "cnov").returncode == 2


# ------------------------------------------------------------------------------------- exit codes


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["check"],
        ["summary", "lenet5", "--set", "n"],
        ["summary", "lenet5", "--set", "n=1", "--set", "n=2"],
        ["summary", "lenet5", "--set", "n=1"],
        ["compile", "lenet5", "--batch", "0"],
        ["compile", "lenet5", "--dtype", "int8"],
        ["run", "lenet5"],
    ],
)
def test_a_wrong_command_exits_with_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["summary", "compile"])
def test_a_wrong_spec_exits_with_1_also_as_json(command: str, bad: Path) -> None:
    done = run(command, bad)
    assert done.returncode == 1
    assert "error[NS112]" in done.stderr
    data = run(command, bad, "--json")
    assert data.returncode == 1
    assert json.loads(data.stdout)[0]["code"] == "NS112"


def test_the_version_and_the_help_are_there() -> None:
    assert netspec.__version__ in run("--version").stdout
    shown = run("--help").stdout
    assert ", ".join(netspec.bundled()) in " ".join(shown.split())


# ------------------------------------------------------------------------------------ odd terminals


def shell(command: str) -> subprocess.CompletedProcess[str]:
    line = f"{command.replace('netspec', f'{sys.executable} -m netspec')}"
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)


def test_an_output_that_is_not_utf8_gets_question_marks() -> None:
    done = shell("PYTHONIOENCODING=cp1252 netspec summary alexnet | iconv -f cp1252 -t utf-8")
    assert done.stderr == ""
    assert "60,965,224" in done.stdout


def test_a_closed_output_is_quiet_and_a_full_one_is_an_error() -> None:
    assert shell("netspec summary lenet5 >&-").stderr == ""
    done = shell("netspec summary lenet5 > /dev/full")
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_scores_that_are_not_finite_are_an_error(
    tmp_path: Path, spec: Path, photograph: Path
) -> None:
    model = netspec.compile(spec)
    model.a.bias.data.fill_(float("nan"))
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, tmp_path / "w.safetensors")  # as save_weights refuses it
    for extra in ([], ["--json"]):
        done = run("run", spec, photograph, "--weights", tmp_path / "w.safetensors", *extra)
        assert done.returncode == 1
        assert "w.safetensors are not finite: a.bias is NaN at [0]" in done.stdout + done.stderr
    model.a.bias.data.fill_(0.0)
    model.a.weight.data.fill_(3e38)
    netspec.save_weights(model, tmp_path / "w.safetensors")
    for extra in ([], ["--json"]):
        done = run("run", spec, photograph, "--weights", tmp_path / "w.safetensors", *extra)
        assert done.returncode == 1
        assert "are not finite: a is the first row with values outside the range of float32" in (
            done.stdout + done.stderr
        )
        assert '"top"' not in done.stdout
        assert "█" not in done.stdout


def test_empty_weights_are_not_no_weights(spec: Path, photograph: Path) -> None:
    done = run("run", spec, photograph, "--weights", "")
    assert done.returncode == 2
    assert "weights must be the path of a file of weights" in done.stderr


@pytest.mark.parametrize("size", [3_000_000, 1_000_000_000])  # the second has 2**63 bytes and more
def test_memory_that_cannot_be_had_is_an_error(size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    path.write_text(f"net a\ninput image {size}x{size}x3\na: gap | fc 2\n")
    done = run("compile", path)
    assert done.returncode == 1
    assert "does not have enough memory" in done.stderr
    assert "Traceback" not in done.stderr


def test_run_takes_an_artifact_and_what_is_expected_of_it(
    tmp_path: Path, spec: Path, photograph: Path
) -> None:
    model = netspec.compile(spec)
    model.load_state_dict(model.state_dict())
    root = netspec.save_artifact(model, tmp_path / "a.netspec")
    arguments = ("run", tmp_path / "a.netspec", photograph, "--json")
    of_spec = run("run", spec, photograph, "--json")
    for more in ((), ("--expect", root)):
        done = run(*arguments, *more)
        assert done.returncode == 0, done.stderr
        data = json.loads(done.stdout)
        assert data["trained"]
        assert data["results"] == json.loads(of_spec.stdout)["results"]
    done = run(*arguments, "--expect", root[::-1])
    assert done.returncode == 1
    assert "not the expected one" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.netspec", "--weights", "w"), "--weights is for a spec: an artifact is compiled"),
        (("a.netspec", "--set", "n=1"), "--set is for a spec: an artifact is compiled"),
        (
            ("lenet5", "--expect", "0" * 64),
            "--expect is for an artifact, and lenet5 is not an artifact",
        ),
    ],
)
def test_options_of_specs_and_artifacts_are_told_apart(
    arguments: tuple[str, ...], message: str, photograph: Path
) -> None:
    done = run("run", arguments[0], photograph, *arguments[1:])
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize("form", ["onnx", "pt2"])
def test_compile_writes_files_for_other_programs(tmp_path: Path, spec: Path, form: str) -> None:
    import torch

    target = tmp_path / f"a.{form}"
    done = run("compile", spec, "--format", form, "-o", target)
    assert done.returncode == 0, done.stderr
    model = netspec.compile(spec)
    (x,) = random_images(model.net, batch=3)
    if form == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
        array = session.run(None, {session.get_inputs()[0].name: x.float().numpy()})[0]
        y = torch.from_numpy(array)
    else:
        y = torch.export.load(target).module()(x.float())
    torch.testing.assert_close(y, model(x.float()))


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_run_takes_an_artifact_of_another_type(
    tmp_path: Path, spec: Path, photograph: Path, dtype: str
) -> None:
    import torch

    netspec.save_artifact(netspec.compile(spec, dtype=getattr(torch, dtype)), tmp_path / "a")
    done = run("run", tmp_path / "a", photograph, "--json")
    assert done.returncode == 0, done.stderr
    of_spec = json.loads(run("run", spec, photograph, "--json").stdout)
    (ours,), (theirs,) = (
        [result["top"][0] for result in data["results"]]
        for data in (json.loads(done.stdout), of_spec)
    )
    # Image, weights and logits are each rounded by 2^-9 of themselves at worst; of logits below 8
    # that is 3 x 8 / 512 < 0.05, and a probability changes by twice that at most.
    assert ours["score"] == pytest.approx(theirs["score"], rel=0.1)
