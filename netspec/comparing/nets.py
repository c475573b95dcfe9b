"""Write the specs of the arms of a comparison into its folder."""

from __future__ import annotations

import re
from pathlib import Path

from netspec.comparing.experiment import Arm
from netspec.files.writing import write_whole

NETS = Path(__file__).parent / "nets"


def write_nets(arms: tuple[Arm, ...], bed: str, classes: int, folder: Path) -> dict[str, Path]:
    """Write the specs of all arms, and the specs that they are based on; return paths by arm.

    The spec of an arm is a variant with all parameters in its header, so that a user can train it
    without the comparison.
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
    """Return a name in a form for paths."""
    return re.sub(r"\W+", joint, name)
