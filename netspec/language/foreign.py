"""Words of other frameworks, and what netspec has instead: the help of errors about them.

The keys are lower case without ``_`` and without a ``2d`` at the end, so that ``Conv2d``,
``MaxPooling2D`` and ``batch_norm`` are found.  A word that becomes an operator or attribute of
netspec leaves this table; tests require that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from netspec.ir import ops
from netspec.language.foreign_attributes import ATTRIBUTES, VALUES

_CONV = "write `conv 3x3, 64`: the kernel, then the number of filters"
_FC = "write `fc 10`: the number of outputs; the inputs are those of the row before"
_BN = "write `bn eps=1e-5`"
_MAXPOOL = "write `maxpool 2x2/2`: the kernel, with its stride"
_AVGPOOL = "write `avgpool 2x2/2`: the kernel, with its stride"
_GAP = "write `gap`: the mean of each channel's whole map"
_CONCAT = "write `concat { conv 1x1, 8; conv 3x3, 8, pad=1 }`, or `LABEL from A, B: concat`"
_ADD = "write `add { identity; conv 3x3, 3, pad=1 }`, or `LABEL from A, B: add`"
_MUL = "write `mul { identity; gap | sigmoid }`, or `LABEL from A, B: mul`"
_SE = "write `mul { identity; gap | conv 1x1, 8 | relu | conv 1x1, 3 | sigmoid }`"
_DECONV = "write `deconv 4x4/2, 64, pad=1`: the kernel, then the number of filters"
_UPSAMPLE = "write `upsample 2, by=nearest`, or `upsample 2, by=bilinear, align_corners=off`"
_LARGER = "`upsample 2, by=nearest` and `deconv 4x4/2, 64, pad=1` make a map larger"
_PART = "write `part 1, of=3`: one of several equal parts of the channels"
_CLIP = "write `clip -1, 1`: the lowest value, then the highest"
_GN = "write `gn 3, eps=1e-5`: the number of groups"
_DROPOUT = "`dropout 0.5` drops single values"
_BLOCK = "define a block: `block conv_relu(k, n) = conv k, n, pad=half | relu`"
_ACTIVATIONS = "see `netspec ops` for its activations"
_POOLS = "the pools are maxpool, avgpool, gap, gmp, adaptive_avgpool and subsample"
_FLAT = "netspec has maps of height x width x channels, and vectors: no layers of 1 or 3 dimensions"
_NORMS = "the normalisations are bn, ln, gn, lrn, lrn_within and lcn"

OPERATORS: dict[str, str] = {
    # what netspec has under another name
    **dict.fromkeys(("convolution", "convolutional", "cnn", "lazyconv"), _CONV),
    **dict.fromkeys(
        ("linear", "dense", "innerproduct", "fullyconnected", "ip", "gemm", "lazylinear"), _FC
    ),
    **dict.fromkeys(
        ("batchnorm", "batchnormalization", "batchnormalisation", "syncbatchnorm", "batchnorm1d",
         "frozenbatchnorm"),
        _BN,
    ),
    **dict.fromkeys(("maxpooling", "pool", "pooling", "mp"), _MAXPOOL),
    **dict.fromkeys(("avgpooling", "averagepool", "averagepooling", "meanpool"), _AVGPOOL),
    **dict.fromkeys(
        ("globalavgpool", "globalaveragepool", "globalaveragepooling", "globalpool"),
        _GAP,
    ),
    **dict.fromkeys(("concatenate", "concatenation", "cat", "merge", "filterconcat"), _CONCAT),
    **dict.fromkeys(("addition", "sum", "eltwise", "elementwise", "shortcut", "residual"), _ADD),
    **dict.fromkeys(
        ("localresponsenorm", "localresponsenormalization", "lrnormalization", "responsenorm",
         "crossmaplrn"),
        "write `lrn 5`; alpha is not divided by the size of the window",
    ),
    **dict.fromkeys(
        ("depthwiseconv", "depthwise", "dwconv", "convdw", "convolutiondepthwise",
         "depthwiseconvolution"),
        "write a convolution with as many groups as channels: "
        "`conv 3x3, channels, pad=1, groups=channels`",
    ),
    **dict.fromkeys(
        ("separableconv", "depthwiseseparableconv", "sepconv"),
        "write both convolutions: `conv 3x3, channels, pad=1, groups=channels | conv 1x1, 64`",
    ),
    **dict.fromkeys(
        ("zeropadding", "zeropad", "padding", "pad", "constantpad"),
        "padding is an attribute of the next window: `conv 3x3, 64, pad=1`",
    ),
    **dict.fromkeys(
        ("reflectionpad", "reflectpad", "replicationpad", "circularpad", "mirrorpad"),
        "netspec pads with zeros only, as an attribute of the next window: `conv 3x3, 64, pad=1`",
    ),
    **dict.fromkeys(("skip", "noop", "passthrough", "linearactivation"), "write `identity`"),
    **dict.fromkeys(
        ("activation", "nonlinearity"), "an activation is a stage: `conv 3x3, 64 | relu`"
    ),
    **dict.fromkeys(
        ("logsoftmax", "softmaxwithloss", "crossentropy", "crossentropyloss", "nllloss"),
        "write `softmax`; a loss belongs into `train { loss cross_entropy ... }`",
    ),
    **dict.fromkeys(("rectifier", "reluactivation"), "write `relu`"),
    **dict.fromkeys(("logistic", "sigm", "sigmoidactivation"), "write `sigmoid`"),
    **dict.fromkeys(("swish", "sigmoidlinearunit"), "write `silu`"),
    "hswish": "write `hardswish`",
    "hsigmoid": "write `hardsigmoid`",
    "absval": "write `abs`",
    "average": "write `LABEL from A, B: add | scale 1/2`; a mean of each channel is `gap`",
    **dict.fromkeys(("mean", "reducemean"), _GAP),
    "upsamplingbilinear": "write `upsample 2, by=bilinear, align_corners=on`",
    **dict.fromkeys(("hardtanh", "clamp", "clipbyvalue"), _CLIP),
    **dict.fromkeys(("multiply", "product", "prod", "times"), _MUL),
    **dict.fromkeys(
        ("se", "squeezeexcite", "squeezeexcitation", "seblock", "selayer", "semodule"), _SE
    ),
    **dict.fromkeys(
        ("layerscale", "channelscale", "affine"), "write `gain 1`: a trained factor per channel"
    ),
    **dict.fromkeys(
        ("deconvolution", "convtranspose", "conv2dtranspose", "transposedconv", "transposeconv",
         "upconv"),
        _DECONV,
    ),
    **dict.fromkeys(("upsampling", "interpolate", "resize", "upsamplingnearest"), _UPSAMPLE),
    **dict.fromkeys(
        ("layernorm", "layernormalization", "layernormalisation"),
        "write `ln eps=1e-6`: over the channels of each position; "
        "`gn 1, eps=1e-5` is over the whole map",
    ),
    **dict.fromkeys(("groupnorm", "groupnormalization", "groupnormalisation"), _GN),
    **dict.fromkeys(
        ("instancenorm", "instancenormalization"),
        "write `gn channels, eps=1e-5`: as many groups as channels, with trained factors",
    ),
    "adaptiveaveragepool": "write `adaptive_avgpool 7x7`; to one value per channel it is `gap`",
    **dict.fromkeys(
        ("globalmaxpool", "globalmaxpooling"),
        "write `gmp`: the largest value of each channel's whole map",
    ),
    "channelshuffle": "write `shuffle 3`: the number of groups",
    **dict.fromkeys(("split", "slice", "chunk"), _PART),
    # what netspec does not have
    **{
        word: f"netspec has no {name}; {_ACTIVATIONS}"
        for word, name in {
            "selu": "SELU", "celu": "CELU", "mish": "mish", "softplus": "softplus",
            "softsign": "softsign", "maxout": "maxout", "bnll": "softplus",
            "logsigmoid": "logarithm of sigmoid", "rrelu": "randomised leaky ReLU",
            "glu": "gated linear unit", "swiglu": "gated linear unit",
            "hardshrink": "hard shrinkage", "softshrink": "soft shrinkage",
            "tanhshrink": "tanh shrinkage", "softmin": "softmin", "threshold": "threshold",
            "thresholdedrelu": "thresholded ReLU", "quickgelu": "approximation of GELU by sigmoid",
            "erf": "error function", "sqrt": "square root", "exp": "exponential function",
            "log": "logarithm", "pow": "power", "power": "power", "square": "square",
        }.items()
    },
    **dict.fromkeys(
        ("sub", "subtract", "subtraction", "minus"),
        "netspec has no difference of inputs; `LABEL from A, B: add` adds them, and `scale -1` "
        "changes a sign",
    ),
    **dict.fromkeys(
        ("div", "divide", "division"), "netspec has no quotient of inputs; mul multiplies them"
    ),
    **dict.fromkeys(
        ("max", "maximum", "min", "minimum", "reducemax"),
        f"netspec has no maximum or minimum of inputs; {_POOLS}",
    ),
    **dict.fromkeys(
        ("matmul", "dot", "bmm", "einsum", "bilinear"),
        "netspec has no product of matrices; layers with weights are `fc 10` and `conv 1x1, 64`",
    ),
    "biasadd": "netspec has no bias alone: conv, local, deconv and fc add one",
    **dict.fromkeys(("normalize", "lpnormalization", "l2norm", "mvn", "rmsnorm",
                     "rmsnormalization"), f"netspec has no such normalisation; {_NORMS}"),
    **dict.fromkeys(
        ("dropout2d", "spatialdropout", "featuredropout", "alphadropout", "gaussiandropout",
         "dropblock", "gaussiannoise"),
        f"netspec has no other noise than dropout; {_DROPOUT}",
    ),
    **dict.fromkeys(
        ("lppool", "globallppool", "fractionalmaxpool", "stochasticpool"),
        f"netspec has no such pool; {_POOLS}",
    ),
    **dict.fromkeys(
        ("conv1d", "conv3d", "maxpool1d", "maxpool3d", "avgpool1d", "avgpool3d", "dropout1d",
         "dropout3d", "batchnorm3d", "convtranspose1d", "convtranspose3d"),
        _FLAT,
    ),
    **dict.fromkeys(
        ("deformconv", "deformableconv", "gatedconv", "partialconv"),
        f"netspec has no such convolution; for a plain one {_CONV}",
    ),
    **dict.fromkeys(
        ("bottleneck", "basicblock", "residualblock", "invertedresidual", "mbconv", "fire",
         "inception", "inceptionblock", "convbnrelu", "convbn", "convblock", "convrelu",
         "conv2dnormactivation", "denseblock", "doubleconv"),
        _BLOCK,
    ),
    "weightnorm": f"netspec has no weight normalisation; {_NORMS}",
    "spectralnorm": f"netspec has no spectral normalisation; {_NORMS}",
    **dict.fromkeys(
        ("pixelshuffle", "depthtospace"), f"netspec has no pixel shuffle; {_LARGER}"
    ),
    **dict.fromkeys(
        ("pixelunshuffle", "spacetodepth", "unfold", "fold", "focus"),
        "netspec has no space-to-depth; a convolution with a stride makes a map smaller: "
        "`conv 2x2/2, 64`",
    ),
    **dict.fromkeys(
        ("unpool", "maxunpool"),
        f"netspec has no unpooling; {_LARGER}",
    ),
    "adaptivemaxpool":
        "netspec has no adaptive max-pooling; to one value per channel it is `gmp`",
    **dict.fromkeys(
        ("reshape", "view", "permute", "transpose", "squeeze", "unsqueeze", "expand", "tile",
         "stack", "gather"),
        "netspec has no reshaping; `flatten` makes a map a vector, which fc does not need",
    ),
    **dict.fromkeys(
        ("roipool", "roialign", "nms", "nonmaxsuppression", "argmax", "topk"),
        "netspec has layers up to the outputs; what is made of them is another program",
    ),
    "lambda": "netspec has no Python in a spec",
    **dict.fromkeys(
        ("crop", "cropping"),
        "netspec has no cropping inside a net; `prepare center 224` crops images",
    ),
    **dict.fromkeys(
        ("droppath", "stochasticdepth"),
        "netspec has no stochastic depth; at inference it is `identity`",
    ),
    **dict.fromkeys(
        ("lstm", "gru", "rnn", "embedding", "attention", "multiheadattention", "transformer",
         "selfattention", "nonlocal"),
        "netspec has networks for images: convolutions, pools, normalisations, full layers",
    ),
    **dict.fromkeys(
        ("loop", "repeat", "sequential", "modulelist"),
        "repeat a row with a range: `a1..a4: relu`, or `a1..a[n]: relu`",
    ),
    **dict.fromkeys(
        ("input", "inputlayer", "data"), "write `input image 224x224x3` above the rows"
    ),
}  # fmt: skip
"""Operators, layers and modules of other frameworks."""

_OWN = {name.replace("_", ""): name for name in ops.OPERATORS}


def _key(word: str) -> str:
    word = word.lower().replace("_", "")
    return word if word in OPERATORS or word in _OWN else word.removesuffix("2d")


def operator(word: str) -> str:
    """Return what to write for an operator of another framework, or an empty text."""
    key = _key(word)
    if key in OPERATORS:
        return OPERATORS[key]
    if key in _NEAR:
        return _NEAR[key]
    if key in _OWN:
        name = _OWN[key]
        own = ops.OPERATORS[name]
        is_whole = own.takes == "one" and not any(a.is_required for a in own.attributes())
        return f"write `{name}`" if is_whole else f"its name is {name}: see `netspec ops {name}`"
    return ""


def page(word: str) -> str:
    """Return where an operator of another framework is described, or an empty text."""
    advice = operator(word)
    own = re.match(r"write `(?:LABEL from [^:]*: )?(\w+)", advice)
    if own and own[1] in ops.OPERATORS:
        return f"netspec's operator is {own[1]}: see `netspec ops {own[1]}`"
    return advice


_NEAR = {
    "conv": _CONV,
    "fc": _FC,
    "bn": _BN,
    "gn": _GN,
    "maxpool": _MAXPOOL,
    "avgpool": _AVGPOOL,
    "dropout": "write `dropout 0.5`",
    "flatten": "write `flatten`: in the order (channels, height, width); Keras has channels last",
    "leakyrelu": "write `leaky_relu slope=0.01`: the default of PyTorch; that of Keras is 0.3",
    "prelu": "write `prelu` for one slope per channel, `prelu shared=on` for one in all, which is "
    "PyTorch's default",
    "hardsigmoid": "write `hardsigmoid`: a slope of 1/6; that of ONNX and earlier Keras is 0.2",
    "concat": _CONCAT,
    "add": _ADD,
    "part": _PART,
    "adaptiveavgpool": "write `adaptive_avgpool 7x7`; to one value per channel it is `gap`",
    "scale": "write `scale 0.5` for a constant factor; a trained factor per channel is `gain 1`",
    "clip": _CLIP,
    "upsample": _UPSAMPLE,
    "mul": _MUL,
    "deconv": _DECONV,
}
"""Advice for netspec's own operators in another spelling, such as ``Conv2d``, with their values."""


_NUMBERS = {"pad", "stride", "dilation", "groups", "eps", "slope", "output_pad"}
"""Attributes whose number is the same in other frameworks."""


def attribute(word: str, known: Iterable[str], number: str = "") -> str:
    """Return what to write for an attribute, if the operator has what it means; else empty.

    Args:
        word: the attribute in the spec.
        known: the attributes of the operator.
        number: the value in the spec if it is a plain number, else empty.
    """
    own, advice = ATTRIBUTES.get(_key(word), ("", ""))
    if own and own not in known:
        return ""
    is_renamed = own in _NUMBERS and advice.startswith("write")
    return f"write `{own}={number}`" if number and is_renamed else advice


def value(word: str) -> str:
    """Return what to write for a value of another framework, or an empty text."""
    return VALUES.get(_key(word), "")
