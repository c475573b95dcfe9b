from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from typing import Any

import pytest
import torch

from netspec.pretrained.formats.common import Damaged
from netspec.pretrained.formats.pickles import IGNORED_OBJECT, Storage, described

STORAGE = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuK\6tQ"
HUGE = b"\x8a\x09" + (2**63).to_bytes(9, "little")
TENSOR = b"ctorch._utils\n_rebuild_tensor\n"


def value(content: bytes) -> Any:
    return described(io.BytesIO(content))[0]


@pytest.mark.parametrize(
    "content",
    [
        {"a": [1, -2, 3.5, None, True, False, "ü", 10**12, -(10**30)], "b": {}, "c": (), "d": (1,)},
        {"a": (1, 2), "b": (1, 2, 3), "c": (1, 2, 3, 4), "d": {"e": [[], [1]]}, 7: "x", "y": 300},
        OrderedDict(a=1, b=OrderedDict()),
    ],
)
def test_plain_values_are_those_of_pickle(content: Any) -> None:
    assert value(pickle.dumps(content, protocol=2)) == content


def test_objects_that_occur_twice_are_one() -> None:
    inner = [1]
    got = value(pickle.dumps([inner, inner], protocol=2))
    assert got[0] is got[1]


def test_a_list_may_contain_itself() -> None:
    content: list[Any] = []
    content.append(content)
    got = value(pickle.dumps(content, protocol=2))
    assert got[0] is got


def test_a_tensor_is_described() -> None:
    got, storages = described(
        io.BytesIO(b"\x80\2" + TENSOR + b"(" + STORAGE + b"K\1K\2K\2\x86K\2K\1\x86tR.")
    )
    assert (got.offset, got.shape, got.strides, got.dtype) == (1, (2, 2), (2, 1), torch.float32)
    assert got.storage == storages["0"] == Storage("0", torch.float32, 6)


def test_names_of_python_2_are_text() -> None:
    content = b"\x80\2}U\1aU\1bs."  # SHORT_BINSTRING
    assert value(content) == {"a": "b"}
    pairs = b"\x80\2ccollections\nOrderedDict\n]]U\1aK\1ea\x85R."
    assert value(pairs.replace(b"]]U\1aK\1ea", b"](](U\1aK\1ee")) == {"a": 1}


def test_keys_that_take_long_to_hash_are_not_hashed() -> None:
    content = b"K\1"
    for number in range(60):  # each is twice the one before
        content += b"q" + bytes([number]) + b"h" + bytes([number]) + b"\x86"
    assert value(b"\x80\2}" + content + b"K\1s.") == {}


def test_options_of_training_are_ignored() -> None:
    namespace = b"cargparse\nNamespace\n)\x81}X\1\0\0\0aK\1sb"
    assert value(b"\x80\2]" + namespace + b"a.") == [IGNORED_OBJECT]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\2cos\nsystem\nX\4\0\0\0true\x85R.", r"contains code \(os.system\), which is not"),
        (b"\x80\2cbuiltins\nbytearray\n\x8a\5\0\0\0\0\2\x85R.", r"code \(builtins.bytearray\)"),
        (b"\x80\2ctorch\nFloatTensor\n\x8a\5\0\0\0\0\2\x85R.", r"code \(torch.FloatTensor\)"),
        (b"\x80\2ctorch._utils\n_rebuild_sparse_tensor\n)R.", "tensors that are not dense"),
        (b"\x80\2cevil\nClass\n)\x81.", r"code \(evil.Class\)"),
        (b"\x80\2ca\x1b[2J\nb\n)R.", r"code \(a\\u001b\[2J.b\)"),
        (b"\x80\2(X\6\0\0\0modulecevil\nClass\nNNtQ.", r"code \(evil.Class\)"),
        (b"\x80\2" + STORAGE.replace(b"Float", b"QInt8") + b".", "values of the type torch.QInt8"),
        (b"\x80\2" + STORAGE.replace(b"K\6t", b"K\6(NK\1K\2tt") + b".", "views of others"),
        (b"\x80\2" + STORAGE + b"0" + STORAGE.replace(b"K\6", b"K\7") + b".", "operation POP"),
        (b"\x80\2]" + STORAGE + b"a" + STORAGE.replace(b"K\6", b"K\7") + b"a.", "0 in two ways"),
        (b"\x80\2X\xff\xff\xff\xffab.", "truncated or damaged"),
        (b"\x80\4\x95\x02\0\0\0\0\0\0\0K\1\x94.", "operation MEMOIZE"),
        (b"cos\nsystem\n(S'true'\ntR.", "operation STRING"),
        (b"\x80\2X\1\0\0\0\xff.", "damaged"),
        *[
            (b"\x80\2" + TENSOR + b"(" + STORAGE + rest + b"tR.", message)
            for rest, message in (
                (b"K\0K\7\x85K\1\x85", "a tensor claims 7 values, and 6 are stored for it"),
                (b"K\1K\6\x85K\1\x85", "claims 6 values"),
                (b"K\0K\7\x85K\0\x85", "claims 7 values"),
                (b"K\0J\xff\xff\xff\xff\x85K\1\x85", "damaged"),
                (b"K\0K\2\x85J\xff\xff\xff\xff\x85", "damaged"),
                (b"K\0K\2\x85K\1K\1\x86", "damaged"),
                *[
                    (part, "damaged")
                    for part in (
                        HUGE + b"K\0\x85K\1\x85",
                        b"K\0K\0" + HUGE + b"\x86K\1K\1\x86",
                        b"K\0K\1\x85" + HUGE + b"\x85",
                    )
                ],
                (b"K\0N\x85K\1\x85", "damaged"),
                (b"K\0(" + b"K\1" * 65 + b"t(" + b"K\1" * 65 + b"t", "65 dimensions"),
            )
        ],
        *[(b"\x80\2" + part, "damaged") for part in (b".", b"s.", b"R.", b"a.", b"t.", b"h\0.")],
        (b"\x80\2K\1K\2K\3s.", "damaged"),
        (b"\x80\2ccollections\nOrderedDict\n]]K\1aa\x85R.", "damaged"),
        (b"\x80\2K\1K\2R.", "damaged"),
        (b"\x80\2K\1Q.", "damaged"),
        (b"", "truncated or damaged"),
    ],
)
def test_other_content_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(Damaged, match=message):
        value(content)


def test_a_pickle_that_is_cut_anywhere_is_refused() -> None:
    content = b"\x80\2}X\1\0\0\0a" + TENSOR + b"(" + STORAGE + b"K\1K\2K\2\x86K\2K\1\x86tRs."
    assert [*value(content)] == ["a"]
    for cut in range(len(content)):
        with pytest.raises(Damaged):
            value(content[:cut])


@pytest.mark.parametrize(
    ("dtype", "count", "message"),
    [
        (b"float32", b"K\5", "damaged"),  # 5 bytes are not a whole number of values
        (b"float4_e2m1fn_x2", b"K\4", "a tensor of the type torch.float4_e2m1fn_x2"),
    ],
)
def test_bytes_that_are_not_values_are_refused(dtype: bytes, count: bytes, message: str) -> None:
    storage = STORAGE.replace(b"Float", b"Untyped").replace(b"K\6", count)
    function = TENSOR.replace(b"tensor", b"tensor_v3")
    rest = b"K\0K\1\x85K\1\x85\x89Nctorch\n" + dtype + b"\ntR."
    with pytest.raises(Damaged, match=message):
        value(b"\x80\2" + function + b"(" + storage + rest)
    aligned = b"(" + storage.replace(count, b"K\4") + rest.replace(dtype, b"float32")
    assert value(b"\x80\2" + function + aligned).dtype is torch.float32
