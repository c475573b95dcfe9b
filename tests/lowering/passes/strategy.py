"""Random nets as the text of specs, so that a net that fails can be read and run again.

Every operator of the language can stand in one, a new one as its example has it.  What passes look
for is drawn more often than chance would have it: a convolution with what goes behind it, siblings,
pools beside ReLU and LRN, concatenations in others.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from hypothesis import strategies as st

from netspec.ir.ops import OPERATORS
from netspec.ir.shapes import Pair, Shape, ShapeError, slide
from tests.ir.ops.helpers import sample

CODES = "codes signs 2x3 {\n    XX. .X. X.X\n    .X. XXX ..X\n}"
TABLE_NAMES = {1: "one", 2: "two", 3: "three", 4: "four"}
TABLES = {
    1: "connect one {\n    XXX\n}",
    2: "connect two {\n    XX.\n    .XX\n}",
    3: "connect three {\n    X.X\n    XX.\n    .XX\n}",
    4: "connect four {\n    X..\n    XX.\n    .X.\n    .XX\n}",
}
T = TypeVar("T")

OWN = {
    *("conv", "local", "fc", "rbf", "add", "concat", "mul", "flatten"),
    *("maxpool", "avgpool", "subsample", "lrn", "lcn", "bn", "ln", "gn", "dropout"),
}
"""Operators that are drawn with attributes of their own, or beside others."""

OTHERS = [kind for word, kind in OPERATORS.items() if word not in OWN]

MOST_ROWS, MOST_CHANNELS, MOST_INPUTS_OF_FC = 7, 12, 300


@st.composite
def specs(draw: st.DrawFn, *, training: bool = False) -> str:
    """The text of a valid net.

    With ``training`` dropout drops nothing, and an activation does not depend on what was drawn.
    """
    return _Writer(draw, training=training).net()


@dataclass
class _Writer:
    draw: st.DrawFn
    training: bool
    lines: list[str] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    """The size of each row and input, by label."""
    unused: dict[str, None] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)

    # ------------------------------------------------------------------------------------- rows

    def net(self) -> str:
        for number in range(self.whole(1, 2)):
            side = (self.whole(4, 9), self.whole(4, 9))
            shape = Shape((*side, self.whole(1, 4)))
            self.lines.append(f"input x{number} {shape}")
            self.shapes[f"x{number}"] = shape
            self.unused[f"x{number}"] = None
        for number in range(self.whole(1, MOST_ROWS)):
            self._row(f"r{number}")
        for number in range(self.whole(0, 2)):
            self._head(f"h{number}")
        labels = [label for label in self.shapes if label.startswith("r")]
        returned = dict.fromkeys(n for n in labels if n in self.unused)
        if not returned or self.chance(4):
            returned[self.one(labels)] = None
        for label in [label for label in self.unused if label not in labels]:
            returned[label] = None  # an input that nothing reads is returned as it is
        self.lines.append(f"output {', '.join(returned)}")
        return "\n".join(["net drawn", *self.lines, *sorted(self.tables)]) + "\n"

    def _row(self, label: str) -> None:
        source = self._source()
        read, word, shape = self._joined(source) if self.chance(3) else ([source], "", None)
        is_image = not word and source.startswith("x")
        text, shape_out = self.pipe(shape or self.shapes[source], first=word, is_image=is_image)
        for name in read:
            self.unused.pop(name, None)
        self.lines.append(f"{label} from {', '.join(read)}: {text}")
        self.shapes[label] = shape_out
        self.unused[label] = None

    def _head(self, name: str) -> None:
        source = self.one([label for label in self.shapes if label.startswith("r")])
        text, _ = self.pipe(self.shapes[source])
        self.unused.pop(source, None)
        self.lines.append(f"head {name} from {source}, weight=0.3: {text}")

    def _source(self) -> str:
        """A label to read: most often one that nothing reads yet."""
        waiting = list(self.unused)
        return self.one(waiting if waiting and not self.chance(3) else list(self.shapes))

    def _joined(self, source: str) -> tuple[list[str], str, Shape]:
        """A label with others of its height and width, perhaps itself again, and their join."""
        size = self.shapes[source]
        able = [n for n, s in self.shapes.items() if len(s) == len(size) and s[:-1] == size[:-1]]
        read = [source, *self.draw(st.lists(st.sampled_from(able), min_size=1, max_size=2))]
        sizes = [self.shapes[name] for name in read]
        channels = sum(shape.channels for shape in sizes)
        if len(set(sizes)) == 1 and (channels > MOST_CHANNELS or self.chance(2)):
            return read, self.one(["add", "add", "mul"]), size
        if channels > MOST_CHANNELS:
            return [source], "identity", size
        return read, "concat", Shape((*size[:-1], channels))

    # ------------------------------------------------------------------------------------ pipes

    def pipe(
        self, shape: Shape, *, first: str = "", is_image: bool = False, depth: int = 0
    ) -> tuple[str, Shape]:
        """Stages that fit one behind the other, and the size of the last one's output."""
        parts = [first] if first else []
        for position in range(self.whole(0 if first else 1, 2)):
            if is_image and position == 0 and self.chance(8):
                # Nothing lies before it: a map that rounding alone keeps from being constant would
                # come out as noise.
                parts.append("lcn 3x3, sigma=1.5")
                continue
            text, shape = self.motif(shape, depth)
            parts.append(text)
        return " | ".join(parts), shape

    def motif(self, shape: Shape, depth: int) -> tuple[str, Shape]:
        """A few stages that passes may look at together."""
        if not shape.is_map:
            return self._on_vector(shape)
        kinds = [self._conv, self._conv, self._before_pool, self._before_pool, self._pool]
        kinds.append(self._one)
        if depth < 2:
            kinds += [self._branches, self._branches]
        if shape.elements <= MOST_INPUTS_OF_FC and self.chance(9):
            kinds = [self._to_vector]
        return self.one(kinds)(shape, depth)

    def _conv(self, shape: Shape, depth: int) -> tuple[str, Shape]:
        count = self.whole(1, 4)
        options, size = "", (shape[0], shape[1])
        way = self.one(["1x1", "1x1", "3x3", "3x3", "drawn", "groups", "table", "local"])
        kernel, word = way, "conv"
        if way == "3x3":
            options = ", pad=1"
        elif way != "1x1":
            kernel, options, size = self._window(shape, clips=False, dilates=True)
        if way == "groups" and shape.channels % 2 == 0:
            count, options = 4, f"{options}, groups=2"
        elif way == "table" and shape.channels in TABLES:
            count, options = 3, f"{options}, connect={TABLE_NAMES[shape.channels]}"
            self.tables.add(TABLES[shape.channels])
        elif way == "local":
            word = "local"
        if self.chance(4):
            options += ", bias=off"
        act = self.one(["relu6", "silu", "hardswish", "leaky_relu slope=0.2", "tanh", "gelu"])
        behind = self.one(["", " | relu", " | relu", self.bn(), f"{self.bn()} | relu"])
        behind = f"{self.one(['', self.bn()])} | {act}" if self.chance(5) else behind
        return f"{word} {kernel}, {count}{options}{behind}", Shape((*size, count))

    def _before_pool(self, shape: Shape, depth: int) -> tuple[str, Shape]:
        """What can change places with a pool, or become one with it."""
        is_max = self.chance(2)
        kernel, options, size = self._window(shape, clips=True, dilates=True)
        pooled = Shape((*size, shape.channels))
        if is_max:
            before = self.one(["relu", "relu | relu", self.lrn(shape), f"relu | {self.lrn(shape)}"])
            return f"{before} | maxpool {kernel}{options}", pooled
        average = f"avgpool {kernel}{options}, count_pad={self.one(['on', 'off'])}"
        count = self.whole(1, 3)
        behind = self.one(["", " | relu", self.bn()])
        return f"{average} | conv 1x1, {count}{behind}", Shape((*size, count))

    def _pool(self, shape: Shape, depth: int) -> tuple[str, Shape]:
        words = {
            "maxpool": "",
            "avgpool": f", count_pad={self.one(['on', 'off'])}",
            "subsample": f", by={self.one(['mean', 'sum'])}",
        }
        word = self.one(list(words))
        kernel, options, size = self._window(shape, clips=True, dilates=word != "subsample")
        behind = self.one(["", " | relu"])
        return f"{word} {kernel}{options}{words[word]}{behind}", Shape((*size, shape.channels))

    def _one(self, shape: Shape, depth: int = 0) -> tuple[str, Shape]:
        """Any other operator, as its example has it, where that fits."""
        fitting = {"tanh": shape, self.dropout(): shape, f"bn eps={self.eps()}": shape}
        fitting |= {f"ln eps={self.eps()}": shape, f"gn 1, eps={self.eps()}": shape}
        if shape.channels % 2 == 0:
            fitting[f"gn 2, eps={self.eps()}"] = shape
        if shape.is_map:
            fitting[self.lrn(shape)] = shape
        for kind in OTHERS:
            if not (self.training and kind.draws):
                with suppress(ShapeError):
                    fitting[kind.example] = sample(kind)[0].shape([shape])
        word = self.one(list(fitting))
        return word, fitting[word]

    def _branches(self, shape: Shape, depth: int) -> tuple[str, Shape]:
        """Branches that keep height and width, most of them convolutions of one geometry."""
        if self.chance(3):
            inside = [self.one(["identity", f"conv 1x1, {shape.channels}", "relu", "tanh"])
                      for _ in range(self.whole(2, 3))]  # fmt: skip
            if self.chance(3):
                squeeze = self.one(["conv 1x1, 2 | relu | ", ""])
                factor = self.one(["sigmoid", "hardsigmoid"])
                inside[1:] = [f"gap | {squeeze}conv 1x1, {shape.channels} | {factor}"]
                return f"mul {{ {'; '.join(inside)} }}", shape
            return f"add {{ {'; '.join(inside)} }}", shape
        parts, channels = [], 0
        for _ in range(self.whole(2, 3)):
            if self.chance(5) and depth == 0:
                text, shape_out = self._branches(shape, depth + 1)
            else:
                kernel = self.one(["1x1, {}", "1x1, {}", "1x1, {}", "3x3, {}, pad=1"])
                count = self.whole(1, 3)
                behind = self.one(["", " | relu", " | relu", self.bn(), f"{self.bn()} | relu"])
                text, shape_out = f"conv {kernel.format(count)}{behind}", Shape((*shape[:2], count))
                pool = self.one(["identity", "relu", "maxpool 3x3/1, pad=1", "", "", ""])
                pool = pool or self.one(["", "avgpool 3x3/1, pad=1, count_pad=off"])
                text = f"{pool} | {text}" if pool else text
            parts.append(text)
            channels += shape_out.channels
        return f"concat {{ {'; '.join(parts)} }}", Shape((*shape[:2], channels))

    def _to_vector(self, shape: Shape, depth: int) -> tuple[str, Shape]:
        count = self.whole(1, 5)
        flat = self.one(["", "flatten | ", "flatten | ", "flatten | flatten | "])
        behind = self.one(["", " | relu", f" | {self.dropout()}", f"{self.bn()} | relu"])
        if self.chance(4):
            return "flatten", Shape((shape.elements,))
        return f"{flat}fc {count}{behind}", Shape((count,))

    def _on_vector(self, shape: Shape) -> tuple[str, Shape]:
        if self.chance(6):
            self.tables.add(CODES)
            return "fc 6 | tanh | rbf signs", Shape((3,))
        count = self.whole(1, 5)
        text = self.one(["", "", "fc {}", "fc {} | relu", "fc {}, bias=off", "flatten"])
        if not text:
            return self._one(shape)
        return text.format(count), shape if text == "flatten" else Shape((count,))

    # ------------------------------------------------------------------------------ attributes

    def bn(self) -> str:
        return f" | bn eps={self.eps()}"

    def eps(self) -> str:
        """Large enough for a channel of one value to leave rounding where it is."""
        return self.one(["0.1", "0.5"])

    def dropout(self) -> str:
        rate = 0 if self.training else self.one([0.5, 0.75, 0.2])
        return f"dropout {rate}, scale={self.one(['test', 'train'])}"

    def lrn(self, shape: Shape) -> str:
        options = ", groups=2" if shape.channels % 2 == 0 and self.chance(3) else ""
        return f"lrn {self.one([1, 3, 5])}, k=1, alpha=0.2{options}"

    def _window(self, shape: Shape, *, clips: bool, dilates: bool) -> tuple[str, str, Pair]:
        """A kernel with its stride, padding, dilation and rounding, and the size it leaves."""
        kernel = (self.whole(1, 3), self.whole(1, 3))
        stride = self.one([2, 1, 2])
        pad = [self.whole(0, taps - 1) for taps in kernel for _ in range(2)]
        rounding = self.one(["floor", "ceil"])
        dilation = self.whole(1, 2) if dilates and not any(pad) else 1
        try:
            height, width = (
                slide(
                    axis,
                    shape[axis],
                    kernel[axis],
                    stride=stride,
                    dilation=dilation,
                    padding=(pad[2 * axis], pad[2 * axis + 1]),
                    rounding=rounding,
                    clip=clips,
                ).size_out
                for axis in (0, 1)
            )
        except ShapeError:
            return "1x1", "", (shape[0], shape[1])
        options = f", pad=({', '.join(map(str, pad))})" if any(pad) else ""
        options += f", dilation={dilation}" if dilation > 1 else ""
        options += f", round={rounding}" if rounding == "ceil" else ""
        return f"{kernel[0]}x{kernel[1]}/{stride}", options, (height, width)

    # ------------------------------------------------------------------------------------ draws

    def whole(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def chance(self, one_in: int) -> bool:
        return self.draw(st.integers(0, one_in - 1)) == 0

    def one(self, choices: list[T]) -> T:
        return self.draw(st.sampled_from(choices))
