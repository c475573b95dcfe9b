"""The order of the folders, which is that of the states of a net: no import runs against it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ORDER = (
    "errors", "collecting", "printing", "moved", "files", "grammars", "specs", "kernels", "ir",
    "language", "checking", "net", "lowering", "runtime", "backends", "compiler", "export",
    "trained", "artifact", "pretrained", "data", "training", "inference", "see", "timing",
    "comparing", "views", "tracing", "reporting", "cli", "__main__",
)  # fmt: skip
"""Folders and modules of netspec/, each of which imports only itself and what stands before it.

``netspec/__init__.py`` has the names of the public interface, and imports each when it is used.
"""

IN_ROOT = 10
LINES = 400


FOLDERS = ("netspec", "kernels", "specs", "grammars", "benchmarks", "docs")


def files(*folders: str) -> list[Path]:
    """The files of Python in folders; what lies behind a link is found in its own folder only."""
    return [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]


@cache
def modules() -> dict[str, Path]:
    """The modules of netspec by name; those that are reached through links have that name."""
    paths = {}
    for file in files("netspec", "kernels", "specs", "grammars"):
        parts = file.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts if parts[0] == "netspec" else ("netspec", *parts))
        paths[name.removesuffix(".__init__")] = file
    return paths


def imports(module: str, *, typing_too: bool) -> set[str]:
    """The modules of netspec that a module imports, also inside functions."""
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    names = set()
    for node in _statements(tree, typing_too=typing_too):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.add(inner if inner in modules() else node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names & set(modules()) - {module, "netspec"}


def _statements(node: ast.AST, *, typing_too: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        is_typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if is_typing and not typing_too:
            continue
        yield child
        yield from _statements(child, typing_too=typing_too)


def place(module: str) -> int:
    """The place of a module in the order of the folders."""
    return ORDER.index(module.split(".")[1])


def test_every_folder_has_a_place() -> None:
    assert {module.split(".")[1] for module in modules() if module != "netspec"} == set(ORDER)


@pytest.mark.parametrize("module", sorted(set(modules()) - {"netspec"}))
def test_no_import_runs_against_the_order(module: str) -> None:
    upwards = {one for one in imports(module, typing_too=True) if place(one) > place(module)}
    assert not upwards, f"{module} imports {', '.join(sorted(upwards))}, which come after it"


def test_no_modules_import_each_other_in_a_circle() -> None:
    left = {module: imports(module, typing_too=False) for module in modules()}
    while free := [module for module, needed in left.items() if not needed & left.keys()]:
        for module in free:
            del left[module]
    assert not left, f"a circle, or what needs one: {', '.join(sorted(left))}"


def test_the_root_has_few_modules() -> None:
    assert len(list((ROOT / "netspec").glob("*.py"))) <= IN_ROOT


def test_no_file_is_long() -> None:
    counts = {
        str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines())
        for file in files(*FOLDERS)
    }
    long = {name: count for name, count in counts.items() if count > LINES}
    assert not long, f"at most {LINES} lines a file: {long}"
