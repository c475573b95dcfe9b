"""All that the commands do, from Python; a test runs it.  ``python docs/from_python.py`` prints it.

docs/python.md explains the functions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import netspec

DIGIT = Path(__file__).parent / "images" / "digit.png"

NET = """net small "a net of one filter bank"
input image 8x8x1
C1: conv 3x3, 4 | relu -> 6x6x4
S2: maxpool 2x2/2
F3: fc 10 | softmax
train {
    prepare   range low=0, high=1
    loss      cross_entropy
    optimizer sgd lr=0.1, momentum=0.9
    batch     64
    epochs    2
}
"""


def results(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield each command with the result of its function; files are written into a folder."""
    spec = folder / "small.net"
    spec.write_text(NET)

    # specs
    yield "netspec check small.net", netspec.check(spec)
    net = netspec.load(spec)
    yield "netspec summary small.net", net
    yield "netspec summary small.net --expand", net.rows.expanded()
    yield "netspec summary alexnet --columns", netspec.load("alexnet").exchanges()
    yield "netspec document vgg16_3", netspec.document("vgg16_3")
    yield "netspec diff vgg16_3 vgg16_1", netspec.diff("vgg16_3", "vgg16_1")
    yield "netspec draw small.net -o small.dot", netspec.draw(net, folder / "small.dot")
    yield "netspec fmt small.net", netspec.fmt(spec)
    yield "netspec explain NS301", netspec.explain("NS301")
    yield "netspec ops conv", netspec.ops("conv")

    # models
    model = netspec.compile("lenet5", weights="digits")
    yield "netspec compile lenet5 --weights digits", model
    yield "its outputs against float64", netspec.verify(model)
    artifact = netspec.save(model, folder / "lenet5.netspec")
    yield "netspec compile lenet5 --weights digits -o lenet5.netspec", artifact
    onnx = netspec.save("lenet5", folder / "lenet5.onnx", weights="digits")
    yield "netspec compile lenet5 --weights digits -o lenet5.onnx", onnx
    classes = netspec.classify(artifact.path, DIGIT, top=3, expect=artifact.digest)
    yield "netspec run lenet5.netspec digit.png --top 3", classes
    yield "netspec see filters lenet5.netspec", netspec.see.filters(artifact.path)
    occlusion = netspec.see.occlusion(artifact.path, DIGIT)
    yield "netspec see occlusion lenet5.netspec digit.png", occlusion
    projection = netspec.see.projection(artifact.path, DIGIT)
    yield "netspec see projection lenet5.netspec digit.png", projection
    yield "netspec trace lenet5 C1", netspec.trace("lenet5", "C1", rounds=1)

    # training
    run = netspec.train(net, "digits:8", folder / "run", seed=1)
    yield "netspec train small.net --data digits:8 -o run --seed 1", run
    yield "netspec train --resume run", netspec.resume(run.run)
    yield "netspec eval run", netspec.evaluate(run.run)
    yield "netspec see curves run", netspec.see.curves(run.run)
    yield "netspec see confusion run", netspec.see.confusion(run.run)
    yield (
        "netspec report run --sections curves,table",
        netspec.report(run.run, sections=["curves", "table"]),
    )
    yield "netspec see top9 run", netspec.see.top9(run.run)
    yield "netspec see neighbours run --queries 0", netspec.see.neighbours(run.run, queries=[0])
    codes = netspec.see.codes(run.run, bits=16)
    codes.index.save(folder / "codes.safetensors")
    yield "netspec see codes run --bits 16 --index codes.safetensors", codes
    yield (
        "netspec see search run digit.png --index codes.safetensors",
        netspec.see.search(run.run, DIGIT, index=folder / "codes.safetensors"),
    )
    shards = netspec.pack("digits:8", folder / "shards", size=8)
    yield "netspec pack digits:8 -o shards --size 8", shards
    yield "netspec weights --list", netspec.families()
    yield "netspec eval run --data shards:shards", netspec.evaluate(run.run, shards.data)

    # measuring
    yield "netspec bench small.net --against eager", netspec.bench(net, against=["eager"], rounds=1)
    yield "netspec bench small.net --layers", netspec.bench_layers(net, rounds=1)
    comparison = netspec.compare("tencrop", "digits", folder / "compared", seeds=1, epochs=1)
    yield "netspec compare tencrop --data digits -o compared", comparison


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        for command, result in results(Path(temporary)):
            print(f"$ {command}\n{result}\n")
