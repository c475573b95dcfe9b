"""Run every test, slow ones and all examples included, and keep the results: make test-all.

The folders of tests run one after another.  A folder that passed is not run again before a file of
the project changes: an interrupted run resumes where it was.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from netspec.files.writing import write_whole
from netspec.timing.machine import machine

TESTS = Path(__file__).parent
ROOT = TESTS.parent
RESULT = TESTS / "results" / "test-all.json"
PARTS = ROOT / "build" / "test-all"
EVERYTHING = ("-m", "", "--hypothesis-profile", "all")
OUTCOMES = ("passed", "failed", "error", "skipped")
COMPLETE = {
    pytest.ExitCode.OK,
    pytest.ExitCode.TESTS_FAILED,
    pytest.ExitCode.NO_TESTS_COLLECTED,
}
"""How a run ends that went to its end."""

Result = dict[str, Any]


class Counts:
    """A plugin that counts what became of the tests."""

    def __init__(self) -> None:
        self.tests: dict[str, int] = {}

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        self.tests = {name: len(terminalreporter.stats.get(name, [])) for name in OUTCOMES}


def run(arguments: Sequence[str], result: Path, files: str = "") -> int:
    """Run pytest with these arguments beside ``EVERYTHING``, and return its exit code.

    Args:
        arguments: of pytest.
        result: the file for what became of the tests; it is not written if the run was interrupted.
        files: the digest of the project's files, which is stored with the result.
    """
    counts, start = Counts(), monotonic()
    code = pytest.main([*EVERYTHING, *arguments], plugins=[counts])
    if code in COMPLETE:
        seconds = round(monotonic() - start)
        write(result, {"files": files, "seconds": seconds, "tests": counts.tests})
    return int(code)


def parts() -> Iterator[tuple[str, list[Path]]]:
    """Yield the name and the paths of each part of the tests: the folders, then the files."""
    for folder in sorted(path for path in TESTS.iterdir() if path.is_dir()):
        if next(folder.rglob("test_*.py"), None):
            yield folder.name, [folder]
    yield "files", sorted(TESTS.glob("test_*.py"))


def digest_of_files() -> str:
    """Return the digest of the files of the project that git does not ignore.

    The stored result does not count.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    hasher = sha256()
    for name in sorted(filter(None, listed.stdout.split("\0"))):
        path = ROOT / name
        if path != RESULT and path.is_file():
            hasher.update(f"{name}\0".encode() + sha256(path.read_bytes()).digest())
    return hasher.hexdigest()


def passed(result: Path, files: str) -> bool:
    """Return True if a part ran to its end without a failure, on the present files."""
    if not result.exists():
        return False
    told = json.loads(result.read_bytes())
    return told["files"] == files and not (told["tests"]["failed"] or told["tests"]["error"])


def together(results: Sequence[Result]) -> Result:
    """Return the result of all parts."""
    return {
        "date": date.today().isoformat(),
        "seconds": sum(result["seconds"] for result in results),
        "tests": {name: sum(result["tests"][name] for result in results) for name in OUTCOMES},
        "machine": machine(),
        "versions": {name: version(name) for name in ("hypothesis", "pytest", "triton")},
    }


def write(path: Path, data: Result) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(data, indent=1).encode() + b"\n")


def main() -> int:
    """Run all parts, each in a process of its own; return 1 if a test failed, 2 if a part ended."""
    files, stored = digest_of_files(), {name: PARTS / f"{name}.json" for name, _ in parts()}
    for name, paths in parts():
        if passed(stored[name], files):
            print(f"{name}: passed before", flush=True)
            continue
        stored[name].unlink(missing_ok=True)
        print(f"{name}:", flush=True)
        arguments = ["-n", "2", "--dist", "worksteal", *map(str, paths)]
        program = [sys.executable, "-m", "tests.everything", str(stored[name]), files]
        subprocess.run([*program, *arguments], cwd=ROOT, check=False)
        if not stored[name].exists():
            print(f"{name} did not run to its end; make test-all resumes there")
            return 2
    results = [json.loads(path.read_bytes()) for path in stored.values()]
    write(RESULT, together(results))
    return int(not all(passed(path, files) for path in stored.values()))


if __name__ == "__main__":
    if sys.argv[1:]:  # one part, in a process that main() started
        path, digest, *arguments = sys.argv[1:]
        sys.exit(run(arguments, Path(path), digest))
    sys.exit(main())
