"""Words of other frameworks, and what netspec has instead: the help of errors about them.

The keys are lower case without ``_`` and without a ``2d`` at the end, so that ``Conv2d``,
``MaxPooling2D`` and ``batch_norm`` are found.  A word that becomes an operator or attribute of
netspec leaves this table; tests require that.
"""

from __future__ import annotations

from collections.abc import Iterable

_CONV = "write `conv 3x3, 64`: the kernel, then the number of filters"
_FC = "write `fc 10`: the number of outputs; the inputs are those of the row before"
_BN = "write `bn eps=1e-5`"
_MAXPOOL = "write `maxpool 2x2/2`: the kernel, with its stride"
_AVGPOOL = "write `avgpool 2x2/2`: the kernel, with its stride"
_GAP = "write `gap`: the mean of each channel's whole map"
_CONCAT = "write `concat { conv 1x1, 8; conv 3x3, 8, pad=1 }`, or `LABEL from A, B: concat`"
_ADD = "write `add { identity; conv 3x3, 3, pad=1 }`, or `LABEL from A, B: add`"
_ACTIVATIONS = "the activations are relu, tanh, sigmoid, softmax and abs"
_LARGER = "no operator makes a map larger"
_NORMS = "the normalisations are bn, lrn and lcn"

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
    **dict.fromkeys(("addition", "eltwise", "elementwise", "shortcut", "residual"), _ADD),
    **dict.fromkeys(
        ("localresponsenorm", "localresponsenormalization", "lrnormalization", "responsenorm"),
        "write `lrn 5`; alpha is not divided by the size of the window",
    ),
    "spatialdropout": "write `dropout 0.5`, which drops single values",
    **dict.fromkeys(
        ("depthwiseconv", "depthwise", "dwconv", "convdw"),
        "write a convolution with as many groups as channels: `conv 3x3, 3, pad=1, groups=3`",
    ),
    **dict.fromkeys(
        ("separableconv", "depthwiseseparableconv", "sepconv"),
        "write both convolutions: `conv 3x3, 3, pad=1, groups=3 | conv 1x1, 64`",
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
    # what netspec does not have
    "relu6": f"netspec has no relu6; {_ACTIVATIONS}",
    "clip": f"netspec has no clipping; {_ACTIVATIONS}",
    "leakyrelu": f"netspec has no leaky ReLU; {_ACTIVATIONS}",
    "prelu": f"netspec has no PReLU; {_ACTIVATIONS}",
    **{
        word: f"netspec has no {name}; {_ACTIVATIONS}"
        for word, name in {
            "elu": "ELU", "selu": "SELU", "celu": "CELU", "gelu": "GELU", "silu": "SiLU",
            "swish": "swish", "mish": "mish", "softplus": "softplus", "hardswish": "hard swish",
            "hardsigmoid": "hard sigmoid", "hardtanh": "hard tanh", "maxout": "maxout",
        }.items()
    },
    **dict.fromkeys(
        ("deconv", "deconvolution", "convtranspose", "transposedconv", "transposeconv", "upconv"),
        f"netspec has no transposed convolution; {_LARGER}",
    ),
    "conv2dtranspose": f"netspec has no transposed convolution; {_LARGER}",
    **dict.fromkeys(
        ("upsample", "upsampling", "interpolate", "resize", "unpool", "maxunpool", "pixelshuffle"),
        f"netspec has no upsampling; {_LARGER}",
    ),
    **dict.fromkeys(("layernorm", "ln"), f"netspec has no layer normalisation; {_NORMS}"),
    **dict.fromkeys(("groupnorm", "gn"), f"netspec has no group normalisation; {_NORMS}"),
    "instancenorm": f"netspec has no instance normalisation; {_NORMS}",
    "weightnorm": f"netspec has no weight normalisation; {_NORMS}",
    **dict.fromkeys(
        ("adaptiveavgpool", "adaptiveaveragepool"),
        "netspec has no adaptive pooling; to one value per channel it is `gap`",
    ),
    **dict.fromkeys(
        ("adaptivemaxpool", "globalmaxpool", "globalmaxpooling", "gmp"),
        "netspec has no global max-pooling; write `maxpool 7x7` with the size of the map",
    ),
    **dict.fromkeys(
        ("reshape", "view", "permute", "transpose", "squeeze", "channelshuffle", "shuffle"),
        "netspec has no reshaping; `flatten` makes a map a vector, which fc does not need",
    ),
    **dict.fromkeys(
        ("mul", "multiply", "scale", "se", "squeezeexcite"),
        "netspec has no product; branches are joined with add and concat",
    ),
    **dict.fromkeys(("split", "slice", "chunk", "crop"), "netspec has no part of a map"),
    **dict.fromkeys(
        ("lstm", "gru", "rnn", "embedding", "attention", "multiheadattention", "transformer"),
        "netspec has networks for images: convolutions, pools, normalisations, full layers",
    ),
    **dict.fromkeys(("loop", "repeat", "sequential"), "repeat a row with a range: `a1..a4: relu`"),
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


def _key(word: str) -> str:
    word = word.lower().replace("_", "")
    return word if word in OPERATORS else word.removesuffix("2d")


def operator(word: str) -> str:
    """Return what to write for an operator of another framework, or an empty text."""
    key = _key(word)
    if key == "conv":
        return _CONV
    if key in ("maxpool", "avgpool", "dropout", "softmax", "relu", "flatten"):
        return f"write `{key}`"
    return OPERATORS.get(key, "")


def attribute(word: str, known: Iterable[str]) -> str:
    """Return what to write for an attribute, if the operator has what it means; else empty."""
    own, advice = ATTRIBUTES.get(_key(word), ("", ""))
    return advice if not own or own in known else ""


def value(word: str) -> str:
    """Return what to write for a value of another framework, or an empty text."""
    return VALUES.get(_key(word), "")
