"""Each family explains the parameters of its kernels, once: in its package, or the file it is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages
from types import ModuleType
from typing import Any

import pytest

from netspec import kernels


def launched() -> Iterator[tuple[str, Any]]:
    """Every kernel that is launched, and its family: not the functions that kernels call."""
    for info in walk_packages(kernels.__path__, "netspec.kernels."):
        module = import_module(info.name)
        for function in vars(module).values():
            names = getattr(function, "arg_names", ())
            if (
                names
                and function.fn.__module__ == info.name
                and any(name.endswith("_ptr") for name in names)
                and re.search(r"program_id\(|= place\(", inspect.getsource(function.fn))
            ):
                yield ".".join(info.name.split(".")[:3]), function


def explained(family: ModuleType) -> set[str]:
    """The names at the left of a docstring's indented lines; ``a_0 ... a_3`` is a row of them."""
    names: set[str] = set()
    for line in (family.__doc__ or "").splitlines():
        left, *_ = re.split(r"  +", line[4:]) if line.startswith("    ") else [""]
        if rows := re.fullmatch(r"(\w+_)0(\w*) \.\.\. \w+", left):
            names |= {f"{rows[1]}{i}{rows[2]}" for i in range(4)}
        else:
            names |= set(left.split(", "))
    return names


KERNELS = {f"{family}.{kernel.__name__}": (family, kernel) for family, kernel in launched()}


def test_every_kernel_is_found() -> None:
    assert len(KERNELS) == 31
    assert {family for family, _ in KERNELS.values()} == {
        f"netspec.kernels.{name}" for name in ("conv", "fc", "lrn", "pool", "sums")
    }


@pytest.mark.parametrize("name", KERNELS)
def test_the_family_explains_every_parameter(name: str) -> None:
    family, kernel = KERNELS[name]
    missing = set(kernel.arg_names) - explained(import_module(family))
    assert not missing, f"the docstring of {family} does not explain {', '.join(sorted(missing))}"
