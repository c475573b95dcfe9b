"""Words of other frameworks, and what netspec has instead: the help of errors about them.

The keys are lower case without ``_`` and without a ``2d`` at the end, so that ``Conv2d``,
``MaxPooling2D`` and ``batch_norm`` are found.  A word that becomes an operator or attribute of
netspec leaves this table; tests require that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from netspec.ir import ops

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
_ACTIVATIONS = "see `netspec ops` for its activations"
_NORMS = "the normalisations are bn, ln, gn, lrn, lrn_within and lcn"

OPERATORS: dict[str, str] = {
    # what netspec has under another name
    **dict.fromkeys(("convolution", "convolutional", "cnn"), _CONV),
    **dict.fromkeys(("linear", "dense", "innerproduct", "fullyconnected", "ip", "gemm"), _FC),
    **dict.fromkeys(("batchnorm", "batchnormalization", "batchnormalisation"), _BN),
    **dict.fromkeys(("maxpooling", "pool", "pooling", "mp"), _MAXPOOL),
    **dict.fromkeys(("avgpooling", "averagepool", "averagepooling", "meanpool"), _AVGPOOL),
    **dict.fromkeys(
        ("globalavgpool", "globalaveragepool", "globalaveragepooling", "globalpool"),
        _GAP,
    ),
    **dict.fromkeys(("concatenate", "concatenation", "cat", "merge", "filterconcat"), _CONCAT),
    **dict.fromkeys(("addition", "sum", "eltwise", "elementwise", "shortcut", "residual"), _ADD),
    **dict.fromkeys(
        ("localresponsenorm", "localresponsenormalization", "lrnormalization", "responsenorm"),
        "write `lrn 5`; alpha is not divided by the size of the window",
    ),
    "spatialdropout": "write `dropout 0.5`, which drops single values",
    **dict.fromkeys(
        ("depthwiseconv", "depthwise", "dwconv", "convdw"),
        "write a convolution with as many groups as channels: "
        "`conv 3x3, channels, pad=1, groups=channels`",
    ),
    **dict.fromkeys(
        ("separableconv", "depthwiseseparableconv", "sepconv"),
        "write both convolutions: `conv 3x3, channels, pad=1, groups=channels | conv 1x1, 64`",
    ),
    **dict.fromkeys(
        ("zeropadding", "zeropad", "padding", "pad"),
        "padding is an attribute of the next window: `conv 3x3, 64, pad=1`",
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
    **dict.fromkeys(("hardtanh", "clamp", "clipbyvalue"), _CLIP),
    **dict.fromkeys(("multiply", "product", "prod", "times"), _MUL),
    **dict.fromkeys(("se", "squeezeexcite", "squeezeexcitation", "seblock"), _SE),
    **dict.fromkeys(
        ("layerscale", "channelscale", "affine"), "write `gain 1`: a trained factor per channel"
    ),
    **dict.fromkeys(
        ("deconvolution", "convtranspose", "conv2dtranspose", "transposedconv", "transposeconv",
         "upconv"),
        _DECONV,
    ),
    **dict.fromkeys(("upsampling", "interpolate", "resize"), _UPSAMPLE),
    **dict.fromkeys(
        ("layernorm", "layernormalization", "layernormalisation"),
        "write `ln eps=1e-6`: over the channels of each position; "
        "`gn 1, eps=1e-5` is over the whole map",
    ),
    **dict.fromkeys(("groupnorm", "groupnormalization", "groupnormalisation"), _GN),
    **dict.fromkeys(
        ("instancenorm", "instancenormalization"),
        "write `gn channels, eps=1e-5`: as many groups as channels",
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
            "softsign": "softsign", "maxout": "maxout",
        }.items()
    },
    "weightnorm": f"netspec has no weight normalisation; {_NORMS}",
    "spectralnorm": f"netspec has no spectral normalisation; {_NORMS}",
    "pixelshuffle": f"netspec has no pixel shuffle; {_LARGER}",
    **dict.fromkeys(
        ("unpool", "maxunpool"),
        f"netspec has no unpooling; {_LARGER}",
    ),
    "adaptivemaxpool":
        "netspec has no adaptive max-pooling; to one value per channel it is `gmp`",
    **dict.fromkeys(
        ("reshape", "view", "permute", "transpose", "squeeze"),
        "netspec has no reshaping; `flatten` makes a map a vector, which fc does not need",
    ),
    "crop": "netspec has no cropping inside a net; `prepare center 224` crops images",
    **dict.fromkeys(
        ("droppath", "stochasticdepth"),
        "netspec has no stochastic depth; at inference it is `identity`",
    ),
    **dict.fromkeys(
        ("lstm", "gru", "rnn", "embedding", "attention", "multiheadattention", "transformer"),
        "netspec has networks for images: convolutions, pools, normalisations, full layers",
    ),
    **dict.fromkeys(
        ("loop", "repeat", "sequential"),
        "repeat a row with a range: `a1..a4: relu`, or `a1..a[n]: relu`",
    ),
    **dict.fromkeys(
        ("input", "inputlayer", "data"), "write `input image 224x224x3` above the rows"
    ),
}  # fmt: skip
"""Operators, layers and modules of other frameworks."""

_COUNT = "the number of filters or outputs comes without a name: `conv 3x3, 64`, `fc 10`"
_KERNEL = "the kernel comes first, without a name: `conv 3x3, 64`, `maxpool 2x2/2`"
_DERIVED = "remove it: netspec takes the input's size from the row before"
_TRAINED = "remove it: initial values and decay belong into `train { }`"

ATTRIBUTES: dict[str, tuple[str, str]] = {
    "padding": ("pad", "write `pad=1`, `pad=half` or `pad=same`"),
    "padmode": ("pad", "write `pad=1`, `pad=half` or `pad=same`"),
    "paddingmode": ("pad", "padding is always of zeros: write `pad=1`, `pad=half` or `pad=same`"),
    "ceilmode": ("round", "write `round=ceil` for true, `round=floor` for false"),
    "rounding": ("round", "write `round=ceil` or `round=floor`"),
    "strides": ("stride", "write `stride=2`, or give it in the kernel: `3x3/2`"),
    "step": ("stride", "write `stride=2`, or give it in the kernel: `3x3/2`"),
    "subsample": ("stride", "write `stride=2`, or give it in the kernel: `3x3/2`"),
    "dilationrate": ("dilation", "write `dilation=2`"),
    "dilations": ("dilation", "write `dilation=2`"),
    "rate": ("dilation", "write `dilation=2`"),
    "group": ("groups", "write `groups=2`"),
    "numgroups": ("groups", "write `groups=2`"),
    "usebias": ("bias", "write `bias=off` or `bias=on`"),
    "biasterm": ("bias", "write `bias=off` or `bias=on`"),
    "nobias": ("bias", "write `bias=off`"),
    "epsilon": ("eps", "write `eps=1e-5`"),
    "negativeslope": ("slope", "write `slope=0.01`"),
    "approximate": ("form", "write `form=tanh`, or `form=exact`"),
    "outputpadding": ("output_pad", "write `output_pad=1`"),
    **dict.fromkeys(("mode", "interpolation"), ("by", "write `by=nearest` or `by=bilinear`")),
    "scalefactor": ("factor", "the factor comes first, without a name: `upsample 2, by=nearest`"),
    "outputsize": ("size", "the size comes first, without a name: `adaptive_avgpool 7x7`"),
    "countincludepad": ("count_pad", "write `count_pad=on` for true, `count_pad=off` for false"),
    **dict.fromkeys(
        ("filters", "outchannels", "numoutput", "numfilters", "nfilters", "units", "outfeatures"),
        ("count", _COUNT),
    ),
    **dict.fromkeys(("channels", "features", "outputs", "numclasses"), ("count", _COUNT)),
    **dict.fromkeys(
        ("kernelsize", "poolsize", "ksize", "size", "window", "filtersize", "kernelshape"),
        ("kernel", _KERNEL),
    ),
    **dict.fromkeys(
        ("p", "prob", "dropprob", "ratio", "keepprob"), ("rate", "write `dropout 0.5`")
    ),
    **dict.fromkeys(
        ("inchannels", "infeatures", "inputshape", "inputdim", "inputsize", "numfeatures"),
        ("", _DERIVED),
    ),
    **dict.fromkeys(
        ("kernelinitializer", "biasinitializer", "kernelregularizer", "weightfiller", "biasfiller",
         "init", "initializer", "weightdecay"),
        ("", _TRAINED),
    ),
    **dict.fromkeys(
        ("activation", "act", "nonlinearity"),
        ("", "an activation is a stage of its own: `conv 3x3, 64 | relu`"),
    ),
    "inplace": ("", "remove it: netspec decides where results are stored"),
    **dict.fromkeys(
        ("dataformat", "dimordering"), ("", "remove it: sizes are height x width x channels")
    ),
    **dict.fromkeys(
        ("name", "label"), ("", "the label of the row is its name: `conv1: conv 3x3, 64`")
    ),
    **dict.fromkeys(
        ("dtype", "device", "training", "trainable"),
        ("", "remove it: it is said when a net is compiled or trained"),
    ),
}  # fmt: skip
"""Attributes of other frameworks: netspec's own, empty if there is none, and the advice."""

VALUES: dict[str, str] = {
    "true": "write `on`",
    "yes": "write `on`",
    "false": "write `off`",
    "no": "write `off`",
    "none": "leave the attribute out, or write `off`",
    "valid": "without padding is `pad=0`, which is the default",
    "sameupper": "write `pad=same`",
    "zeros": "padding is always of zeros: write how wide it is, as in `pad=1`",
}
"""Values of other frameworks."""


_OWN = {name.replace("_", ""): name for name in ops.OPERATORS}


def _key(word: str) -> str:
    word = word.lower().replace("_", "")
    return word if word in OPERATORS or word in _OWN else word.removesuffix("2d")


def operator(word: str) -> str:
    """Return what to write for an operator of another framework, or an empty text."""
    key = _key(word)
    if key in _NEAR:
        return _NEAR[key]
    if key in _OWN:
        name = _OWN[key]
        own = ops.OPERATORS[name]
        is_whole = own.takes == "one" and not any(a.is_required for a in own.attributes())
        return f"write `{name}`" if is_whole else f"its name is {name}: see `netspec ops {name}`"
    return OPERATORS.get(key, "")


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
