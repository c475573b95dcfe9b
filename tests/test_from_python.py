"""docs/from_python.py does what the commands do, and the library prints nothing."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

import netspec
from netspec.cli import COMMANDS
from netspec.timing import memory, rates

SCRIPT = Path(__file__).parents[1] / "docs" / "from_python.py"


def test_python_does_what_the_commands_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rates, "SIZE", 64)
    monkeypatch.setattr(rates, "COPIED", 1 << 16)
    # memory is measured in processes of their own, which take seconds to start
    monkeypatch.setattr(memory, "peak", lambda *arguments: 1.0)
    results = dict(runpy.run_path(str(SCRIPT))["results"](tmp_path))
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    commands = {command.split()[1] for command in results if command.startswith("netspec ")}
    assert commands == {*COMMANDS}
    for command, result in results.items():
        shown = str(result)
        assert shown
        assert " object at 0x" not in shown, command
        if hasattr(result, "as_json"):  # plain data, which needs no `default`
            assert json.loads(json.dumps(result.as_json())) is not None, command
    assert results["netspec check small.net"]
    assert results["its outputs against float64"].passed
    assert results["netspec run lenet5.netspec digit.png --top 3"][0].best.name == "7"
    run, test = results["netspec train --resume run"], results["netspec eval run"]
    assert test.ensemble.top1 == run.top1
    packed = results["netspec eval run --data shards:shards"]
    assert packed.ensemble == test.ensemble
    compared = results["netspec compare tencrop --data digits -o compared"]
    assert (compared.folder / "figure.png").read_bytes() == compared.figure()


def test_every_public_name_is_listed_and_can_be_imported() -> None:
    for name in netspec.__all__:
        assert getattr(netspec, name) is not None
        assert name in dir(netspec)
    functions = (netspec.bench, netspec.compare, netspec.save)
    assert all(callable(function) for function in functions)  # not folders of the same name
