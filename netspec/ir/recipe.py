"""The learning recipe of a net: the directives of ``train { ... }``, as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from netspec.ir.attributes import (
    COUNT,
    PAIR,
    POSITIVE,
    PROBABILITY,
    REAL,
    HasAttributes,
    choice,
    keyword,
    number,
    positional,
)
from netspec.ir.shapes import Pair

FILTER = choice("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
"""Pillow's filters; all except ``nearest`` widen when an image is reduced, which avoids
aliasing."""

FILTER_HELP = "how pixels are interpolated, also written `with bilinear`"


class RecipeStep(HasAttributes):
    """One step of a directive, such as ``crop 224``."""


# ------------------------------------------------------------ prepare: also before run and evaluate


@dataclass(frozen=True, kw_only=True)
class Shorter(RecipeStep):
    """Rescale an image so that its shorter side has this length.

    The longer side is ``long * size / short``, rounded to the nearest whole number (half to even),
    or down with ``round=floor``, as torchvision and timm do.  With ``shorter 256``, an image of
    640x427 becomes 384 pixels wide, or 383 with ``round=floor``.
    """

    name = "shorter"
    size: int = positional(COUNT, "pixels of the shorter side")
    filter: str = keyword(FILTER, FILTER_HELP, default="bicubic")
    round: str = keyword(
        choice("nearest", "floor"), "rounding of the longer side", default="nearest"
    )


@dataclass(frozen=True, kw_only=True)
class Resize(RecipeStep):
    """Rescale an image to this height and width."""

    name = "resize"
    size: Pair = positional(PAIR, "height and width in pixels")
    filter: str = keyword(FILTER, FILTER_HELP, default="bicubic")


@dataclass(frozen=True, kw_only=True)
class Center(RecipeStep):
    """Cut out the middle of an image; an odd margin is one pixel smaller above and on the left.

    With ``round=even``, half a margin is rounded to the even number, as torchvision does.
    """

    name = "center"
    size: Pair = positional(PAIR, "height and width in pixels")
    round: str = keyword(choice("floor", "even"), "rounding of half a margin", default="floor")


@dataclass(frozen=True, kw_only=True)
class Invert(RecipeStep):
    """Exchange black and white: y = 255 - x, for example for a net trained on white digits on
    black."""

    name = "invert"


@dataclass(frozen=True, kw_only=True)
class Order(RecipeStep):
    """Put the channels in this order, also for the steps after it (Caffe's nets use ``bgr``)."""

    name = "order"
    channels: str = positional(choice("rgb", "bgr"), "rgb, the order of an image, or bgr")


@dataclass(frozen=True, kw_only=True)
class Range(RecipeStep):
    """Map pixels linearly from 0..255 to low..high: y = low + x (high - low) / 255.

    LeNet-5 maps white to -0.1 and black to 1.175 (LeCun et al. 1998, section II.B).
    """

    name = "range"
    low: float = keyword(REAL, "the value of pixel 0")
    high: float = keyword(REAL, "the value of pixel 255")


@dataclass(frozen=True, kw_only=True)
class Subtract(RecipeStep):
    """Subtract the mean or median of the training set, per pixel position or per channel."""

    name = "subtract"
    what: str = positional(choice("mean", "median"), "what is subtracted")
    over: str = positional(choice("image", "channel"), "one per pixel position, or per channel")


@dataclass(frozen=True, kw_only=True)
class Numbers(RecipeStep):
    """A step with one number for all channels, or one per channel, in the order of the channels."""

    first: float = positional(REAL, "for the first channel, or for all")
    second: float | None = positional(REAL, "for the second channel", default=None)
    third: float | None = positional(REAL, "for the third channel", default=None)

    @property
    def numbers(self) -> tuple[float, ...]:
        """One number for all channels, or one per channel."""
        return tuple(n for n in (self.first, self.second, self.third) if n is not None)


@dataclass(frozen=True, kw_only=True)
class SubtractNumbers(Numbers):
    """Subtract a number, or one per channel, such as the means published with weights."""

    name = "subtract"


@dataclass(frozen=True, kw_only=True)
class Divide(Numbers):
    """Divide by a number, or by one per channel, such as the deviations published with weights."""

    name = "divide"

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        for name in ("first", "second", "third"):
            if getattr(self, name) == 0:
                yield "NS132", name, "division by 0"


# ----------------------------------------------------------------------- augment: while training


@dataclass(frozen=True, kw_only=True)
class Crop(RecipeStep):
    """Cut out a patch at a random position."""

    name = "crop"
    size: Pair = positional(PAIR, "height and width in pixels")


@dataclass(frozen=True, kw_only=True)
class Flip(RecipeStep):
    """Reflect an image left to right, with probability 1/2."""

    name = "flip"


@dataclass(frozen=True, kw_only=True)
class PrincipalComponents(RecipeStep):
    """Shift the colours along their principal components (AlexNet, section 4.1).

    The paper multiplies the eigenvalues by a Gaussian variable; the author's code multiplies their
    square roots, the standard deviations.  So ``of`` is required.  The eigenvalues are those of
    colours in the range 0 (black) to 1 (white).
    """

    name = "pca"
    deviation: float = positional(number(0), "standard deviation of the Gaussian variable")
    of: str = keyword(choice("eigenvalue", "deviation"), "what the variable multiplies")


@dataclass(frozen=True, kw_only=True)
class Rescale(RecipeStep):
    """Rescale an image so that its shorter side has a random length (VGG, section 3.1)."""

    name = "rescale"
    low: int = positional(COUNT, "smallest length in pixels")
    high: int = positional(COUNT, "largest length in pixels")

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        if self.low > self.high:
            yield "NS132", "high", f"{self.high} is less than {self.low}"


# ---------------------------------------------------------------------------------- loss and rest


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(RecipeStep):
    """Cross-entropy: minus the logarithm of the probability of the right class."""

    name = "cross_entropy"


@dataclass(frozen=True, kw_only=True)
class SquaredError(RecipeStep):
    """Squared error: sum over outputs i of (y[i] - target[i])^2."""

    name = "squared_error"


@dataclass(frozen=True, kw_only=True)
class Gaussian(RecipeStep):
    """Weights from a normal distribution with mean 0."""

    name = "gaussian"
    deviation: float = positional(POSITIVE, "standard deviation")


@dataclass(frozen=True, kw_only=True)
class Uniform(RecipeStep):
    """Weights from a uniform distribution on (-bound, bound).

    In LeNet-5 the bound is 2.4 / fan-in (LeCun et al. 1998, appendix A).
    """

    name = "uniform"
    bound: float = positional(POSITIVE, "largest magnitude")


@dataclass(frozen=True, kw_only=True)
class Glorot(RecipeStep):
    """Weights of variance 2 / (fan-in + fan-out) (Glorot and Bengio 2010, equation 12)."""

    name = "glorot"


@dataclass(frozen=True, kw_only=True)
class He(RecipeStep):
    """Weights of variance 2 / fan-in (He et al. 2015, section 2.2)."""

    name = "he"


@dataclass(frozen=True, kw_only=True)
class Bias(RecipeStep):
    """The initial value of biases."""

    name = "bias"
    value: float = positional(REAL, "the constant")


@dataclass(frozen=True, kw_only=True)
class Rate(RecipeStep):
    """A factor of the learning rate."""

    name = "rate"
    factor: float = positional(number(0), "the factor")


@dataclass(frozen=True, kw_only=True)
class Decay(RecipeStep):
    """A factor of the weight decay."""

    name = "decay"
    factor: float = positional(number(0), "the factor")


@dataclass(frozen=True, kw_only=True)
class Sgd(RecipeStep):
    """Stochastic gradient descent with momentum and weight decay (AlexNet, section 5).

    v := momentum v - decay lr w - lr dL/dw;  w := w + v
    """

    name = "sgd"
    lr: float = keyword(POSITIVE, "learning rate")
    momentum: float = keyword(PROBABILITY, "factor of the last update", default=0.0)
    decay: float = keyword(number(0), "weight decay", default=0.0)


@dataclass(frozen=True, kw_only=True)
class Batch(RecipeStep):
    """The number of images per step."""

    name = "batch"
    size: int = positional(COUNT, "number of images")


@dataclass(frozen=True, kw_only=True)
class Epochs(RecipeStep):
    """The number of passes through the training set."""

    name = "epochs"
    count: int = positional(COUNT, "number of epochs")


@dataclass(frozen=True, kw_only=True)
class Plateau(RecipeStep):
    """Multiply the learning rate when the validation error stops improving."""

    name = "plateau"
    factor: float = keyword(PROBABILITY, "factor of the learning rate")
    times: int = keyword(COUNT, "largest number of reductions")
    patience: int = keyword(COUNT, "epochs without improvement; papers do not give the number")


@dataclass(frozen=True, kw_only=True)
class Every(RecipeStep):
    """Multiply the learning rate every few epochs (GoogLeNet, section 6)."""

    name = "every"
    epochs: int = positional(COUNT, "number of epochs between reductions")
    factor: float = keyword(PROBABILITY, "factor of the learning rate")


@dataclass(frozen=True, kw_only=True)
class TenCrop(RecipeStep):
    """Average the outputs for ten crops: four corners, the centre, and their reflections.

    AlexNet, section 4.1.
    """

    name = "tencrop"


@dataclass(frozen=True, kw_only=True)
class CenterCrop(RecipeStep):
    """Use the output for the centre crop alone."""

    name = "center"


@dataclass(frozen=True, slots=True)
class Assigned:
    """A step that applies to some rows, or to all rows if ``rows`` is empty.

    ``run`` is the run from which weights are loaded, if training begins with those of another.
    """

    step: RecipeStep | None
    rows: tuple[str, ...] = ()
    run: str = ""


@dataclass(slots=True)
class Recipe:
    """The directives of a recipe; a directive that the spec omits is empty."""

    prepare: list[RecipeStep] = field(default_factory=list)
    augment: list[RecipeStep] = field(default_factory=list)
    loss: list[RecipeStep] = field(default_factory=list)
    init: list[Assigned] = field(default_factory=list)
    bias: list[Assigned] = field(default_factory=list)
    rate: list[Assigned] = field(default_factory=list)
    decay: list[Assigned] = field(default_factory=list)
    optimizer: list[RecipeStep] = field(default_factory=list)
    batch: list[RecipeStep] = field(default_factory=list)
    epochs: list[RecipeStep] = field(default_factory=list)
    schedule: list[RecipeStep] = field(default_factory=list)
    evaluate: list[RecipeStep] = field(default_factory=list)


DIRECTIVES: dict[str, tuple[type[RecipeStep], ...]] = {
    "prepare": (Shorter, Resize, Center, Invert, Order, Range, Subtract, SubtractNumbers, Divide),
    "augment": (Crop, Flip, PrincipalComponents, Rescale),
    "loss": (CrossEntropy, SquaredError),
    "init": (Gaussian, Uniform, Glorot, He),
    "bias": (Bias,),
    "rate": (Rate,),
    "decay": (Decay,),
    "optimizer": (Sgd,),
    "batch": (Batch,),
    "epochs": (Epochs,),
    "schedule": (Plateau, Every),
    "evaluate": (TenCrop, CenterCrop),
}
"""The steps that each directive can have.  A directive with one step has the name of that step."""

MANY = ("prepare", "augment")
"""Directives with a pipe of steps."""

BY_ROW = ("init", "bias", "rate", "decay")
"""Directives that can apply to some rows only, and can be repeated for others."""

BY_KIND = ("rate", "decay")
"""Directives that can apply to every ``bias``, or to every ``weight`` (all that is not a bias)."""

NEEDED = ("loss", "optimizer", "batch", "epochs")
"""Directives that a recipe must have."""
