"""docs/kernels.md has every operator, and its tables are current."""

from __future__ import annotations

import re
from pathlib import Path
from runpy import run_path

import torch

from netspec.kernels import operators  # noqa: F401 (registers torch.ops.netspec)
from tests.kernels.helpers import DEVICE

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "kernels.md").read_text(encoding="utf-8")


def test_the_first_example_writes_its_slice_of_the_concatenation() -> None:
    """As the page has it, but for one image, where the kernels run here, and without bfloat16,
    which the interpreter does not multiply."""
    code = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    code = code.replace('"cuda"', f'"{DEVICE.type}"').replace("bfloat16", "float16")
    code = code.replace("(32, 28, 28", "(1, 28, 28")
    names: dict[str, torch.Tensor] = {}
    exec(code, names)
    written, x, w = names["joined"][..., 128:320], names["x"].double(), names["w"].double()
    exact = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), w.permute(0, 3, 1, 2), padding=1)
    exact = exact.relu().permute(0, 2, 3, 1)
    # Halves of sums of 1,152 products: 2^-11 of the largest, which is some 200.
    torch.testing.assert_close(written.double(), exact, rtol=2**-10, atol=0.1)


def test_every_operator_is_on_the_page() -> None:
    registered = {
        name.removeprefix("netspec::")
        for name in torch._C._dispatch_get_all_op_names()
        if name.startswith("netspec::")
    }
    assert len(registered) > 25
    for name in registered:
        stem = re.sub(r"(_relu)?(_out)?$", "", name)
        assert f"`{name}`" in PAGE or f"`{stem}`" in PAGE, name


def test_the_table_of_lower_bounds_is_current() -> None:
    assert run_path(str(DOCS / "kernels.py"))["bounds"]() in PAGE
