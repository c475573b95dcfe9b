"""The specs of a comparison's arms, written where its runs are."""

from __future__ import annotations

import re
from pathlib import Path

from netspec.comparing.experiment import Arm
from netspec.files.writing import write_whole

NETS = Path(__file__).parent / "nets"


def write_nets(arms: tuple[Arm, ...], bed: str, classes: int, folder: Path) -> dict[str, Path]:
    """Write the spec of each arm, and those it is a variant of; return their paths by arm.

    An arm is a variant whose header has its parameters, so that it can be trained by itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in NETS.glob("*.net"):
        write_whole(folder / path.name, path.read_bytes())
    written = {}
    for arm in arms:
        name = f"{bed}_{slug(arm.name, '_')}"
        written[arm.name] = folder / f"{name}.net"
        write_whole(written[arm.name], spec_of(arm, name, bed, classes).encode())
    return written


def spec_of(arm: Arm, name: str, bed: str, classes: int) -> str:
    """Return the text of an arm's spec."""
    parameters = {**arm.parameters, "classes": str(classes)}
    header = ", ".join(f"{key}={value}" for key, value in parameters.items())
    base = arm.base or bed
    shown = f'"{base}.net"' if (NETS / f"{base}.net").is_file() else base
    changes = f" {{\n    {arm.changes}\n}}" if arm.changes else ""
    return f"net {name}({header}) from {shown}{changes}\n"


def slug(name: str, joint: str = "-") -> str:
    """Return a name as a part of a path."""
    return re.sub(r"\W+", joint, name)
