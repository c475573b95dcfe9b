"""The end of a command: nothing is lost, although the process does not free its objects."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COMMAND = """
import atexit, sys, threading, time
import netspec.__main__ as program

class Kept:
    def __del__(self):
        print("freed")

def later():
    time.sleep(0.2)
    print("thread")

def command(prog_name):
    global kept
    kept = Kept()
    atexit.register(print, "registered")
    {body}

program.main = command
program.run()
"""


def ended(body: str, **options: object) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", COMMAND.format(body=body)]
    return subprocess.run(program, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("code", [0, 1, 2, 130])
def test_the_status_is_that_of_the_command(code: int) -> None:
    done = ended(f"print('line'); sys.exit({code})", capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, "line\nregistered\n", "")


def test_all_that_was_printed_arrives() -> None:
    body = "print('x' * 3_000_000); print('y' * 300_000, file=sys.stderr); sys.exit(0)"
    done = ended(body, capture_output=True)
    assert len(done.stdout) == 3_000_001 + len("registered\n")
    assert len(done.stderr) == 300_001


def test_a_thread_that_is_not_a_daemon_ends_first() -> None:
    body = "threading.Thread(target=later).start(); sys.exit(3)"
    done = ended(body, capture_output=True)
    assert done.returncode == 3
    assert done.stdout.split() == ["thread", "registered", "freed"]


def test_an_error_of_the_program_keeps_its_traceback() -> None:
    done = ended("raise ZeroDivisionError", capture_output=True)
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError\n")


def test_a_text_as_status_is_printed() -> None:
    done = ended("sys.exit('reason')", capture_output=True)
    assert (done.returncode, done.stderr) == (1, "reason\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no full device")
def test_output_that_cannot_be_written_is_an_error() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        # Buffered, so that the error comes at the end.
        buffered = {n: v for n, v in os.environ.items() if n != "PYTHONUNBUFFERED"}
        options = {"stdout": full, "stderr": subprocess.PIPE, "env": buffered}
        done = ended("print('line'); sys.exit(0)", **options)
    assert done.returncode == 120
    assert "No space left" in done.stderr
