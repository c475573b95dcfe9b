"""Input made to hurt: a diagnostic, exit code 1, within ten seconds and a gigabyte.

The limits are set on the process: seconds of its own time, so that a busy machine fails no test,
and address space, of which the interpreter and its libraries take a part that is not memory.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

HEADER = "net a\ninput image 8x8x3\n"
SECONDS, BYTES = 10, 2**30


def doubling(last: str) -> str:
    blocks = "".join(f"block b{i} = b{i + 1} | b{i + 1}\n" for i in range(60))
    return f"{HEADER}{blocks}block b60 = {last}\na: b0"


HOSTILE: dict[str, tuple[str, str]] = {
    "empty": ("NS008", ""),
    "blank": ("NS008", "\n \t;\r\n# nothing\n" * 1000),
    "nul": ("NS003", HEADER + "a: \0relu"),
    "nested branches": ("NS006", HEADER + "a: " + "concat { " * 10_000),
    "nested parentheses": ("NS006", HEADER + "let a = " + "(" * 10_000 + "1" + ")" * 10_000),
    "a block that calls itself": ("NS114", HEADER + "block b = b\na: b"),
    "sixty blocks that double": ("NS005", doubling("relu")),
    "sixty blocks that double nothing": ("NS005", doubling("relu if off")),
    "three hundred blocks deep": (
        "NS006",
        HEADER
        + "".join(f"block b{i} = b{i + 1}\n" for i in range(300))
        + "block b300 = relu\na: b0",
    ),
    "an overflow": ("NS007", HEADER + "a: fc 2**10**10**10"),
    "a division by zero": ("NS141", HEADER + "a: fc 1/0"),
    "a million digits": ("NS007", HEADER + "a: fc " + "9" * 1_000_000),
    "a giant kernel": ("NS201", HEADER + "a: conv 999999999x999999999, 3"),
    "a giant padding": ("NS202", HEADER + "a: conv 999999999x999999999, 3, pad=999999999"),
    "a negative stride": ("NS101", HEADER + "a: conv 3x3/-1, 3"),
    "a zero stride": ("NS132", HEADER + "a: conv 3x3/0, 3"),
    "a billion labels": ("NS005", HEADER + "a0..a999999999: relu"),
    "a giant input": ("NS007", "net a\ninput i 1000000000x1000000000x1000000000\na: relu"),
    "stages in one row": ("NS005", HEADER + "a: " + "relu|" * 200_000 + "relu"),
    "arguments in one stage": ("NS005", HEADER + "a: fc " + "1," * 500_000 + "1"),
    "unfinished statements": ("NS101", HEADER + "a b\n" * 250_000),
    "unknown operators": ("NS112", HEADER + "".join(f"r{i}:x\n" for i in range(90_000))),
    "commas": ("NS005", HEADER + "a: fc " + "," * 1_000_000),
    "quotes": ("NS101", '"' * 1_000_000),
    "signs": ("NS009", HEADER + "let a = " + "-" * 1_000_000 + "1"),
    "a long sum": ("NS009", HEADER + "let a = " + "1+" * 500_000 + "1"),
    "a sum in every call": (
        "NS005",
        HEADER + f"block b = {{ let k = {'1+' * 400_000}1; a: relu }}\nr0..r9999: b\n",
    ),
    "a sum in every row": ("NS005", HEADER + f"r0..r9999: lrn {'1+' * 400_000}1\n"),
    "outputs that double": (
        "NS005",
        HEADER
        + "block pass = { output input }\nblock b0 = { output input }\n"
        + "".join(
            f"block b{i} = {{ a from input: b{i - 1}; c from a: pass; output a, c }}\n"
            for i in range(1, 60)
        )
        + "a: b59\nz from a: add",
    ),
    "claims again and again": ("NS131", HEADER + "a: fc 1\nclaim " + "params 0 " * 60_000),
    "failures at the end of a chain": (
        "NS201",
        HEADER
        + "".join(f"r{i}:abs\n" for i in range(40_000))
        + "".join(f"x{i} from r39999:conv 9x{i + 9},1\n" for i in range(900)),
    ),
    "guesses among many": (
        "NS111",
        HEADER
        + "".join(f"r{i}:abs\n" for i in range(40_000))
        + "".join(f"x{i} from zzz{i}:abs\n" for i in range(900)),
    ),
    "unclosed braces": ("NS102", HEADER + "a: concat {\n relu\n"),
    "a wide operator": ("NS112", HEADER + "a: " + "r" * 900_000),
}


def check(path: Path) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (2 * BYTES, 2 * BYTES))

    return subprocess.run(
        [sys.executable, "-m", "netspec", "check", str(path)],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=False,
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_gets_a_diagnostic(name: str, tmp_path: Path) -> None:
    code, text = HOSTILE[name]
    path = tmp_path / "hostile.net"
    path.write_text(text, encoding="utf-8", newline="")
    done = check(path)
    assert done.returncode == 1, done.stderr[:1000]
    assert f"[{code}]" in done.stderr
    assert "Traceback" not in done.stderr
    assert "help: " in done.stderr


@pytest.mark.parametrize(
    ("code", "data"),
    [("NS004", b"a" * 100_000_000), ("NS002", b"\xff\xfe\x00n\x00e\x00t"), ("NS003", bytes(1000))],
)
def test_hostile_bytes_get_a_diagnostic(code: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "hostile.net"
    path.write_bytes(data)
    done = check(path)
    assert done.returncode == 1
    assert f"[{code}]" in done.stderr


def test_the_largest_net_is_checked_in_time_and_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.net"
    path.write_text(HEADER + "".join(f"r{i}:abs\n" for i in range(90_000)))
    done = check(path)
    assert done.returncode == 0, done.stderr[:1000]
    assert "90,000 rows" in done.stdout
