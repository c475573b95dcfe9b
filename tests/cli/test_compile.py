"""``netspec compile``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor

import netspec
from netspec.artifact.loading import load_kernels
from netspec.backends.cpu import IMPLEMENTATIONS, CpuBackend
from netspec.backends.cpu.conv import OneDnnConv
from netspec.backends.cpu.onednn.primitives import Launch
from netspec.backends.cpu.scratch import Scratch
from netspec.cli import main
from netspec.ir.fused.conv_relu import ConvRelu
from netspec.lowering.implementation import Problem, Tensors
from netspec.lowering.passes import PIPELINE
from tests.backends.helpers import RICH
from tests.forked import compiling


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["compile", *map(str, arguments)])


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "rich.net"
    path.write_text(RICH)
    return path


# -------------------------------------------------------------------------------------- screen


def test_the_screen_says_what_each_step_did(spec: Path) -> None:
    done = run(spec)
    assert (done.exit_code, done.stderr) == (0, "")
    title, *lines = done.stdout.splitlines()
    assert title == "rich"
    steps = ["parse", "check", "torch", "rewrite", "choose", "plan", "pack", "run", "verify"]
    said = {line.split()[0]: line for line in lines if line[2] != " "}
    assert list(said) == steps
    assert all(line.endswith(" ms") for line in said.values())
    assert len({len(line) for line in said.values()}) == 1
    assert f"{spec}, 14 lines" in said["parse"]
    assert "6 rows, 27 stages" in said["check"]
    assert f"{len(netspec.load(spec).graph)} stages -> 15" in said["rewrite"]
    assert "steps: " in said["choose"]
    assert "onednn" in said["choose"]
    assert said["choose"].split("(")[1].startswith("preferred)")
    assert "KiB per image in one arena (" in said["plan"]
    assert "parameters (and 60 in 1 head), " in said["pack"]
    assert "image [1, 3, 9, 9] -> [1, 4], float32" in said["run"]
    assert "against float64" in said["verify"]


def test_the_screen_names_the_passes_by_their_equations(spec: Path) -> None:
    lines = run(spec).stdout.splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("  rewrite")) + 1
    shown = [line.split(maxsplit=2) for line in lines[first:] if line.startswith("      ")]
    assert [rule for _, rule, _ in shown] == [
        one.RULE for one in PIPELINE if one.RULE in {rule for _, rule, _ in shown}
    ]
    assert ["1", "fold_batchnorm", "bn(conv(x)) => conv'(x)"] in shown


def test_a_title_and_claims_that_do_not_apply_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    path.write_text('net a(n=3) "A title"\ninput image 4x4x1\na: fc n -> 3\n')
    done = run(path, "--set", "n=4")
    assert done.stdout.splitlines()[0] == "a  A title"
    assert done.stdout.splitlines()[-1].startswith("note[NS305]")


def test_a_net_without_parameters_in_another_type(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    path.write_text("net a\ninput image 4x4x1\na: relu\n")
    for dtype in ("float64", "bfloat16"):
        done = run(path, "--dtype", dtype)
        assert done.exit_code == 0, done.stderr
        assert "-> [1, 1, 4, 4], " + dtype in done.stdout


def test_a_net_that_overflows_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    path.write_text("net a\ninput image 8x8x3\nr1..r200: add { identity; identity }\n")
    done = run(path)
    assert done.exit_code == 1
    assert "the values of this net leave the range of float32" in done.stderr
    assert json.loads(run(path, "--json").stdout)["error"] is None


def test_a_net_too_large_for_the_machine_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "big.net"
    path.write_text("net big\ninput image 8x8x3\na: fc 2**50\n")
    done = run(path)
    assert done.exit_code == 1
    assert done.stderr.startswith("error: the parameters of big take")


class Wrong(OneDnnConv):
    """A convolution that forgets its bias."""

    def bind(
        self, problem: Problem, packed: Tensors, x: Sequence[Tensor], y: Tensor, scratch: Scratch
    ) -> Sequence[Launch]:
        return super().bind(problem, {**packed, "bias": packed["bias"] * 0}, x, y, scratch)


def test_a_wrong_implementation_does_not_pass(
    spec: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    weights = tmp_path / "w.safetensors"  # untrained biases are zero
    model = netspec.compile(spec)
    netspec.save_weights(model, weights)
    arguments = (spec, "--weights", weights)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    netspec.save_weights(model, weights)
    assert run(*arguments).exit_code == 0
    monkeypatch.setitem(IMPLEMENTATIONS, ConvRelu, (Wrong(),))
    done = run(*arguments)
    assert done.exit_code == 1
    assert "error: the outputs differ from float64 by more than rounding explains" in done.stderr
    assert "verify" in done.stdout
    data = json.loads(run(*arguments, "--json").stdout)
    assert data["error"] > data["allowed"]


# ---------------------------------------------------------------------------------------- JSON


def test_json(spec: Path) -> None:
    done = run(spec, "--json", "--dtype", "bfloat16", "--batch", "3")
    assert (done.exit_code, done.stderr) == (0, "")
    data = json.loads(done.stdout)
    assert set(data) == {
        "name", "backend", "stages", "rewrites", "kernels", "activations", "dtype", "batch",
        "parameters", "macs", "seconds", "error", "allowed", "output", "description", "digest",
    }  # fmt: skip
    assert (data["name"], data["backend"], data["dtype"], data["batch"]) == (
        "rich", "cpu", "bfloat16", 3,
    )  # fmt: skip
    assert list(data["rewrites"]) == [one.RULE for one in CpuBackend.passes]
    assert data["rewrites"]["fold_batchnorm"] == 1
    assert data["stages"] == 15
    model = netspec.compile(spec)
    assert sum(data["kernels"].values()) == len(model.lowered.plan.steps)
    assert data["activations"] == {
        "arena": 2 * model.lowered.plan.arena,
        "bound": 2 * model.lowered.plan.bound,
        "total": 2 * model.lowered.plan.total,
    }
    totals = model.net.totals
    assert (data["parameters"], data["macs"]) == (totals.parameters, totals.macs)
    assert list(data["seconds"]) == [
        "parse", "check", "torch", "rewrite", "choose", "plan", "pack", "run", "verify",
    ]  # fmt: skip
    assert all(seconds >= 0 for seconds in data["seconds"].values())
    assert 0 < data["error"] < data["allowed"]
    assert (data["output"], data["digest"]) == (None, None)


def test_json_of_errors(tmp_path: Path, spec: Path) -> None:
    done = run(spec, "--json", "--choices", tmp_path / "none.json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"].startswith("cannot read ")


# ---------------------------------------------------------------------------------------- emit


def test_emit_python(spec: Path) -> None:
    done = run(spec, "--emit", "python")
    assert done.stdout.startswith("def forward(self, image):")
    compile(done.stdout, "emitted", "exec")
    assert "torch.conv2d" in done.stdout


def test_emit_graph_and_plan(spec: Path) -> None:
    model = netspec.compile(spec)
    graph = run(spec, "--emit", "graph").stdout.splitlines()
    assert graph[0].split() == ["stage", "operator", "reads", "output"]
    assert [line.split()[0] for line in graph[2:-2]] == [
        stage.name for stage in model.lowered.graph.stages()
    ]
    assert graph[-1] == "output: e.softmax"
    plan = run(spec, "--emit", "plan").stdout.splitlines()
    assert plan[0].split() == [
        "step", "stage", "operator", "by", "reads", "writes", "buffer", "output",
    ]  # fmt: skip
    steps = model.lowered.plan.steps
    assert [line.split()[:4] for line in plan[2 : 2 + len(steps)]] == [
        [str(n), s.stage, s.op, s.implementation] for n, s in enumerate(steps)
    ]
    assert plan[-3:-1] == ["inputs: slots 0", f"outputs: slots {model.lowered.plan.outputs[0]}"]
    assert plan[-1].startswith(f"arena: {model.lowered.plan.arena:,} elements per image for ")


def test_emit_dot(spec: Path) -> None:
    done = run(spec, "--emit", "dot").stdout
    assert done.startswith("digraph rich {")
    assert "conv_relu" in done


@pytest.mark.usefixtures("not_intel")
def test_emit_choices_can_be_given_back(spec: Path, tmp_path: Path) -> None:
    emitted = run(spec, "--emit", "choices").stdout
    choices = json.loads(emitted)
    assert choices["d"] == "onednn-stream"
    path = tmp_path / "choices.json"
    path.write_text(emitted.replace('"d": "onednn-stream"', '"d": "mkldnn"'))
    done = run(spec, "--choices", path)
    assert done.exit_code == 0, done.stderr
    assert "1 mkldnn" in done.stdout
    assert "(given)" in done.stdout
    again = json.loads(run(spec, "--choices", path, "--emit", "choices").stdout)
    assert again == choices | {"d": "mkldnn"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        ("[]", 'it must be {"STAGE": "IMPLEMENTATION"}'),
        ("null", 'it must be {"STAGE": "IMPLEMENTATION"}'),
        ('"d"', 'it must be {"STAGE": "IMPLEMENTATION"}'),
        ('{"d": 1}', 'it must be {"STAGE": "IMPLEMENTATION"}'),
        ('{"d": ["onednn"]}', 'it must be {"STAGE": "IMPLEMENTATION"}'),
        (
            '{"z": "onednn"}',
            "the choices name the stage 'z', but the compiled net does not have it",
        ),
        (
            '{"d": "cudnn"}',
            "d cannot be computed by 'cudnn': choose one of onednn-stream, onednn, mkl, mkldnn, "
            "torch",
        ),
    ],
)
@pytest.mark.usefixtures("not_intel")
def test_wrong_choices_are_refused(
    spec: Path, tmp_path: Path, text: str | bytes, message: str
) -> None:
    path = tmp_path / "choices.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    done = run(spec, "--choices", path)
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr


def test_choices_that_cannot_be_read_are_refused(spec: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        done = run(spec, "--choices", path)
        assert done.exit_code == 1
        assert f"error: cannot read {path}: " in done.stderr


def test_measuring_decides_what_is_not_given(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake(self: object, problem: Problem, implementations: list[OneDnnConv]) -> dict[str, float]:
        return {
            implementation.name: float(implementation.name != "torch")
            for implementation in implementations
        }

    monkeypatch.setattr("netspec.backends.cpu.CpuBackend.measure", fake)
    path = tmp_path / "choices.json"
    path.write_text('{"d": "onednn"}')
    done = run(spec, "--measure", "--choices", path)
    assert done.exit_code == 0, done.stderr
    (choose,) = (line for line in done.stdout.splitlines() if line.startswith("  choose"))
    assert "1 onednn" in choose
    assert "measured" in choose
    assert "given" in choose


# --------------------------------------------------------------------------------- print-after


def test_print_after_shows_the_graph_that_a_pass_left(spec: Path) -> None:
    done = run(spec, "--print-after", "merge_siblings", "--print-after", "drop_training")
    assert done.exit_code == 0
    first, second = done.stdout.split("\n\nafter ")
    assert first.startswith("after drop_training: ")  # in the order of the passes
    assert second.startswith("merge_siblings: 1 rewrite, ")
    assert "dropout" not in first
    assert "slice" not in first
    assert "slice" in second
    assert run(spec, "--print-after", "merge_siblings").stdout == "after " + second


# ------------------------------------------------------------------------------------- weights


def test_weights_are_loaded(spec: Path, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    netspec.save_weights(netspec.compile(spec, seed=4), path)
    done = run(spec, "--weights", path)
    assert done.exit_code == 0, done.stderr
    netspec.save_weights(netspec.compile("lenet5"), path)
    done = run(spec, "--weights", path)
    assert done.exit_code == 1
    assert "are not this net's" in done.stderr


# --------------------------------------------------------------------------------------- usage


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch", "0"], "0 is not in the range"),
        (["--dtype", "int8"], "'int8' is not one of"),
        (["--target", "tpu"], "'tpu' is not one of"),
        (["--emit", "ast"], "'ast' is not one of"),
        (["--print-after", "nothing"], "'nothing' is not one of"),
        (["--format", "onnx"], "--format onnx writes a file: give its path with -o"),
        (["--emit", "plan", "--print-after", "fuse_relu"], "use one alone"),
        (["--emit", "plan", "--json"], "use one alone"),
        (["--emit", "plan", "-o", "a"], "use one alone"),
        (["--print-after", "fuse_relu", "-o", "a"], "use one alone"),
        (["--set", "n"], "is not KEY=VALUE"),
    ],
)
def test_a_wrong_command_exits_with_2(arguments: list[str], message: str) -> None:
    done = run("lenet5", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to compile for")
def test_without_a_gpu_there_is_no_target_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET")
    done = run("lenet5", "--target", "cuda")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: there is no NVIDIA GPU: compile for cpu, or")


@pytest.mark.parametrize("arguments", [(), ("-o", "a.onnx", "--format", "onnx"), ("--json",)])
def test_for_a_gpu_that_is_elsewhere_an_artifact_is_written(arguments: tuple[str, ...]) -> None:
    done = run("lenet5", "--target", "sm_90", *arguments)
    assert done.exit_code == 2
    assert "sm_90 is a GPU of another machine: write an artifact with -o" in done.stderr


def test_nothing_is_measured_for_a_gpu_that_is_elsewhere(tmp_path: Path) -> None:
    done = run("lenet5", "--target", "sm_90", "--measure", "-o", tmp_path / "a")
    assert done.exit_code == 2
    assert "sm_90 is a GPU of another" in done.stderr


def test_the_interpreter_compiles_nothing_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    done = run("lenet5", "--target", "sm_90", "-o", tmp_path / "a")
    assert done.exit_code == 1
    assert done.stderr.endswith("compiles nothing for sm_90: unset TRITON_INTERPRET\n")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_kernels_compiled_ahead_travel_in_the_artifact(tmp_path: Path, dtype: str) -> None:
    """In a process of its own, since Triton's interpreter compiles nothing."""
    rows = "net a\ninput image 8x8x3\na: conv 3x3, 8 | relu\n"
    (tmp_path / "a.net").write_text(rows, encoding="utf-8")
    command = ["compile", "a.net", "--target", "sm_90", "--dtype", dtype, "-o", "a", "--json"]
    done = compiling().run(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    digest = json.loads(done.stdout)["digest"]
    kernels = load_kernels(tmp_path / "a", expect=digest)
    codes = [code for name, code in kernels.items() if name.endswith(".cubin")]
    assert len(codes) == 1
    assert codes[0][:4] == b"\x7fELF"
    assert json.loads(kernels["kernels.json"])["capability"] == 90
