"""``netspec``, or a program, in a process of its own each time, forked from one that has loaded it.

A new process takes two seconds to import PyTorch and netspec, a forked one none.  As a program, it
is the process that forks: each line of its input is a command, as JSON; each line of its output is
the exit code of one.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import json
import multiprocessing
import os
import resource
import runpy
import subprocess
import sys
import traceback
from collections.abc import Mapping
from contextlib import redirect_stdout
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]


class Forked:
    """Runs commands, with the modules loaded already that they would load."""

    def __init__(self, *modules: str, interprets: bool = True) -> None:
        self.left_out = set() if interprets else {"TRITON_INTERPRET"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked", *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=self._environment(),
        )

    def _environment(self) -> dict[str, str]:
        return {key: value for key, value in os.environ.items() if key not in self.left_out}

    def run(self, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        """Do what the command line does with these arguments."""
        return self.python("-m", "netspec", *arguments, **options)

    def python(
        self,
        *arguments: object,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        limits: Mapping[int, int] | None = None,
        stdin: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Do what subprocess.run does with ``python``, ``-c CODE`` or ``-m MODULE``, and the rest.

        Limits are those of setrlimit.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with TemporaryDirectory() as folder:
            printed = [Path(folder, name) for name in ("stdout", "stderr")]
            given = Path(folder, "stdin")
            given.write_bytes(stdin.encode())
            command = {
                "arguments": list(map(str, arguments)),
                "given": str(given),
                "printed": list(map(str, printed)),
                "cwd": str(cwd or Path.cwd()),
                "environment": dict(self._environment() if environment is None else environment),
                "limits": list((limits or {}).items()),
            }
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
            code = int(self.process.stdout.readline())
            texts = [path.read_text(encoding="utf-8") for path in printed]
        return subprocess.CompletedProcess(command["arguments"], code, *texts)

    def close(self) -> None:
        self.process.communicate()


@cache
def forked(*modules: str, interprets: bool = True) -> Forked:
    """Return the process that forks, of this one; it ends with it.

    Kernels are compiled where Triton does not interpret, on machines without a GPU too.
    """
    server = Forked(*modules, interprets=interprets)
    atexit.register(server.close)
    return server


def compiling() -> Forked:
    """Return the one for programs that compile kernels."""
    return forked("torch", "netspec.compiler", "netspec.backends.cuda.ahead", interprets=False)


def forkserver() -> ForkServerContext:
    """Return multiprocessing's own way, with what the processes of tests import imported once.

    The server starts once and then keeps to what it was told first, so there is one list.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    return context


def _serve(modules: list[str]) -> None:
    gc.disable()
    from netspec.cli import main

    with redirect_stdout(io.StringIO()):
        main(["check", "lenet5"], standalone_mode=False)  # loads all that checking needs
    for name in modules:
        importlib.import_module(name)
    gc.freeze()  # the collectors of the forked do not look at what is loaded
    gc.enable()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(_work(**json.loads(line)))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _work(
    arguments: list[str],
    given: str,
    printed: list[str],
    cwd: str,
    environment: dict[str, str],
    limits: list[tuple[int, int]],
) -> int:
    """Do in this process what ``python`` does with these arguments, and return its exit code."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    _redirect(0, given, os.O_RDONLY)
    for descriptor, path in enumerate(printed, start=1):
        _redirect(descriptor, path, os.O_WRONLY | os.O_CREAT)
    for kind, most in limits:
        resource.setrlimit(kind, (most, most))
    code: Any = 0
    try:
        _python(*arguments)
    except SystemExit as left:
        code = left.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return int(code or 0)


def _python(kind: str, what: str, *arguments: str) -> None:
    if (kind, what) == ("-m", "netspec"):
        from netspec.cli import main

        main(arguments, prog_name="netspec")
    sys.argv = ["-c", *arguments]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(what, {"__name__": "__main__"})


def _redirect(descriptor: int, path: str, flags: int) -> None:
    opened = os.open(path, flags)
    os.dup2(opened, descriptor)
    os.close(opened)


if __name__ == "__main__":
    _serve(sys.argv[1:])
    os._exit(0)  # at once: to tear PyTorch down takes a fifth of the time that its import took
