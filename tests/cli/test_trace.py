"""``netspec trace``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from netspec.cli import main
from netspec.timing import rates
from netspec.tracing import tracing
from tests.forked import forked


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "SIZE", 64)
    monkeypatch.setattr(rates, "COPIED", 1 << 16)
    monkeypatch.setattr(tracing, "ROUNDS", 1)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["trace", *map(str, arguments)])


def test_it_prints_the_row_its_stages_and_its_steps() -> None:
    done = run("lenet5", "F6")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    told = done.stdout.splitlines()
    assert told[0].startswith("lenet5 F6")
    assert any(line.strip().startswith("F6:") and "fc 84" in line for line in told)
    assert any(line.startswith("step ") and line.endswith("F6.tanh") for line in told)
    assert max(map(len, told)) <= 100


def test_settings_batch_and_dtype_are_the_nets() -> None:
    done = run("cifar4", "C1", "--set", "act=tanh", "--batch", 2, "--dtype", "bfloat16", "--json")
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    assert (data["batch"], data["dtype"]) == (2, "bfloat16")
    assert "tanh" in [stage["op"] for stage in data["stages"]]


def test_implementations_are_measured_when_asked() -> None:
    data = json.loads(run("lenet5", "F6", "--measure", "--json").stdout)
    step = next(step for step in data["steps"] if step["op"] == "fc")
    assert step["origin"] == "measured"
    assert step["implementation"] in step["candidates_ms"]
    assert None not in step["candidates_ms"].values()
    step = next(s for s in json.loads(run("lenet5", "F6", "--json").stdout)["steps"])
    assert {*step["candidates_ms"].values()} == {None}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("googlenet", "4A"), 1, "error: googlenet: there is no row or stage '4A'; did you mean"),
        (("lenet5", "input"), 1, "its rows are C1, S2, C3, S4, C5, F6, out"),
        (("inception_module", "mixed"), 1, "NS121"),
        (("nothing.net", "C1"), 1, "nothing.net"),
        (("lenet5",), 2, "Missing argument 'ROW'"),
        (("lenet5", "C1", "--dtype", "float8"), 2, "'float8' is not one of"),
    ],
)
def test_what_is_wrong_is_told(arguments: tuple[str, ...], code: int, message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == code
    assert message in done.stderr


def test_an_error_is_data_too() -> None:
    done = run("lenet5", "C9", "--json")
    assert done.exit_code == 1
    assert "no row or stage 'C9'" in json.loads(done.stdout)["error"]


OPTIMISED = """
import importlib.machinery, sys

class Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, name):
        path = self.get_filename(name)
        return compile(self.get_data(path), path, "exec", dont_inherit=True, optimize=2)

for name in [name for name in sys.modules if name.partition(".")[0] == "netspec"]:
    del sys.modules[name]
endings = Loader, importlib.machinery.SOURCE_SUFFIXES
sys.path_hooks.insert(0, importlib.machinery.FileFinder.path_hook(endings))
sys.path_importer_cache.clear()
from netspec.cli import main
from netspec.lowering.passes import fuse_relu
assert fuse_relu.__doc__ is None
main(sys.argv[1:])
"""
"""What ``python -OO`` does to netspec, without what it does to PyTorch: that takes seconds."""


def test_refusals_are_told_without_docstrings(tmp_path: Path) -> None:
    """``python -OO`` drops docstrings and assertions."""
    spec = tmp_path / "small.net"
    spec.write_text("net small\ninput image 4x4x3\na: lrn 3 | relu\nb: fc 5\n")
    done = forked("torch").python("-c", OPTIMISED, "trace", spec, "a")
    assert done.returncode == 0, done.stderr
    assert "fuse_relu, not applied  relu(f(x)) => f_relu(x): f is a convolution" in done.stdout
    assert (
        "because there is no kernel that fuses the operand of the ReLU with a ReLU:" in done.stdout
    )
