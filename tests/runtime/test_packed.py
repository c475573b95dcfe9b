from __future__ import annotations

import netspec


def test_the_largest_stage_is_packed_first() -> None:
    """So both its forms are in memory before other stages have grown."""
    model = netspec.compile("lenet5")
    sizes = [sum(t.nbytes for t in tensors.values()) for tensors in model.packed.tensors.values()]
    assert sizes[0] == max(sizes) > sum(sizes) / 2
