"""A packed data set as text and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from netspec.data.packing import SPLITS, Packed
from netspec.ir.words import as_size, counted
from netspec.language.diagnostics import printable


def as_text(packed: Packed) -> str:
    """Return what ``netspec pack`` prints, without colours."""
    return "\n".join(lines(packed, lambda text, role: text))


def lines(packed: Packed, style: Callable[[str, str], str]) -> Iterator[str]:
    """Yield the images that were skipped, a line per split, and how to use the shards."""
    size = packed.manifest.size
    for split, of in as_json(packed)["splits"].items():
        for fault in of["faults"]:
            yield f"{style('note', 'note')}: skipped: {printable(fault)}"
        skipped = f", {counted(len(of['faults']), 'image')} skipped" if of["faults"] else ""
        yield (
            f"{split:<5}  {counted(of['images'], 'image')} of {size} x {size} pixels in "
            f"{counted(of['shards'], 'shard')}, {as_size(of['bytes'])}{skipped}"
        )
    yield f"train and test with --data {packed.data}"


def as_json(packed: Packed) -> dict[str, Any]:
    """Return what ``netspec pack --json`` prints."""
    splits = {}
    for split in SPLITS:
        shards = packed.shards(split)
        splits[split] = {
            "images": sum(shard.images for shard in shards),
            "shards": len(shards),
            "bytes": sum(shard.bytes for shard in shards),
            "faults": [fault for shard in shards for fault in shard.faults],
        }
    return {"folder": str(packed.folder), "size": packed.manifest.size, "splits": splits}
