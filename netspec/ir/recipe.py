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
"""Pillow's filters; each but ``nearest`` widens with the reduction, so nothing is aliased."""

FILTER_HELP = "how pixels are interpolated, also written `with bilinear`"


class RecipeStep(HasAttributes):
    """One step of a directive, such as ``crop 224``."""


# ------------------------------------------------------------ prepare: also before run and evaluate


@dataclass(frozen=True, kw_only=True)
class Shorter(RecipeStep):
    """Rescale an image so that its shorter side has this length.

    The longer side is ``long * size / short``, rounded to the nearest whole number (of two equally
    near ones the even one), or down with ``round=floor``, as torchvision and timm do: an image of
    640x427 becomes 384 or 383 pixels wide for ``shorter 256``.
    """

    name = "shorter"
    size: int = positional(COUNT, "pixels of the shorter side")
    filter: str = keyword(FILTER, FILTER_HELP, default="bicubic")
    round: str = keyword(choice("nearest", "floor"), "of the longer side", default="nearest")


@dataclass(frozen=True, kw_only=True)
class Resize(RecipeStep):
    """Rescale an image to this height and width."""

    name = "resize"
    size: Pair = positional(PAIR, "height and width in pixels")
    filter: str = keyword(FILTER, FILTER_HELP, default="bicubic")


@dataclass(frozen=True, kw_only=True)
class Center(RecipeStep):
    """Cut out the middle of an image; where it cannot be halved, less is cut off above and left.

    With ``round=even`` half a pixel is rounded to the even number, as torchvision does.
    """

    name = "center"
    size: Pair = positional(PAIR, "height and width in pixels")
    round: str = keyword(choice("floor", "even"), "of half an odd margin", default="floor")


@dataclass(frozen=True, kw_only=True)
class Invert(RecipeStep):
    """Exchange black and white: for dark digits on white, where a net knows white ones on black."""

    name = "invert"


@dataclass(frozen=True, kw_only=True)
class Order(RecipeStep):
    """Put the channels in this order; what stands after it sees them so (Caffe's nets: ``bgr``)."""

    name = "order"
    channels: str = positional(choice("rgb", "bgr"), "rgb, as they come, or bgr")


@dataclass(frozen=True, kw_only=True)
class Range(RecipeStep):
    """Map black and white to these values, as LeNet-5 maps them to 1.175 and -0.1."""

    name = "range"
    low: float = keyword(REAL, "the value that black, 0, becomes")
    high: float = keyword(REAL, "the value that white, 255, becomes")


@dataclass(frozen=True, kw_only=True)
class Subtract(RecipeStep):
    """Subtract the training set's mean: of each pixel's place, or of each channel."""

    name = "subtract"
    what: str = positional(choice("mean", "median"), "what is subtracted")
    over: str = positional(choice("image", "channel"), "an image of means, or one mean a channel")


@dataclass(frozen=True, kw_only=True)
class Numbers(RecipeStep):
    """A step with one number for all channels, or one for each, in the order of the channels."""

    first: float = positional(REAL, "of the first channel, or of all")
    second: float | None = positional(REAL, "of the second channel", default=None)
    third: float | None = positional(REAL, "of the third channel", default=None)

    @property
    def numbers(self) -> tuple[float, ...]:
        """One number, or one a channel."""
        return tuple(n for n in (self.first, self.second, self.third) if n is not None)


@dataclass(frozen=True, kw_only=True)
class SubtractNumbers(Numbers):
    """Subtract a number, or one a channel: the means that come with published weights."""

    name = "subtract"


@dataclass(frozen=True, kw_only=True)
class Divide(Numbers):
    """Divide by a number, or by one a channel: the deviations that come with published weights."""

    name = "divide"

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        for name in ("first", "second", "third"):
            if getattr(self, name) == 0:
                yield "NS132", name, "a value cannot be divided by 0"


# ----------------------------------------------------------------------- augment: while training


@dataclass(frozen=True, kw_only=True)
class Crop(RecipeStep):
    """Cut out a patch at a random place."""

    name = "crop"
    size: Pair = positional(PAIR, "height and width in pixels")


@dataclass(frozen=True, kw_only=True)
class Flip(RecipeStep):
    """Reflect every second image, left to right."""

    name = "flip"


@dataclass(frozen=True, kw_only=True)
class PrincipalComponents(RecipeStep):
    """Shift the colours along their principal components (AlexNet, section 4.1).

    The paper multiplies the eigenvalues by a Gaussian variable, the author's code their square
    roots, the standard deviations: ``of=`` has to be said.  Eigenvalues depend on the unit: they
    are those of colours from 0 for black to 1 for white.
    """

    name = "pca"
    deviation: float = positional(number(0), "standard deviation of the Gaussian variable")
    of: str = keyword(choice("eigenvalue", "deviation"), "what it multiplies")


@dataclass(frozen=True, kw_only=True)
class Rescale(RecipeStep):
    """Rescale an image so that its shorter side has a random length (VGG, section 3.1)."""

    name = "rescale"
    low: int = positional(COUNT, "least length in pixels")
    high: int = positional(COUNT, "greatest length in pixels")

    def mistakes(self) -> Iterator[tuple[str, str, str]]:
        if self.low > self.high:
            yield "NS132", "high", f"{self.high} is less than {self.low}"


# ---------------------------------------------------------------------------------- loss and rest


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(RecipeStep):
    """Minus the logarithm of the probability of the right class (multinomial logistic)."""

    name = "cross_entropy"


@dataclass(frozen=True, kw_only=True)
class SquaredError(RecipeStep):
    """The sum over outputs of the squared distance from the target."""

    name = "squared_error"


@dataclass(frozen=True, kw_only=True)
class Gaussian(RecipeStep):
    """Weights from a normal distribution around zero."""

    name = "gaussian"
    deviation: float = positional(POSITIVE, "standard deviation")


@dataclass(frozen=True, kw_only=True)
class Uniform(RecipeStep):
    """Weights from a uniform distribution around zero; LeNet-5 takes 2.4 / fan-in."""

    name = "uniform"
    bound: float = positional(POSITIVE, "greatest magnitude")


@dataclass(frozen=True, kw_only=True)
class Glorot(RecipeStep):
    """Weights of variance 2 / (fan-in + fan-out) (Glorot and Bengio 2010)."""

    name = "glorot"


@dataclass(frozen=True, kw_only=True)
class He(RecipeStep):
    """Weights of variance 2 / fan-in (He et al. 2015)."""

    name = "he"


@dataclass(frozen=True, kw_only=True)
class Bias(RecipeStep):
    """The constant that biases begin with."""

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
    momentum: float = keyword(PROBABILITY, "share of the last step that is kept", default=0.0)
    decay: float = keyword(number(0), "weight decay", default=0.0)


@dataclass(frozen=True, kw_only=True)
class Batch(RecipeStep):
    """Images in a step."""

    name = "batch"
    size: int = positional(COUNT, "number of images")


@dataclass(frozen=True, kw_only=True)
class Epochs(RecipeStep):
    """How often the training set is gone through."""

    name = "epochs"
    count: int = positional(COUNT, "number of epochs")


@dataclass(frozen=True, kw_only=True)
class Plateau(RecipeStep):
    """Multiply the learning rate when the validation error stops improving."""

    name = "plateau"
    factor: float = keyword(PROBABILITY, "factor of the learning rate")
    times: int = keyword(COUNT, "how often at most")
    patience: int = keyword(COUNT, "epochs without improvement; no paper says how many")


@dataclass(frozen=True, kw_only=True)
class Every(RecipeStep):
    """Multiply the learning rate every few epochs (GoogLeNet, section 6)."""

    name = "every"
    epochs: int = positional(COUNT, "epochs between")
    factor: float = keyword(PROBABILITY, "factor of the learning rate")


@dataclass(frozen=True, kw_only=True)
class TenCrop(RecipeStep):
    """Average the outputs for the corners, the centre, and their reflections."""

    name = "tencrop"


@dataclass(frozen=True, kw_only=True)
class CenterCrop(RecipeStep):
    """The output for the centre alone."""

    name = "center"


@dataclass(frozen=True, slots=True)
class Assigned:
    """A step that applies to some rows, or to all if ``rows`` is empty.

    ``run`` is the run whose weights are taken, where a recipe begins with those of another.
    """

    step: RecipeStep | None
    rows: tuple[str, ...] = ()
    run: str = ""


@dataclass(slots=True)
class Recipe:
    """The directives of a recipe; those that the spec leaves out are empty."""

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
"""The steps that each directive can have.  A directive of one step takes its name."""

MANY = ("prepare", "augment")
"""Directives with a pipe of steps."""

BY_ROW = ("init", "bias", "rate", "decay")
"""Directives that may apply to some rows only, and be repeated for others."""

BY_KIND = ("rate", "decay")
"""Directives that may apply to every ``bias``, or to every ``weight`` (all but biases)."""

NEEDED = ("loss", "optimizer", "batch", "epochs")
"""Directives that a recipe must have."""
