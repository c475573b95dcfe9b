"""``netspec eval`` on runs, artifacts and specs with weights."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

import netspec
from netspec.cli import main
from netspec.inference.subject import open_subject
from netspec.runtime.weights import save_tensors
from tests.forked import forked


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["eval", *map(str, arguments)])


def test_every_form_of_a_net_has_the_same_row(tiny: Path, tmp_path: Path) -> None:
    artifact = tmp_path / "it.netspec"
    netspec.save_artifact(open_subject(tiny / "run").model, artifact)
    weights = tiny / "run" / "weights.safetensors"
    nets = (tiny / "run", artifact, tiny / "tiny.net")
    done = run(*nets, "--weights", weights, "--rows", tmp_path / "rows.csv")
    assert (done.exit_code, done.stderr) == (0, "")
    title, line, head, *rows = done.stdout.splitlines()
    assert title == "digits, 360 for validation"
    assert line.startswith("images: range low=0, high=1 | subtract 0.")
    assert line.endswith("; the centre, 8x8")
    assert head.split() == ["net", "error", "top-5", "wrong"]
    assert [row.split()[0] for row in rows] == [*map(str, nets), "all"]
    assert len({row.partition("  ")[2].strip() for row in rows}) == 1
    head, *rows = (tmp_path / "rows.csv").read_text().splitlines()
    assert head.split(",")[5:] == [*map(str, nets)]
    assert all(len({*row.split(",")[5:]}) == 1 for row in rows)


def test_views_are_those_that_travel_unless_said(tiny: Path) -> None:
    weights = tiny / "run" / "weights.safetensors"
    options = (tiny / "tiny.net", "--weights", weights, "--data", "digits:8", "--json")
    (told,) = json.loads(run(*options).stdout)["runs"]
    (ten,) = json.loads(run(*options, "--tencrop").stdout)["runs"]
    assert told["applied"].endswith("; the centre, 8x8")
    assert ten["applied"].endswith("; ten crops of 8x8, their outputs averaged")
    assert (told["images"], told["untested"]) == (360, 0)


def test_what_cannot_be_tested_is_refused(tiny: Path, tmp_path: Path) -> None:
    weights = tiny / "run" / "weights.safetensors"
    spec, data = tiny / "tiny.net", ("--data", "digits:8")
    for arguments, code, message in (
        ((spec, *data), 1, "has random weights: give trained ones with --weights"),
        ((spec, "--weights", weights), 1, "does not have a data set: give one with --data"),
        ((tiny / "run", "--weights", weights), 2, "--weights is for one spec, and 0"),
        ((spec, "lenet5", "--weights", weights, *data), 2, "is for one spec, and 2 are given"),
        ((tiny / "run", tiny / "run"), 1, "is given twice"),
        ((tmp_path, *data), 1, "is not a run directory: it does not contain run.json"),
        (("lenet5", "--weights", "digits", *data, "--set", "n=3"), 2, "no parameter `n`"),
    ):
        done = run(*arguments)
        assert done.exit_code == code, (arguments, done.output)
        assert message in " ".join(done.stderr.split())


def test_nets_of_other_classes_are_refused_with_a_way_out(tiny: Path, tmp_path: Path) -> None:
    weights = tiny / "run" / "weights.safetensors"
    options = (tiny / "tiny.net", "--weights", weights, "--data", "digits:8")
    (tmp_path / "names.txt").write_text("".join(f"digit {n}\n" for n in range(10)))
    done = run(*options, "--classes", tmp_path / "names.txt")
    assert done.exit_code == 1
    assert "class 0 is 'digit 0' for the net and '0' in the data" in done.stderr
    assert "--classes FILE" in done.stderr
    (tmp_path / "names.txt").write_text("".join(f"{n}\n" for n in range(10)))
    assert run(*options, "--classes", tmp_path / "names.txt").stdout == run(*options).stdout


def test_outputs_of_nets_with_too_few_of_them_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.net").write_text("net a\ninput image 8x8x1\nprepare invert\na: fc 2\n")
    netspec.save_weights(netspec.compile(tmp_path / "a.net"), tmp_path / "a.safetensors")
    done = run(tmp_path / "a.net", "--weights", tmp_path / "a.safetensors", "--data", "digits:8")
    assert done.exit_code == 1
    assert "has 2 outputs for 10 classes of digits" in done.stderr


def test_what_old_weights_do_not_say_is_asked_for_by_name(tiny: Path, tmp_path: Path) -> None:
    tensors = open_subject(tiny / "run").model.state_dict()
    save_tensors(tensors, tmp_path / "old.safetensors")
    options = (tiny / "tiny.net", "--weights", tmp_path / "old.safetensors", "--data", "digits:8")
    done = run(*options)
    assert done.exit_code == 1
    assert '--prepare "range low=0, high=1 | subtract GREY"' in done.stderr
    (alone,) = json.loads(run(tiny / "run", "--json").stdout)["runs"]
    steps = alone["applied"].partition(";")[0]
    (said,) = json.loads(run(*options, "--prepare", steps, "--json").stdout)["runs"]
    assert said["top1"] == alone["top1"]


def test_the_loop_of_training_is_not_imported_to_test_an_artifact(tmp_path: Path) -> None:
    model = netspec.compile("lenet5")
    netspec.load_weights(model, netspec.trained.trained("lenet5", "digits").weights)
    netspec.save_artifact(model, tmp_path / "it.netspec")
    program = (
        "import sys\n"
        "from netspec.cli import main\n"
        f"nets = {str(tmp_path / 'it.netspec')!r}, 'lenet5', '--weights', 'digits'\n"
        "main(['eval', *nets, '--data', 'digits'], standalone_mode=False)\n"
        "print(*(name for name in sys.modules if name.startswith('netspec.training')))\n"
    )
    done = forked("torch").python("-c", program)
    assert done.returncode == 0, done.stderr
    *_, row, modules = done.stdout.splitlines()
    assert row.endswith("3 of 360")
    assert not {"netspec.training.loop", "netspec.training.run"} & {*modules.split()}
