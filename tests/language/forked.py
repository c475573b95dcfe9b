"""``netspec`` in a process of its own each time, forked from one that has loaded it already.

As a program, it is the process that forks: each line of its input names a command and the files
for what the command prints, as JSON; each line of its output is the exit code of one.
"""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import traceback
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory


class Forked:
    """Runs commands with limits: seconds of processor time, and bytes of address space."""

    def __init__(self, seconds: int, size: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(seconds), str(size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with TemporaryDirectory() as folder:
            printed = [str(Path(folder, name)) for name in ("stdout", "stderr")]
            self.process.stdin.write(json.dumps([arguments, printed]) + "\n")
            self.process.stdin.flush()
            code = int(self.process.stdout.readline())
            texts = [Path(path).read_text(encoding="utf-8") for path in printed]
        return subprocess.CompletedProcess(arguments, code, *texts)

    def close(self) -> None:
        self.process.communicate()


def _serve(seconds: int, size: int) -> None:
    from netspec.cli import main

    with redirect_stdout(io.StringIO()):
        main(["check", "lenet5"], standalone_mode=False)  # loads all that checking needs
    for line in sys.stdin:
        arguments, printed = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(_work(arguments, printed, seconds, size))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _work(arguments: list[str], printed: list[str], seconds: int, size: int) -> int:
    """Do in this process what ``python -m netspec`` does, and return its exit code."""
    from netspec.cli import main

    for descriptor, path in enumerate(printed, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    code = 1
    try:
        main(arguments, prog_name="netspec")
    except SystemExit as left:
        code = int(left.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    _serve(*map(int, sys.argv[1:]))
