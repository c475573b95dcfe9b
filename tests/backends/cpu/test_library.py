"""The library: where it is missing, what fails, what lives how long."""

from __future__ import annotations

import gc
import weakref
from importlib import metadata
from pathlib import Path

import pytest
import torch

from netspec.backends.cpu.implementation import Call, run
from netspec.backends.cpu.onednn import library
from netspec.backends.cpu.onednn.layouts import any_layout, channels_last, rows, strided
from netspec.backends.cpu.onednn.library import NoImplementationError, OneDnnError, Status
from netspec.backends.cpu.onednn.primitives import (
    Argument,
    Memory,
    concatenation,
    convolution,
    launch,
    reorder,
    reordering,
)
from netspec.backends.cpu.scratch import ALIGNMENT, Scratch

F32 = torch.float32


def convolved(stride: tuple[int, int], size: int = 6) -> None:
    convolution(
        channels_last((1, 3, 8, 8), F32),
        any_layout((4, 3, 3, 3), F32),
        None,
        channels_last((1, 4, size, size), F32),
        stride=stride,
        dilation=(1, 1),
        before=(0, 0),
        after=(0, 0),
        steps=(),
    )


def test_mistakes_have_names() -> None:
    convolved((1, 1))
    with pytest.raises(NoImplementationError, match="does not accept these attributes"):
        convolved((1, 1), size=7)


def test_what_there_is_only_a_reference_for_is_refused() -> None:
    of_wider_maps = strided((2, 16, 5, 5), (32 * 25, 1, 32 * 5, 32), F32)
    with pytest.raises(NoImplementationError, match="slow reference"):
        convolution(
            of_wider_maps,
            any_layout((8, 16, 3, 3), F32),
            None,
            channels_last((2, 8, 3, 3), F32),
            stride=(1, 1),
            dilation=(1, 1),
            before=(0, 0),
            after=(0, 0),
            steps=(),
        )


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (None, "onednn-cpu-gomp is not installed"),
        ([], "onednn-cpu-gomp does not contain libdnnl.so.3"),
        (["broken"], "onednn-cpu-gomp cannot be loaded: "),
    ],
)
def test_it_says_why_it_is_not_there(
    files: list[str] | None, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class File:
        name = library.FILE

        def locate(self) -> Path:
            path = tmp_path / self.name
            path.write_bytes(b"no library")
            return path

    def listed(name: str) -> list[File]:
        if files is None:
            raise metadata.PackageNotFoundError
        return [File() for _ in files]

    monkeypatch.setattr(library.metadata, "files", listed)
    assert library._load.__wrapped__().startswith(said)


def test_layouts_are_compared_by_what_they_say() -> None:
    assert rows((4, 5), F32) == rows((4, 5), F32)
    assert rows((4, 5), F32) != rows((5, 4), F32)
    assert channels_last((2, 3, 4, 5), F32) != rows((2, 3, 4, 5), F32)
    assert channels_last((2, 3, 1, 1), F32) == rows((2, 3, 1, 1), F32)


def test_a_launch_holds_what_it_needs_and_lets_go_of_it() -> None:
    x, y = torch.rand(1, 2, 2, 3), torch.empty(1, 2, 2, 6)
    wanted = torch.cat([x, x], dim=-1)
    layout = channels_last((1, 3, 2, 2), F32)
    scratch = Scratch()
    memories = [
        (Argument.FIRST_OF_SOURCES, Memory(layout, x)),
        (Argument.FIRST_OF_SOURCES + 1, Memory(layout, x)),
        (Argument.DESTINATION, Memory(channels_last((1, 6, 2, 2), F32), y)),
    ]
    description = concatenation([layout, layout], channels_last((1, 6, 2, 2), F32))
    run = launch(description, memories, scratch)
    del description
    scratch.hand_out()
    alive = weakref.ref(memories[0][1])
    del memories, layout, x, scratch
    gc.collect()
    run()
    assert torch.equal(y, wanted)
    assert alive() is not None
    del run
    gc.collect()
    assert alive() is None


def test_reordering_there_and_back_is_exact() -> None:
    x = torch.randn(5, 3, 2, 4)
    plain, other = rows((5, 3, 2, 4), F32), channels_last((5, 3, 2, 4), F32)
    y, back = torch.empty(5, 2, 4, 3), torch.empty_like(x)
    reorder(x, plain, y, other)
    assert torch.equal(y, x.permute(0, 2, 3, 1))
    reorder(y, other, back, plain)
    assert torch.equal(back, x)


def test_steps_share_scratch_and_those_of_one_step_do_not_overlap() -> None:
    scratch = Scratch()
    places: dict[str, int] = {}
    for step, asked in enumerate(((100, 1), (ALIGNMENT,), ())):
        scratch.begin()
        for i, size in enumerate(asked):
            scratch.take(size, lambda place, name=f"{step}.{i}": places.__setitem__(name, place))
    scratch.hand_out()
    start = places["0.0"]
    assert places == {"0.0": start, "0.1": start + 2 * ALIGNMENT, "1.0": start}
    assert start % ALIGNMENT == 0
    assert scratch.size == 3 * ALIGNMENT


def test_a_launch_that_fails_is_reported_after_those_before_it() -> None:
    ran: list[int] = []
    calls: list[Call] = [lambda: ran.append(1), lambda: Status.RUNTIME_ERROR, lambda: ran.append(3)]
    with pytest.raises(OneDnnError, match=r"^primitive_execute: runtime error$"):
        run(calls)
    assert ran == [1]


def test_the_status_of_a_launch_is_that_of_the_library() -> None:
    x, y = torch.rand(2, 3), torch.empty(2, 3)
    layout = rows((2, 3), F32)
    copy = launch(
        reordering(layout, layout),
        [(Argument.SOURCE, Memory(layout, x)), (Argument.DESTINATION, Memory(layout, y))],
        Scratch(),
    )
    assert copy() == Status.SUCCESS
    assert torch.equal(x, y)
    function, (_, stream, *arguments) = copy.func, copy.args  # type: ignore[attr-defined]
    assert function(None, stream, *arguments) == Status.INVALID_ARGUMENTS
