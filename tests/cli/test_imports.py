"""What a command does not use, it does not import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.forked import forked

ROOT = Path(__file__).parents[2]
DIGIT = ROOT / "docs" / "images" / "digit.png"

PROGRAM = """
import sys
from netspec.cli import main
for command in sys.argv[1:]:
    if command.startswith("see codes"):
        from importlib import import_module
        # all steps take seven seconds, and import nothing else
        import_module("netspec.see.codes").STEPS = 10
    try:
        main(command.split(), standalone_mode=False)
    except SystemExit as ended:
        assert not ended.code
    print("\\nafter", *sys.modules)
"""

TRAINING = ("netspec.training",)
DATA_SETS = tuple(
    f"netspec.data.{name}"
    for name in ("cifar", "digits", "folders", "mnist", "opening", "packing", "shards")
)
TORCH = ("torch", "triton")
MEASURING = ("netspec.timing.", "netspec.comparing", "matplotlib")
STATISTICS = ("netspec.training.statistics", "sklearn", "scipy")
LOOP = ("netspec.training.loop", "netspec.training.run", "netspec.training.train")

FRONT = (*TORCH, *TRAINING, "netspec.data", "netspec.inference.", "netspec.runtime", *MEASURING)
"""What no command that only reads specs imports."""

COMMANDS = {
    "check lenet5": FRONT,
    "summary lenet5": FRONT,
    "document lenet5": FRONT,
    "diff lenet5 lenet5_rbf": FRONT,
    "draw lenet5 -o TMP/a.svg": FRONT,
    "report lenet5 -o TMP/a.html": (*TORCH, *TRAINING, "netspec.data", "netspec.see", *MEASURING),
    "draw alexnet --style volumes -o TMP/b.svg": FRONT,
    "fmt --check TMP/a.net": FRONT,
    "explain NS101": FRONT,
    "ops conv": FRONT,
    "compile lenet5 -o TMP/a.netspec": (*TRAINING, *DATA_SETS, *MEASURING, *STATISTICS),
    "run lenet5 DIGIT --weights digits": (*TRAINING, *DATA_SETS, *MEASURING, *STATISTICS),
    "eval lenet5 --weights digits --data digits": (*LOOP, *MEASURING, "sklearn"),
    "weights --list": (*TRAINING, *DATA_SETS, *MEASURING, *STATISTICS),
    "see filters lenet5 --json": (*TRAINING, *DATA_SETS, *MEASURING, *STATISTICS),
    "see activations lenet5 DIGIT -o TMP/a.png": (*TRAINING, *DATA_SETS, *STATISTICS),
    "see projection lenet5 DIGIT -o TMP/a.png": (*TRAINING, *DATA_SETS, *STATISTICS),
    "see confusion lenet5 --weights digits --data digits --json": (*LOOP, *MEASURING, "sklearn"),
    "see neighbours lenet5 DIGIT --weights digits --data digits --json": (
        *LOOP,
        *MEASURING,
        "sklearn",
    ),
    "see codes lenet5 --weights digits --data digits --json": (*LOOP, *MEASURING, "sklearn"),
    "trace lenet5 S2": (*TRAINING, "netspec.data", "netspec.inference", "netspec.comparing"),
    "bench TMP/a.net --rounds 1 --layers": (*TRAINING, "netspec.data", "netspec.comparing"),
    "pack digits:4 -o TMP/shards --size 4": (*TRAINING, "netspec.inference.", *MEASURING),
    "train TMP/a.net --data digits:4 -o TMP/run --epochs 1": (
        "netspec.inference.",
        *MEASURING,
        "sklearn",
    ),
}
"""The prefixes of modules that each command does without."""

SLOW = ("trace", "bench", "eval", "train", "pack")

NET = """net a
input image 4x4x1
f: fc 10 | softmax
train {
    prepare   range low=0, high=1
    loss      cross_entropy
    optimizer sgd lr=0.1
    batch     64
    epochs    1
}
"""


def together(*, is_slow: bool) -> list[list[str]]:
    """Commands that do without the same modules: one process runs them, one after the other."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for command, prefixes in COMMANDS.items():
        if command.startswith(SLOW) == is_slow:
            groups.setdefault(prefixes, []).append(command)
    return list(groups.values())


@pytest.mark.parametrize(
    "commands",
    [
        *together(is_slow=False),
        *(pytest.param(group, marks=pytest.mark.slow) for group in together(is_slow=True)),
    ],
    ids=lambda commands: ", ".join(command.split(" ")[0] for command in commands),
)
def test_commands_import_nothing_that_they_do_not_use(commands: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.net").write_text(NET)
    lines = [line.replace("TMP", str(tmp_path)).replace("DIGIT", str(DIGIT)) for line in commands]
    # what the process that is forked has loaded counts as loaded, so it has no more than allowed
    is_torch_allowed = not set(TORCH) & set(COMMANDS[commands[0]])
    done = forked(*["torch"] * is_torch_allowed).python("-c", PROGRAM, *lines)
    assert done.returncode == 0, done.stderr
    after = [line.split() for line in done.stdout.splitlines() if line.startswith("after ")]
    for command, modules in zip(commands, after, strict=True):
        loaded = [name for name in modules if name.startswith(COMMANDS[command])]
        assert not loaded, f"{command} imports {', '.join(loaded[:5])}"


def test_help_imports_no_command() -> None:
    # a new process: one that is forked has the modules of a parent, which imports some of these
    command = [sys.executable, "-c", PROGRAM, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = done.stdout.split("\nafter")[1].split()
    prefixes = ("networkx", "lark", "netspec.net", "netspec.cli.")
    assert not [name for name in loaded if name.startswith(prefixes)]


def test_every_command_is_tested() -> None:
    from netspec.cli import COMMANDS as commands

    compared = {"compare"}  # imports training, as `train` does
    assert {one.split()[0] for one in COMMANDS} == commands.keys() - compared
