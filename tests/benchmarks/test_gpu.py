"""The runner of stages: what is done is not repeated, what fails is named, and others go on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.gpu import LEFT, Stage

MACHINE = {"gpu": "Made-up 1", "driver": "7"}
ROOT = Path(__file__).parents[2]


def printing(name: str, text: str, code: int = 0) -> Stage:
    return Stage(name, ("-c", f"print({text!r}); raise SystemExit({code})"), ("benchmarks",))


TABLE = [printing("floors", '{"copy": 1}'), printing("nets-a", "x\n5 passed"), printing("page", "")]
TABLE[2] = TABLE[2]._replace(sources=())


@pytest.fixture(autouse=True)
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "gpu", lambda: MACHINE)


def stages_in(folder: Path) -> dict[str, object]:
    record = json.loads((folder / "gpu-made-up-1.json").read_text(encoding="utf-8"))
    assert record["machine"] == MACHINE
    return {name: entry["answer"] for name, entry in record["stages"].items()}


def test_without_a_gpu_one_sentence_says_what_is_needed() -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "nets"]
    hidden = {"CUDA_VISIBLE_DEVICES": "", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=hidden, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{gpu.NEEDS}\n")
    assert "\n" not in gpu.NEEDS


def test_what_is_done_is_not_repeated(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert gpu.main([], tmp_path, TABLE) == 0
    assert stages_in(tmp_path) == {"floors": {"copy": 1}, "nets-a": "5 passed"}
    capfd.readouterr()
    assert gpu.main([], tmp_path, TABLE) == 0
    first, second, third, _ = capfd.readouterr().out.splitlines()
    assert re.fullmatch(r"floors: done on 2\d{3}-\d\d-\d\d", first)
    assert second.startswith("nets-a: done on")
    assert third.startswith("page: python -c")  # it is drawn anew each time


def test_other_sources_versions_or_a_wish_repeat_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = TABLE[0]
    gpu.main([], tmp_path, [stage])
    assert gpu.Kept(MACHINE, tmp_path).date(stage)
    assert gpu.Kept(MACHINE | {"driver": "8"}, tmp_path).date(stage) is None
    monkeypatch.setattr(gpu, "digest", lambda *_: "other")
    assert gpu.Kept(MACHINE, tmp_path).date(stage) is None
    monkeypatch.undo()
    monkeypatch.setattr(gpu, "gpu", lambda: MACHINE)
    gpu.main(["--again"], tmp_path, [stage._replace(command=("-c", "print(2)"))])
    assert stages_in(tmp_path) == {"floors": 2}


def test_one_that_fails_is_named_and_the_others_go_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    table = [printing("bad", "oh", 5), *TABLE]
    assert gpu.main([], tmp_path, table) == 1
    lines = capfd.readouterr().out.splitlines()
    assert "bad: failed, exit code 5" in lines
    assert lines[-1] == "failed: bad"
    assert set(stages_in(tmp_path)) == {"floors", "nets-a"}


def test_skipped_tests_do_not_look_like_passed_ones(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gpu.main([], tmp_path, [printing("test-fc", "1 passed, 1 skipped in 2s")])
    assert capfd.readouterr().out.endswith("tests were skipped in: test-fc\n")


def test_one_with_more_to_do_is_repeated_unless_it_was_asked_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    count = tmp_path / "count"
    code = f"import pathlib; p = pathlib.Path({str(count)!r}); n = len(p.read_text()); "
    code += f"p.write_text('x' * (n + 1)); raise SystemExit({LEFT} if n < 2 else 0)"
    table = [Stage("kernels", ("-c", code), ("benchmarks",))]
    count.write_text("")
    assert gpu.main(["kernels"], tmp_path, table) == LEFT
    assert capfd.readouterr().out.endswith("not done yet, run it again: kernels\n")
    assert gpu.main([], tmp_path, table) == 0
    assert count.read_text() == "xxx"


def test_when_its_time_is_over_a_stage_ends_with_all_that_it_started() -> None:
    code = "import subprocess; print('on', flush=True); subprocess.run(['sleep', '60'])"
    started = time.monotonic()
    assert gpu.ran([sys.executable, "-c", code], limit=1.0) == (-9, "on\n")
    assert time.monotonic() - started < 20  # the one that sleeps holds the pipe as well


def test_names_mean_all_that_begin_with_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--list", "nets-vgg16_3", "steps-128"]) == 0
    listed = capsys.readouterr().out.split()
    assert listed == ["nets-vgg16_3-1", "nets-vgg16_3-32", "nets-vgg16_3-256", "steps-128"]
    with pytest.raises(SystemExit) as refused:
        gpu.main(["net"])
    assert refused.value.code == 2


def test_every_test_that_needs_a_gpu_is_in_a_stage() -> None:
    marked = {p.relative_to(ROOT) for p in (ROOT / "tests").rglob("*.py") if _is_marked(p)}
    assert len(marked) > 10
    assert marked <= set(gpu.tests())
    assert len({stage.name for stage in gpu.stages()}) == len(list(gpu.stages()))


def _is_marked(path: Path) -> bool:
    lines = path.read_text(encoding="utf-8").splitlines()
    return any(line.startswith("@") and line.endswith("gpu") for line in lines)


def test_the_commands_of_stages_exist() -> None:
    for stage in gpu.stages():
        flag, module, *_ = stage.command if stage.command[0] == "-m" else ("", *stage.command)
        path = Path(module.replace(".", "/") + ".py") if flag else Path(module)
        is_here = (ROOT / path).exists() or (ROOT / module / "__main__.py").exists()
        assert is_here or module == "pytest", stage
