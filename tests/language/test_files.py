from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from netspec import Net, SpecError, compile, load, loads
from netspec.language.diagnostics import Diagnostic
from netspec.language.limits import MAX_BYTES
from tests.helpers import codes, problems

NET = 'net mine\nimport "blocks.net"\ninput image 8x8x3\na: act\n'


def write(folder: Path, **texts: str) -> Path:
    """Write specs beside each other; the first is returned."""
    for name, text in texts.items():
        path = folder / f"{name}.net"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / f"{next(iter(texts))}.net"


def refused(path: Path) -> list[Diagnostic]:
    with pytest.raises(SpecError) as caught:
        load(path)
    return caught.value.diagnostics


def ops(net: Net) -> list[str]:
    return [stage.op.name for stage in net.graph.stages()][1:]


# ---------------------------------------------------------------------------------------- imports


def test_an_import_brings_the_blocks_of_a_file(tmp_path: Path) -> None:
    assert ops(load(write(tmp_path, mine=NET, blocks="block act = relu | abs\n"))) == [
        "relu",
        "abs",
    ]


def test_blocks_keep_the_names_of_their_file(tmp_path: Path) -> None:
    blocks = """
let n = 5
default conv pad=half
block inner = conv 3x3, n
block act = inner
"""
    mine = NET.replace("input", "let n = 9\nblock inner = fc n\ninput")
    with pytest.raises(SpecError, match="NS110"):
        load(write(tmp_path, mine=mine, blocks=blocks))
    mine = NET.replace("input", "let n = 9\ndefault conv pad=0\ninput") + "b: conv 3x3, n\n"
    net = load(write(tmp_path, mine=mine, blocks=blocks))
    assert net.graph.stage("a").shape == (8, 8, 5)
    assert net.graph.stage("b").shape == (6, 6, 9)


def test_constants_are_not_imported(tmp_path: Path) -> None:
    mine = NET + "b: fc n\n"
    path = write(tmp_path, mine=mine, blocks="let n = 5\nblock act = relu\n")
    assert [d.code for d in refused(path)] == ["NS113"]


def test_blocks_of_an_import_are_not_passed_on(tmp_path: Path) -> None:
    write(tmp_path, more="block deep = abs\n")
    path = write(tmp_path, mine=NET, blocks='import "more.net"\nblock act = deep\n')
    assert ops(load(path)) == ["abs"]
    write(tmp_path, mine=NET + "b: deep\n")
    assert [d.code for d in refused(path)] == ["NS112"]


def test_bundled_specs_can_be_imported_from() -> None:
    text = 'net n\nimport "googlenet.net"\ninput i 28x28x192\na: inception 64, 96, 128, 16, 32, 32'
    assert loads(text).graph.outputs == ["a.concat"]


def test_a_path_is_relative_to_the_file_that_asks(tmp_path: Path) -> None:
    write(tmp_path, **{"sub/deeper/last": "block last = tanh\n", "last": "block last = abs\n"})
    write(tmp_path, **{"sub/middle": 'import "deeper/last.net"\nblock act = last\n'})
    path = write(tmp_path, mine=NET.replace("blocks.net", "sub/middle.net"))
    assert ops(load(path)) == ["tanh"]


def test_two_files_that_import_a_third_read_it_once(tmp_path: Path) -> None:
    write(tmp_path, b='import "d.net"\nblock act = deep\n', d="block deep = tanh\n")
    write(tmp_path, c='import "d.net"\nblock other = deep\n')
    path = write(tmp_path, a=NET.replace('"blocks.net"', '"b.net"\nimport "c.net"') + "b: other\n")
    assert ops(load(path)) == ["tanh", "tanh"]
    write(tmp_path, d="block deep = cnov\n")
    assert [d.code for d in refused(path)] == ["NS112"]


def test_an_import_brings_no_second_block_of_one_name(tmp_path: Path) -> None:
    path = write(tmp_path, mine=NET + "block act = abs\n", blocks="block act = relu\n")
    (error,) = refused(path)
    assert (error.code, error.span.line) == ("NS110", 2)
    assert error.notes[0].message == "first defined on line 5"


def test_a_file_without_blocks_is_nothing_to_import(tmp_path: Path) -> None:
    codes = [d.code for d in refused(write(tmp_path, mine=NET, blocks="let n = 3\n"))]
    assert codes[0] == "NS012"


def test_a_mistake_in_an_import_is_told_where_it_is(tmp_path: Path) -> None:
    (error,) = refused(write(tmp_path, mine=NET, blocks="block act = relu relu relu\n"))
    assert (error.code, error.span.source.name) == ("NS101", str(tmp_path / "blocks.net"))


def test_what_an_unreadable_import_would_define_is_not_missed() -> None:
    text = 'net n\nimport "nothing.net"\ninput i 8x8x3\na: act 3, w\nb: conv 1x1, w'
    assert codes(text) == ["NS001"]


def test_settings_do_not_reach_into_imports(tmp_path: Path) -> None:
    path = write(tmp_path, mine=NET, blocks="net other(n=3)\nblock act = fc n\n")
    with pytest.raises(SpecError, match="NS120"):
        load(path, n=5)
    assert load(path).graph.stage("a").shape == (3,)


# ---------------------------------------------------------------------------------------- circles


@pytest.mark.parametrize(
    "texts",
    [
        {"a": 'import "a.net"\nblock act = relu\n'},
        {"a": 'import "b.net"\n', "b": 'import "a.net"\nblock act = relu\n'},
        {"a": 'import "b.net"\n', "b": 'import "c.net"\n', "c": 'import "a.net"\n'},
        {"a": "net a from a\n"},
        {"a": "net a from b\n", "b": "net b from a\n"},
        {"a": "net a from b\n", "b": "net b from c\n", "c": "net c from a\n"},
        {"a": "net a from b\n", "b": 'net b\nimport "c.net"\ninput i 8x8x3\nr: relu\n',
         "c": "net c from a\n"},
    ],
)  # fmt: skip
def test_files_cannot_read_each_other_in_a_circle(texts: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "a.net").touch()
    texts = {n: t if t.startswith("net") else f"net {n}\n{t}" for n, t in texts.items()}
    errors = refused(write(tmp_path, **texts))
    circles = [d for d in errors if d.code == "NS010"]
    assert len(circles) == 1
    assert " -> " in circles[0].message


def test_a_circle_through_a_link_is_a_circle(tmp_path: Path) -> None:
    path = write(tmp_path, a='net a\nimport "link.net"\ninput i 8x8x3\nr: relu\n')
    (tmp_path / "link.net").symlink_to("a.net")
    assert [d.code for d in refused(path)] == ["NS010"]


# --------------------------------------------------------------------------------- outside and in


@pytest.mark.parametrize(
    "name",
    ["../blocks.net", "sub/../../blocks.net", "/etc/hostname", "{folder}/blocks.net", "out.net"],
)
def test_files_outside_the_folder_are_out_of_reach(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "home"
    (folder / "sub").mkdir(parents=True)
    write(tmp_path, blocks="block act = relu\n")
    (folder / "out.net").symlink_to(tmp_path / "blocks.net")
    text = NET.replace("blocks.net", name.format(folder=tmp_path))
    (error,) = refused(write(folder, mine=text))
    assert error.code == "NS011"
    assert "outside the folder" in error.message


def test_a_way_back_into_the_folder_is_inside(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    text = NET.replace("blocks.net", "sub/../blocks.net")
    assert ops(load(write(tmp_path, mine=text, blocks="block act = relu\n"))) == ["relu"]


def test_text_reads_bundled_specs_and_no_file(tmp_path: Path) -> None:
    write(tmp_path, blocks="block act = relu\n")
    assert codes(NET) == ["NS001"]
    assert codes(NET.replace("blocks.net", str(tmp_path / "blocks.net"))) == ["NS011"]
    (error,) = problems('net n from "../alexnet.net"')
    assert (error.code, error.help) == ("NS001", "the bundled spec is `alexnet`, without a folder")


# ------------------------------------------------------------------------------ files of all kinds


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"block act = relu \xff", "NS002"),
        (b"block act = relu \0", "NS003"),
        (b"#" * (MAX_BYTES + 1), "NS004"),
        (b"\xff\xfe" * 1000, "NS002"),
    ],
)
def test_a_file_that_is_no_text_is_told_with_the_line_that_asks(
    data: bytes, code: str, tmp_path: Path
) -> None:
    path = write(tmp_path, mine=NET)
    (tmp_path / "blocks.net").write_bytes(data)
    (error,) = refused(path)
    assert error.code == code
    assert error.notes[-1].message == f"read from {path}, line 2"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    path = write(tmp_path, mine=NET)
    (tmp_path / "blocks.net").mkdir()
    (error,) = refused(path)
    assert (error.code, error.span.text) == ("NS001", '"blocks.net"')
    assert "it is a directory" in error.message


@pytest.mark.parametrize("name", ["x" * 5000, "", ".", " ", "a/b/c", "~", "*", "blocks.net/x"])
def test_a_name_that_is_no_file_is_told(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, mine=NET.replace("blocks.net", name), blocks="block act = relu\n")
    (error,) = refused(path)
    assert (error.code, error.span.line) == ("NS001", 2)


def test_files_are_counted_together(tmp_path: Path) -> None:
    half = "block {} = relu\n" + "#" * (MAX_BYTES // 2)
    imports = "".join(f'import "b{i}.net"\n' for i in range(3))
    text = f"net mine\n{imports}input i 8x8x3\na: b0\n"
    path = write(tmp_path, mine=text, **{f"b{i}": half.format(f"b{i}") for i in range(3)})
    assert [d.code for d in refused(path)] == ["NS004"]


# ---------------------------------------------------------------------------------------- keeping


def test_a_model_is_read_back_when_its_files_are_gone(tmp_path: Path) -> None:
    write(tmp_path, base='net base\nimport "blocks.net"\ninput image 8x8x3\na: act 4\nb: fc 3\n')
    write(tmp_path, blocks="block act(n) = conv 3x3, n | relu\n")
    path = write(tmp_path, mine="net mine(k=2) from base {\nb: fc k\n}\n")
    model = compile(load(path, k=5), seed=1)
    pickled = pickle.dumps(model)
    for name in ("base", "blocks", "mine"):
        (tmp_path / f"{name}.net").unlink()
    again = pickle.loads(pickled)
    image = torch.rand(2, 3, 8, 8)
    assert torch.equal(model(image), again(image))
    assert again(image).shape == (2, 5)


def test_a_net_knows_the_files_that_it_is_made_of(tmp_path: Path) -> None:
    write(tmp_path, base=NET.replace("mine", "base"), blocks="block act = relu\n")
    net = load(write(tmp_path, mine="net mine from base\n"))
    assert sorted(Path(s.name).name for s in net.files.values()) == ["base.net", "blocks.net"]


@pytest.mark.parametrize(
    ("text", "is_for_imports"),
    [
        ("block a = relu\n", True),
        ("let k = 3\nblock a = conv kxk, 8\ndefault conv pad=half\n", True),
        ("block a = relu\ninput image 8x8x3\nb: a\n", False),
        ("b: relu\n", False),
        ("block a = relu\nb relu relu\n", False),  # of which a row may be lost
    ],
)
def test_a_file_of_definitions_is_not_told_to_be_a_net(text: str, is_for_imports: bool) -> None:
    error = next(d for d in problems(text) if d.code == "NS008")
    net = 'begin with a line such as: net lenet5 "its title"'
    imports = f"a file of definitions is for imports: check a net that imports it, or {net}"
    assert error.help == (imports if is_for_imports else net)
