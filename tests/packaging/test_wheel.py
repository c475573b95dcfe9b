"""The wheel and the sdist work outside the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    tree = folder / "tree"
    unwanted = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, tree, symlinks=True, ignore=unwanted)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(tree)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def test_the_wheel_carries_specs_grammar_kernels_and_handbook(built: Path) -> None:
    (wheel,) = built.glob("netspec_compiler-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "netspec/specs/googlenet.net",
        "netspec/specs/trained/lenet5-digits.json",
        "netspec/specs/trained/lenet5-digits.safetensors",
        "netspec/comparing/nets/lenet5_arms.net",
        "netspec/grammars/netspec.lark",
        "netspec/grammars/netspec.json",
        "netspec/kernels/__init__.py",
        "netspec/language/handbook/NS204.md",
        "netspec/ir/ops/conv.py",
        "netspec/reporting/assets/report.css",
        "netspec/reporting/assets/report.js",
        "netspec/reporting/assets/viz.js",
        "netspec/reporting/assets/viz-licences.txt",
        "netspec/py.typed",
    ):
        assert wanted in names
    kernels = {f"netspec/{path.relative_to(ROOT)}" for path in (ROOT / "kernels").rglob("*.py")}
    assert kernels <= set(names)
    assert not any(name.startswith(("tests", "specs", "kernels")) for name in names)


def test_the_sdist_carries_what_the_wheel_is_built_from(built: Path) -> None:
    (sdist,) = built.glob("netspec_compiler-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"netspec/specs/lenet5.net", "netspec/grammars/netspec.lark", "README.md"} <= names


def test_the_wheel_works_outside_the_checkout(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("netspec_compiler-*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
    program = (
        "import netspec, sys; assert netspec.__file__.startswith(sys.argv[1]), netspec.__file__\n"
        "from netspec.cli import main\n"
        "for command in sys.argv[2:]:\n"
        "    main(command.split(), standalone_mode=False)\n"
    )
    commands = [
        "check googlenet alexnet lenet5",
        "explain NS204",
        "compile lenet5",
        "run lenet5 digit.png --weights digits",
    ]
    shutil.copy(ROOT / "docs" / "images" / "digit.png", tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", program, str(site), *commands],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "googlenet: 18 rows" in done.stdout
    assert "NS204" in done.stdout
    assert "verify" in done.stdout
    assert re.search(r" 7 +99", done.stdout)


def test_the_wheel_built_from_the_sdist_is_the_same(built: Path) -> None:
    # `python -m build` makes the sdist first and the wheel from it: that they agree on the
    # specs shows that the sdist followed the symlinks.
    (wheel,) = built.glob("netspec_compiler-*.whl")
    names = [name for name in zipfile.ZipFile(wheel).namelist() if "/specs/" in name]
    specs = {name.rpartition("/")[2] for name in names if name.endswith(".net")}
    assert specs == {path.name for path in (ROOT / "specs").glob("*.net")}


def test_an_editable_install_is_imported_from_the_folder_above_the_clone(
    built: Path, tmp_path: Path
) -> None:
    """There the clone's folder has the name of the package, and no ``__init__.py``."""
    (tmp_path / "netspec").symlink_to(built / "tree")
    program = "import sys; from setuptools.build_meta import *; build_editable(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        check=True,
        capture_output=True,
        cwd=built / "tree",
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    program = "import site; site.addsitedir('site'); import netspec; print(netspec.__file__)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],  # without the site that these tests run in
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    assert Path(done.stdout.strip()) == built / "tree" / "netspec" / "__init__.py"
