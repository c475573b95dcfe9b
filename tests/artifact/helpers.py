"""A small net of several files, and its artifact in both forms."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import netspec
from netspec import Compiled
from netspec.artifact.manifest import canonical
from netspec.artifact.reading import plain_entry

BLOCKS = "block act = relu\nblock pair(n) = concat { conv 1x1, n | act ; conv 1x1, 2 | act }\n"
BASE = """\
net base(width=4, kernel=3x3, last=softmax)
import "parts/blocks.net"
input image 8x8x3
a: conv kernel, width, pad=same | bn eps=1e-3 | relu
b: pair width
c: lrn 3 | maxpool 2x2/2 | fc 5 | last
head h from a, weight=1: fc 2
"""
VARIANT = "net small from base {\nb: pair 3 | relu\n}\n"
KERNELS = {"conv_relu": b"\x7fELF first", "lrn/../odd": b"", "a": bytes(range(256))}


def write_specs(folder: Path) -> Path:
    """The net's files; returns the spec."""
    (folder / "parts").mkdir()
    (folder / "parts" / "blocks.net").write_text(BLOCKS, encoding="utf-8")
    (folder / "base.net").write_text(BASE, encoding="utf-8")
    (folder / "small.net").write_text(VARIANT, encoding="utf-8")
    return folder / "small.net"


@cache
def small() -> Compiled:
    """The net, compiled, with three settings."""
    folder = Path(mkdtemp())
    try:
        return netspec.compile(netspec.load(write_specs(folder), width="2 + 4", kernel="5x5"))
    finally:
        shutil.rmtree(folder)


@cache
def _written(form: str) -> tuple[dict[str, bytes], str]:
    folder = Path(mkdtemp())
    try:
        root = netspec.save_artifact(small(), folder / f"it{form}", kernels=KERNELS, heads=True)
        return (contents(folder / f"it{form}"), root)
    finally:
        shutil.rmtree(folder)


def artifact(folder: Path, form: str = "") -> tuple[Path, str]:
    """The artifact of :func:`small`, as it was written once, and its root digest."""
    members, root = _written(form)
    put(folder / f"it{form}", members)
    return folder / f"it{form}", root


def contents(path: Path) -> dict[str, bytes]:
    """The files of a folder; of a single file, itself, called ``""``."""
    if path.is_file():
        return {"": path.read_bytes()}
    files = (Path(root) / name for root, _, names in os.walk(path) for name in names)
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}


def put(path: Path, members: dict[str, bytes]) -> None:
    """Write what :func:`contents` returns."""
    for name, data in members.items():
        file = path / name if name else path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def pack(path: Path, members: dict[str, bytes]) -> None:
    """A zip of members as netspec packs it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(plain_entry(name), data)


def changed(path: Path, change: Callable[[Any], Any]) -> None:
    """Change the manifest of a folder; what ``change`` returns takes its place, if anything."""
    manifest = json.loads((path / "manifest.json").read_bytes())
    returned = change(manifest)
    manifest = manifest if returned is None else returned
    (path / "manifest.json").write_bytes(canonical(manifest))
    root = sha256(canonical(manifest)).hexdigest()
    (path / "manifest.sha256").write_bytes(f"{root}  manifest.json\n".encode())


def replace_member(path: Path, name: str, data: bytes) -> None:
    """Put another member in a folder, with its digest: what somebody would do on purpose."""
    (path / name).write_bytes(data)
    told = {"sha256": sha256(data).hexdigest(), "size": len(data)}
    changed(path, lambda manifest: manifest["members"].update({name: told}))
