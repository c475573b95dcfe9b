"""What many tests need: a spec from a few lines, and the codes it is refused with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import cache
from typing import Any

import click
import pytest

from netspec import Net, SpecError, load, loads
from netspec.language.diagnostics import Diagnostic

ALIKE = {
    *("alexnet_one_column", "alexnet_six", "zfnet"),  # as alexnet
    *("alexnet_caffe", "caffenet", "alexnet_owt"),  # as alexnet
    *("vgg11_lrn", "vgg13", "vgg16_1", "vgg16_3", "vgg19"),  # as vgg11
    *("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),  # as vgg11 and resnet18
    *("inception_v2", "inception_v3_tf", "inception_v4"),  # as inception_v3
    "nin_imagenet",  # as nin_cifar10
    *("resnet34", "resnet50", "resnet50_keras", "resnet101", "resnet152"),  # as resnet18
    "squeezenet1_0",  # as squeezenet1_1
    *("mobilenet_v1", "efficientnet_lite0"),  # as mobilenet_v2
}
"""Bundled nets that are built as others are, which stand for them in the default run."""


SYMBOLIC = {"inception_module", "inception_naive"}
"""Bundled nets with sizes that are symbols; listed, as finding them would parse all nets."""


def subcommands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield all commands by what is typed, such as ``see filters``, also those inside groups."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        typed = f"{path} {name}".strip()
        if isinstance(command, click.Group):
            yield from subcommands(command, typed)
        else:
            yield typed, command


@cache
def loaded(name: str, **settings: object) -> Net:
    """Return a bundled net, which each process parses once: nothing changes a net."""
    return load(name, **settings)  # type: ignore[arg-type]


HEADER = "net example\ninput image 8x8x3\n"


def some_by_default(names: Iterable[str], *, but: Collection[str] = ()) -> list[Any]:
    """Return the names as parameters of a test, those of ``ALIKE`` and ``but`` marked slow."""
    late = ALIKE | set(but)
    return [pytest.param(n, marks=pytest.mark.slow) if n in late else n for n in names]


def first_by_default(samples: Iterable[Any]) -> list[Any]:
    """Return samples as parameters of a test, all but the first marked slow."""
    first, *others = (s if isinstance(s, tuple) else (s,) for s in samples)
    return [first, *(pytest.param(*other, marks=pytest.mark.slow) for other in others)]


def load_rows(rows: str, header: str = HEADER, **settings: object) -> Net:
    return loads(header + rows, "example.net", **settings)  # type: ignore[arg-type]


def problems(text: str, **settings: object) -> list[Diagnostic]:
    """The diagnostics of a spec; none if it is fine."""
    try:
        loads(text, "example.net", **settings)  # type: ignore[arg-type]
    except SpecError as error:
        return error.diagnostics
    return []


def codes(text: str, **settings: object) -> list[str]:
    return [d.code for d in problems(text, **settings)]


def codes_of_rows(rows: str, header: str = HEADER, **settings: object) -> list[str]:
    return codes(header + rows, **settings)
