"""Input made to hurt: a diagnostic, exit code 1, within ten seconds and a gigabyte.

The limits are set on the process: seconds of its own time, so that a busy machine fails no test,
and address space, of which the interpreter and its libraries take a part that is not memory.
"""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.forked import forked

HEADER = "net a\ninput image 8x8x3\n"
LIMITS = {resource.RLIMIT_AS: 2 * 2**30}


def doubling(last: str) -> str:
    blocks = "".join(f"block b{i} = b{i + 1} | b{i + 1}\n" for i in range(60))
    return f"{HEADER}{blocks}block b60 = {last}\na: b0"


VARIANT = "net a from lenet5 {{\n{}\n}}\n"
CONNECT = HEADER + "a: conv 3x3, 3, connect=t\nconnect t {{\n{}\n}}\n"
SYMBOLS = "net a(N)\ninput map H x W x C\n"
MANY = [f"S{i}" for i in range(50)]
PLUS = "+".join(MANY)
FIFTY = f"net a({', '.join(MANY)})\ninput map H x W x C\na: {{}}\n"


def chain(start: str, step: str, length: int = 400) -> str:
    """Constants that each are made from the one above."""
    lets = "".join(f"let a{i + 1} = {step.format(f'a{i}', i)}\n" for i in range(length))
    return f"let a0 = {start}\n{lets}a: fc a{length} -> params 0\n"


def guesses(rows: int) -> str:
    """Labels that are nowhere, each of which might be meant for any of the rows."""
    return (
        HEADER
        + "".join(f"r{i}:abs\n" for i in range(rows))
        + "".join(f"x{i} from zzz{i}:abs\n" for i in range(900))
    )


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
    "commas": ("NS005", HEADER + "a: fc " + "," * 1_000_000),
    "quotes": ("NS101", '"' * 1_000_000),
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
    "guesses among some": ("NS111", guesses(10_000)),
    "guesses among many": ("NS111", guesses(40_000)),
    "a billion rows in a variant": ("NS005", VARIANT.format("C1..C1000000000: relu")),
    "a billion new rows": ("NS005", VARIANT.format("x1..x1000000000 after S2: relu")),
    "a billion rows dropped": ("NS101", VARIANT.format("drop C1..C1000000000")),
    "ninety thousand rows dropped": ("NS111", VARIANT.format("drop S2" + ", S2" * 90_000)),
    "all rows dropped": ("NS009", VARIANT.format("drop C1, S2, C3, S4, C5, F6, out")),
    "a row that others read dropped": (
        "NS111",
        "net a from inception_module {\ndrop C11, C22\n}",
    ),
    "rows that no base has": (
        "NS105",
        VARIANT.format("".join(f"r{i}:abs\n" for i in range(90_000))),
    ),
    "the same row again and again": ("NS110", VARIANT.format("C1:abs\n" * 90_000)),
    "constants again and again": ("NS110", VARIANT.format("let a=1\n" * 90_000)),
    "columns again and again": ("NS131", VARIANT.format("columns 1\n" * 70_000)),
    "defaults again and again": ("NS131", VARIANT.format("default round=ceil\n" * 50_000)),
    "imports again and again": (
        "NS110",
        "net a\n" + 'import "googlenet.net"\n' * 30_000 + "input i 8x8x3\na: relu",
    ),
    "an import with a name of a megabyte": ("NS001", f'net a\nimport "{"x" * 1_000_000}"'),
    "a ragged table": ("NS143", CONNECT.format("X" * 400_000 + "\n" + "X" * 400_001)),
    "a table of a million places": ("NS132", CONNECT.format("X" * 1_000_000)),
    "a table of too many lines": ("NS005", CONNECT.format("X\n" * 300_000)),
    "an empty table": ("NS101", CONNECT.format("")),
    "a table without an X": ("NS143", CONNECT.format("..\n" * 3)),
    "codes of a billion lines": ("NS143", HEADER + "a: rbf d\ncodes d 1000000000x1 { X }"),
    "many codes": ("NS209", HEADER + "a: rbf d\ncodes d 1x1 {" + "X " * 400_000 + "}"),
    "powers of powers of symbols": ("NS007", SYMBOLS + chain("(H+W)", "{0}**8")),
    "products of powers of symbols": ("NS302", SYMBOLS + chain("H", "{0}*(H+W+{1})**8", 30)),
    "squares of squares of symbols": ("NS007", SYMBOLS + chain("(H+W)", "{0}*{0} + W")),
    "roundings in roundings": ("NS007", SYMBOLS + chain("H", "({0} + {1}) // 3")),
    "remainders of remainders": ("NS007", SYMBOLS + chain("H", "({0}*W + {1}) % (H + 3)")),
    "huge factors of symbols": ("NS007", SYMBOLS + chain("H", "{0} * 9223372036854775807")),
    "fifty symbols to the eighth": (
        "NS302",
        FIFTY.format(f"fc 2 -> params ({PLUS})**8"),
    ),
    "a remainder of fifty symbols": (
        "NS302",
        FIFTY.format(f"fc ({PLUS})**8 % (({PLUS})**7 + 1) -> params 1"),
    ),
    "a comparison of fifty symbols": (
        "NS144",
        FIFTY.format(f"relu if ({PLUS})**8 < ({PLUS})**7 * (W + H)"),
    ),
    "a product of a thousand sums": (
        "NS007",
        SYMBOLS + "a: fc " + "*".join(f"(H+{i})" for i in range(1000)),
    ),
    "a product of ninety sums": (
        "NS302",
        SYMBOLS + "a: fc " + "*".join(f"(H+{i})" for i in range(90)) + " -> params 1",
    ),
    "half of a product of ninety sums": (
        "NS132",
        SYMBOLS + "a: fc " + "*".join(f"(H+{i})" for i in range(90)) + "/2",
    ),
    "a sum of many symbols": ("NS005", SYMBOLS + "a: fc " + "H+" * 200_000 + "1"),
    "pools of pools of symbols": ("NS007", SYMBOLS + "a1..a500: maxpool 3x3/2, round=ceil"),
    "padded pools of symbols": ("NS007", SYMBOLS + "a1..a500: maxpool 3x3/2, pad=same"),
    "many stages of symbols": ("NS005", SYMBOLS + "a1..a5000: conv 3x3, C\nclaim params 5"),
    "many branches of symbols": (
        "NS005",
        SYMBOLS
        + "a: concat {\n"
        + "".join(f"conv {i}x{i}/7, C, round=ceil | gap\n" for i in range(1, 900))
        + "}",
    ),
    "many windows of symbols": (
        "NS007",
        SYMBOLS
        + "a: concat {\n"
        + "".join(f"maxpool {i}x{i}/2 | gap\n" for i in range(1, 220))
        + "}\nb: fc 2 -> field 3",
    ),
    "symbols as labels": ("NS117", SYMBOLS + "1..N: relu"),
    "a symbol as an operator": ("NS112", SYMBOLS + "a: N | N 3 | N { relu }"),
    "unclosed braces": ("NS102", HEADER + "a: concat {\n relu\n"),
    "a wide operator": ("NS112", HEADER + "a: " + "r" * 900_000),
}


LARGE: dict[str, tuple[str, int, Callable[[int], str]]] = {
    "unknown operators": (
        "NS112",
        90_000,
        lambda count: HEADER + "".join(f"r{i}:x\n" for i in range(count)),
    ),
    "signs": ("NS009", 1_000_000, lambda count: HEADER + "let a = " + "-" * count + "1"),
    "outputs again and again": (
        "NS131",
        70_000,
        lambda count: VARIANT.format("output out\n" * count),
    ),
    "imports of nothing": (
        "NS001",
        50_000,
        lambda count: "net a\n" + "".join(f'import "x{i}.net"\n' for i in range(count)) + "a: relu",
    ),
    "a table of many lines": ("NS209", 90_000, lambda count: CONNECT.format("XXX\n" * count)),
    "codes of wrong widths": (
        "NS143",
        200_000,
        lambda count: HEADER + "a: rbf d\ncodes d 1x4 {" + "XXX " * count + "}",
    ),
    "many rows of symbols": (
        "NS005",
        20_000,
        lambda count: SYMBOLS + "".join(f"r{i}: conv 1x1, C+{i}\n" for i in range(count)),
    ),
}
"""Inputs of so many parts, about as many as fit into a file."""


SLOW = {
    "a long sum",  # as "signs"
    "a sum in every call",
    "a sum in every row",
    "guesses among many",  # as "guesses among some"
    "a sum of many symbols",
    "the same row again and again",  # as claims, outputs and imports again and again
    "constants again and again",
    "columns again and again",
    "defaults again and again",
    "rows that no base has",  # as "unknown operators"
    "failures at the end of a chain",  # as "guesses among some"
    "many branches of symbols",  # as "many windows of symbols"
    "many stages of symbols",  # as "many rows of symbols"
    "padded pools of symbols",  # as "pools of pools of symbols"
    "many codes",  # as "codes of wrong widths"
}
"""Inputs that take seconds each, and that others stand for in the default run."""


def check(path: Path, seconds: int = 10) -> subprocess.CompletedProcess[str]:
    limits = LIMITS | {resource.RLIMIT_CPU: seconds}
    return forked().run("check", path, limits=limits)


def assert_diagnostic(done: subprocess.CompletedProcess[str], code: str) -> None:
    assert done.returncode == 1, done.stderr[:1000]
    assert f"[{code}]" in done.stderr
    assert "Traceback" not in done.stderr
    assert "help: " in done.stderr


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in HOSTILE]
)
def test_hostile_input_gets_a_diagnostic(name: str, tmp_path: Path) -> None:
    code, text = HOSTILE[name]
    path = tmp_path / "hostile.net"
    path.write_text(text, encoding="utf-8", newline="")
    assert_diagnostic(check(path), code)


@pytest.mark.parametrize(
    ("share", "seconds"), [(8, 6), pytest.param(1, 10, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", LARGE)
def test_input_of_many_parts_gets_a_diagnostic(
    name: str, share: int, seconds: int, tmp_path: Path
) -> None:
    """Or an eighth of it, of which the slowest, rows of symbols, takes 2.6 s of processor time on a
    Xeon of 2.8 GHz, and 3.1 s in full.  Time that grew with the square of the parts would be far
    more than what a busy machine adds.
    """
    code, count, text = LARGE[name]
    path = tmp_path / "large.net"
    path.write_text(text(count // share), encoding="utf-8", newline="")
    assert_diagnostic(check(path, seconds), code)


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


@pytest.mark.parametrize(
    ("rows", "seconds"), [(11_250, 3), pytest.param(90_000, 10, marks=pytest.mark.slow)]
)
def test_the_largest_net_is_checked_in_time_and_memory(
    rows: int, seconds: int, tmp_path: Path
) -> None:
    """Or an eighth of it, which takes 1 s of a quiet core: time that grew with the square of the
    rows would be far more than what a busy machine adds.
    """
    path = tmp_path / "large.net"
    path.write_text(HEADER + "".join(f"r{i}:abs\n" for i in range(rows)))
    done = check(path, seconds)
    assert done.returncode == 0, done.stderr[:1000]
    assert f"{rows:,} rows" in done.stdout


# ------------------------------------------------------------------------------------ several files


def write(folder: Path, texts: dict[str, str]) -> Path:
    """Write specs into a folder; the first is the one to check."""
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder / next(iter(texts))


def base(rows: int) -> str:
    return "net b\ninput i 8x8x3\n" + "".join(f"r{i}:abs\n" for i in range(rows))


IMPORT = 'net a\nimport "{}"\ninput i 8x8x3\na: act'
FILES: dict[str, tuple[str, dict[str, str]]] = {
    "a file that imports itself": ("NS010", {"a.net": IMPORT.format("a.net")}),
    "a net from itself": ("NS010", {"a.net": "net a from a"}),
    "two nets from each other": ("NS010", {"a.net": "net a from b", "b.net": "net b from a"}),
    "three nets in a circle": (
        "NS010",
        {"a.net": "net a from b", "b.net": "net b from c", "c.net": "net c from a"},
    ),
    "a circle of bases and imports": (
        "NS010",
        {"a.net": "net a from b", "b.net": IMPORT.format("c.net"), "c.net": "net c from a"},
    ),
    "a chain of imports": (
        "NS006",
        {f"f{i}.net": IMPORT.format(f"f{i + 1}.net") for i in range(150)}
        | {"f150.net": "block act = relu"},
    ),
    "a chain of bases": (
        "NS006",
        {f"f{i}.net": f"net f{i} from f{i + 1}" for i in range(150)}
        | {"f150.net": HEADER + "a: relu"},
    ),
    "a fan of imports": (
        "NS006",
        {"a.net": IMPORT.format("f0.net")}
        | {
            f"f{i}.net": f'import "f{i + 1}.net"\nimport "f{i + 2}.net"\nblock act{i} = relu\n'
            for i in range(150)
        },
    ),
    "a file above": (
        "NS011",
        {"sub/a.net": IMPORT.format("../b.net"), "b.net": "block act = relu"},
    ),
    "a file above, by way of one below": (
        "NS011",
        {"sub/a.net": IMPORT.format("c/../../b.net"), "b.net": "block act = relu"},
    ),
    "a file of the system": ("NS011", {"a.net": IMPORT.format("/etc/passwd")}),
    "a device": ("NS011", {"a.net": IMPORT.format("/dev/zero")}),
    "a missing file": ("NS001", {"a.net": IMPORT.format("nothing.net")}),
    "a folder": ("NS001", {"a.net": IMPORT.format("sub"), "sub/b.net": ""}),
    "an import of a megabyte": (
        "NS004",
        {"a.net": IMPORT.format("b.net"), "b.net": "block act = relu\n" + "#" * 2**20},
    ),
    "many large imports": (
        "NS004",
        {"a.net": "net a\n" + "".join(f'import "b{i}.net"\n' for i in range(40))}
        | {f"b{i}.net": f"block b{i} = relu\n" + "#" * 2**19 for i in range(40)},
    ),
    "many imports of nothing": (
        "NS012",
        {"a.net": "net a\n" + "".join(f'import "b{i}.net"\n' for i in range(300)) + "a: relu"}
        | {f"b{i}.net": "" for i in range(300)},
    ),
    "a large range of a base": (
        "NS005",
        {
            "a.net": "net a from b {\n" + "".join(f"r{i}: abs\n" for i in range(500)) + "}",
            "b.net": "net b\ninput i 8x8x3\n"
            + "".join(f"{x}0..{x}99999: relu\n" for x in "abcdefgh"),
        },
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_hostile_files_get_a_diagnostic(name: str, tmp_path: Path) -> None:
    code, texts = FILES[name]
    done = check(write(tmp_path, texts))
    assert done.returncode == 1, done.stderr[:1000]
    assert f"[{code}]" in done.stderr
    assert "Traceback" not in done.stderr
    assert "root:" not in done.stderr


@pytest.mark.parametrize(
    ("target", "code"), [("a.net", "NS010"), ("/etc/passwd", "NS011"), ("link.net", "NS011")]
)
def test_hostile_links_get_a_diagnostic(target: str, code: str, tmp_path: Path) -> None:
    path = write(tmp_path, {"a.net": IMPORT.format("link.net")})
    (tmp_path / "link.net").symlink_to(target)
    done = check(path)
    assert done.returncode == 1
    assert f"[{code}]" in done.stderr
    assert "root:" not in done.stderr


@pytest.mark.parametrize(
    ("code", "data"),
    [("NS002", b"\x7fELF\xff" * 1000), ("NS003", bytes(1000)), ("NS002", b"\xff\xfen\x00")],
)
def test_hostile_bytes_of_an_import_get_a_diagnostic(
    code: str, data: bytes, tmp_path: Path
) -> None:
    path = write(tmp_path, {"a.net": IMPORT.format("b.net")})
    (tmp_path / "b.net").write_bytes(data)
    done = check(path)
    assert done.returncode == 1
    assert f"[{code}]" in done.stderr


@pytest.mark.parametrize(
    ("changes", "count", "rows"),
    [
        pytest.param("r{0}:tanh\n", 40_000, 40_000, marks=pytest.mark.slow),
        ("drop r{0}\n", 10_000, 0),
        pytest.param("drop r{0}\n", 40_000, 0, marks=pytest.mark.slow),
        pytest.param("x{0} after r{0}:abs\n", 30_000, 70_000, marks=pytest.mark.slow),
        pytest.param("let v{0}=1\n", 40_000, 40_000, marks=pytest.mark.slow),
    ],
)
def test_large_variants_of_large_nets_are_checked_in_time(
    changes: str, count: int, rows: int, tmp_path: Path
) -> None:
    changed = "".join(changes.format(i) for i in range(count))
    last = "last after i: abs\n" if "drop" in changes else ""
    text = f"net a from b {{\n{changed}{last}}}"
    of = count if "drop" in changes else 40_000
    done = check(write(tmp_path, {"a.net": text, "b.net": base(of)}))
    assert done.returncode == 0, done.stderr[:1000]
    assert f"{max(rows, 1):,} row" in done.stdout


@pytest.mark.parametrize("rows", [3_000, pytest.param(60_000, marks=pytest.mark.slow)])
def test_a_chain_of_variants_of_a_large_net_is_checked_in_time(tmp_path: Path, rows: int) -> None:
    texts = {f"f{i}.net": f"net f{i} from f{i + 1} {{ x{i} after i: abs }}" for i in range(98)}
    done = check(write(tmp_path, texts | {"f98.net": base(rows)}))
    assert done.returncode == 0, done.stderr[:1000]
    assert f"{rows + 98:,} rows" in done.stdout


def test_a_diamond_of_imports_is_read_once(tmp_path: Path) -> None:
    texts = {"a.net": "net a\n", "d.net": "block deep = relu\n"}
    for i in range(200):
        texts["a.net"] += f'import "b{i}.net"\n'
        texts[f"b{i}.net"] = f'import "d.net"\nblock b{i} = deep\n'
    texts["a.net"] += "input i 8x8x3\na: b0 | b199\n"
    done = check(write(tmp_path, texts))
    assert done.returncode == 0, done.stderr[:1000]
