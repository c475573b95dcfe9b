"""Make the folder that runs on a GPU's machine: ``python -m benchmarks.gpu.bundle FOLDER``.

The folder has the sources, lark's wheel, the scales of the nets' weights, and all kernels compiled
for sm_90.  Compiled kernels are used if Triton and Python have the same versions there as the
interpreter that runs this program; otherwise the stage ``compile`` compiles them again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from benchmarks.gpu.__main__ import environment
from benchmarks.gpu.cache import KERNELS, carry
from benchmarks.gpu.journal import FOLDER, STAGE, Journal
from benchmarks.gpu.processes import interruptible, run, several

ROOT = Path(__file__).parents[2]
SOURCES = ("benchmarks", "grammars", "kernels", "netspec", "specs")
BUILD = ROOT / "build" / "gpu-kernels"
CAPABILITY = "90"
MADE = "made.json"
"""The versions with which a bundle was made, by which a folder is known to be a bundle."""
HOURS = 3600.0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--parts", type=int, help="compile only this part of the kernels: 1 of N")
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    if folder.exists() and not (folder / MADE).exists():
        parser.error(f"{folder} exists and is not a bundle: it is not replaced; name a new folder")
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    try:
        with interruptible():
            count = make(unfinished, options.processes, options.parts or 0)
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.rename(folder)
    except KeyboardInterrupt:
        print("interrupted: kernels that are compiled are kept for the next call", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {count} compiled kernels, {size / 1e6:.0f} MB")
    return 0


def make(folder: Path, processes: int, parts: int) -> int:
    """Make a bundle in a new folder; return the number of its compiled kernels."""
    shutil.rmtree(folder, ignore_errors=True)  # of a call that was killed
    copy(folder)
    wheel(folder)
    sys.path.append(str(next(folder.glob("lark-*.whl"))))
    prepare(folder)
    return compile_kernels(folder, processes, parts)


def copy(folder: Path) -> None:
    """Copy the sources."""
    ignored = shutil.ignore_patterns("__pycache__", "results", "*.so")
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    for name in ("Makefile", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)


def wheel(folder: Path) -> None:
    """Put lark's wheel into the folder, of the version in constraints.txt."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    (pinned,) = re.findall(r"^lark==\S+$", text, re.MULTILINE)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
    subprocess.run([*command, pinned], check=True)


def prepare(folder: Path) -> None:
    """Write what takes seconds to compute and is the same on every machine."""
    import netspec
    from benchmarks.gpu.cases import NETS
    from netspec.timing.case import SEED
    from netspec.timing.scales import scales

    prepared = {"scales": {net: scales(netspec.load(net), SEED) for net in NETS}}
    (folder / "prepared.json").write_text(json.dumps(prepared), encoding="utf-8")


def compile_kernels(folder: Path, processes: int, parts: int) -> int:
    """Compile the kernels by the bundle's own sources; return their number.

    They are compiled in ``build/``, so that the next bundle compiles only what has changed.
    """
    cache, work = BUILD / "triton", folder / "work"
    journal = Journal(work)
    variables = environment(work) | {"TRITON_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    variables |= {FOLDER: str(work), STAGE: "compile"}
    variables["PYTHONPATH"] = os.pathsep.join([str(folder), *map(str, folder.glob("lark-*.whl"))])
    command = (sys.executable, "-m", "benchmarks.gpu.warm", CAPABILITY)
    work.mkdir()
    total = parts or processes
    ended = several(
        [((*command, str(n), str(total)), variables) for n in range(min(processes, total))],
        processes,
        HOURS,
        lambda line, limit, own: run(line, limit, own, work / "log.txt", folder),
    )
    results = journal.lines("compile", "result")
    bad = [one["error"] for one in results if "error" in one]
    if bad or any(one.code != 0 for one in ended):
        text = (work / "log.txt").read_text(errors="replace")
        raise SystemExit(f"kernels were not compiled: {bad or text[-2000:]}")
    keys = dict.fromkeys(key for one in results for key in one["keys"])
    count = carry(keys, cache, work / "kernels")
    archive = folder / KERNELS
    shutil.make_archive(str(archive.with_suffix("")), "zip", work / "kernels")
    versions = {name: metadata.version(name) for name in ("torch", "triton")}
    made = {"python": platform.python_version(), **versions, "capability": CAPABILITY}
    (folder / MADE).write_text(json.dumps(made), encoding="utf-8")
    shutil.rmtree(work)
    return count


if __name__ == "__main__":
    sys.exit(main())
