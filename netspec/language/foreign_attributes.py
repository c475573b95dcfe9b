"""Attributes and values of other frameworks, and what netspec has instead.

The keys are written as in ``foreign.py``.  A word that becomes an attribute of netspec leaves this
table; tests require that.
"""

from __future__ import annotations

_COUNT = "the number of filters or outputs comes without a name: `conv 3x3, 64`, `fc 10`"
_KERNEL = "the kernel comes first, without a name: `conv 3x3, 64`, `maxpool 2x2/2`"
_DERIVED = "remove it: netspec takes the input's size from the row before"
_PAD = "write `pad=1`; convolutions and pools also have `pad=half` and `pad=same`"
_TRAINED = "remove it: initial values and decay belong in `train { }`"

ATTRIBUTES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("padding", "pads", "padmode", "autopad"), ("pad", _PAD)),
    "paddingmode": ("pad", f"padding is always of zeros: {_PAD}"),
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
    **dict.fromkeys(("negativeslope", "alpha", "leakiness"), ("slope", "write `slope=0.01`")),
    **dict.fromkeys(
        ("min", "max", "minval", "maxval"),
        ("low", "the lowest value comes first, then the highest, without names: `clip 0, 6`"),
    ),
    **dict.fromkeys(
        ("affine", "elementwiseaffine", "center", "trackrunningstats", "useglobalstats"),
        ("eps", "remove it: bn, ln and gn have weights and biases, bn also running statistics"),
    ),
    "normalizedshape": ("eps", "remove it: `ln eps=1e-6` is over the channels of each position"),
    "localsize": ("n", "the channels of a window come first, without a name: `lrn 5`"),
    "normregion": ("n", "normalisation within a channel is an operator: `lrn_within 3, alpha=0.1`"),
    "depthmultiplier": ("groups", "write `conv 3x3, 2 * channels, groups=channels`"),
    **dict.fromkeys(
        ("numparameters", "sharedaxes"),
        ("shared", "write `shared=on` for one slope, `shared=off` for one per channel"),
    ),
    "type": ("", "another kind is another operator: see `netspec ops`"),
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
    **dict.fromkeys(
        ("dim", "axis", "startdim", "enddim"),
        ("", "remove it: axes are fixed, such as the channels for softmax and concat"),
    ),
    "keepdims": ("", "remove it: `gap` returns a map of 1x1xC; `flatten` makes it a vector"),
    "inplace": ("", "remove it: netspec decides where results are stored"),
    **dict.fromkeys(
        ("dataformat", "dimordering"), ("", "remove it: sizes are height x width x channels")
    ),
    **dict.fromkeys(
        ("name", "label"), ("", "the label of the row is its name: `conv1: conv 3x3, 64`")
    ),
    **dict.fromkeys(
        ("dtype", "device", "training", "trainable"),
        ("", "remove it: it is an option of `netspec compile` or `netspec train`"),
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
