"""Calls of PyTorch and Keras with their values, written as stages: ``Conv2d(3, 64, 7)``.

Only calls whose values all have a counterpart are translated, so that what the help says to write
is what the call computes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from netspec.ir.ops import OPERATORS

Values = dict[str, str]
"""Values of a call by their names in netspec, as they are written in the call."""

_TORCH_CONV = ("", "count", "kernel", "stride", "pad", "dilation", "groups", "bias")
_KERAS_CONV = ("count", "kernel", "stride", "pad")
_TORCH_DECONV = (
    *("", "count", "kernel", "stride", "pad", "output_pad", "groups", "bias", "dilation"),
)
_POOL = ("kernel", "stride", "pad")
_TORCH_AVGPOOL = (*_POOL, "round", "count_pad")

_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("in_channels", "in_features", "num_features", "num_channels", "inplace"), ""),
    **dict.fromkeys(("out_channels", "out_features", "filters", "units"), "count"),
    **dict.fromkeys(("kernel_size", "pool_size"), "kernel"),
    **{"strides": "stride", "padding": "pad", "dilation_rate": "dilation", "use_bias": "bias"},
    **{"epsilon": "eps", "p": "rate", "num_groups": "groups", "output_padding": "output_pad"},
    **{"ceil_mode": "round", "count_include_pad": "count_pad", "approximate": "form"},
    **{"scale_factor": "factor", "mode": "by", "interpolation": "by", "output_size": "size"},
    **{"negative_slope": "slope", "min_val": "low", "max_val": "high"},
}
"""Names of values: those of netspec, empty for what it derives.  Others have the same name."""

_WHOLE = r"[A-Za-z_]\w*|\d+"
_PAIR = re.compile(r"[(\[]\s*(\d+)\s*,\s*(\d+)\s*[)\]]|(\d+)x(\d+)|(\d+)")
_SWITCHES = {"True": "on", "true": "on", "on": "on", "False": "off", "false": "off", "off": "off"}


def translated(call: str) -> str:
    """Return a call of another framework as stages, or an empty text if a part has no counterpart.

    Args:
        call: an operator with its values, in parentheses or without: ``Dense(10)``, ``Dense 10``.
    """
    match = re.fullmatch(r"(\w+)\s*(?:\((.*)\)|(.*))", call.strip(), re.DOTALL)
    if match is None or match[1] not in _CALLS:
        return ""
    positional, write = _CALLS[match[1]]
    values: Values = {}
    for place, text in enumerate(_split(match[2] or match[3] or "")):
        key, equals, value = text.partition("=")
        if not equals:
            if place >= len(positional):
                return ""
            key, value = positional[place], text
        key = key.strip()
        values[_NAMES.get(key, key)] = value.strip().strip("'\"")
    values.pop("", None)
    activation = values.pop("activation", "linear")
    try:
        stage = write(values)
    except (KeyError, ValueError):
        return ""
    if values or not (activation == "linear" or _is_whole(activation)):
        return ""
    return stage if activation == "linear" else f"{stage} | {activation}"


def end_of_call(text: str, start: int, end: int) -> int:
    """Return where a stage ends: the parser leaves out what closes its last value."""
    opened = sum((c in "([") - (c in ")]") for c in text[start:end])
    closing = re.compile(rf"(?:\s*[)\]]){{{max(opened, 0)}}}").match(text, end)
    return closing.end() if closing else end


def _is_whole(name: str) -> bool:
    """Return True if a stage can be the name of the operator alone."""
    operator = OPERATORS.get(name)
    return operator is not None and not any(a.is_required for a in operator.attributes())


def _split(text: str) -> Iterator[str]:
    """Yield what commas outside of parentheses separate."""
    for part in re.findall(r"(?:[^,()\[\]]|\([^()]*\)|\[[^\[\]]*\])+", text):
        if part.strip():
            yield part.strip()


# --------------------------------------------------------------------------------- of one operator


def _pair(text: str) -> tuple[int, int]:
    match = _PAIR.fullmatch(text)
    if match is None:
        raise ValueError(text)
    sizes = [int(group) for group in match.groups() if group]
    return sizes[0], sizes[-1]


def _count(text: str) -> str:
    if not re.fullmatch(_WHOLE, text):
        raise ValueError(text)
    return text


def _number(text: str) -> str:
    float(text)  # or ValueError
    return text


def _size(pair: tuple[int, int]) -> str:
    return f"{pair[0]}x{pair[1]}"


def _short(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else _size(pair)


def _window(values: Values, stride: str, *counts: str) -> str:
    """Return the kernel with its stride, the counts, and the padding."""
    kernel, steps = _pair(values.pop("kernel")), _pair(values.pop("stride", stride))
    written = [_size(kernel), *counts]
    if steps[0] != steps[1]:
        written.append(f"stride={_size(steps)}")
    elif steps[0] != 1:
        written[0] += f"/{steps[0]}"
    pad = values.pop("pad", "0").lower()
    if pad in ("same", "half"):
        written.append(f"pad={pad}")
    elif pad != "valid" and _pair(pad) != (0, 0):
        written.append(f"pad={_short(_pair(pad))}")
    return ", ".join(written)


def _bias(values: Values) -> str:
    return "" if _SWITCHES[values.pop("bias", "on")] == "on" else ", bias=off"


def _dilation(values: Values) -> str:
    dilation = _pair(values.pop("dilation", "1"))
    return "" if dilation == (1, 1) else f", dilation={_short(dilation)}"


def _groups(values: Values) -> str:
    groups = _count(values.pop("groups", "1"))
    return "" if groups == "1" else f", groups={groups}"


def _conv(values: Values) -> str:
    text = f"conv {_window(values, '1', _count(values.pop('count')))}"
    return text + _dilation(values) + _groups(values) + _bias(values)


def _depthwise(values: Values) -> str:
    text = f"conv {_window(values, '1', 'channels')}{_dilation(values)}"
    return f"{text}, groups=channels{_bias(values)}"


def _deconv(values: Values) -> str:
    if values.get("pad", "0").lower() in ("same", "half"):  # deconv does not have these
        raise ValueError(values["pad"])
    text = f"deconv {_window(values, '1', _count(values.pop('count')))}{_dilation(values)}"
    if (extra := _pair(values.pop("output_pad", "0"))) != (0, 0):
        text += f", output_pad={_short(extra)}"
    return text + _groups(values) + _bias(values)


def _pool(name: str, default: str = "") -> Callable[[Values], str]:
    def write(values: Values) -> str:
        kernel = values.setdefault("kernel", default)
        if values.get("stride") == "None":
            del values["stride"]
        text = f"{name} {_window(values, kernel)}{_dilation(values)}"
        return text + (", round=ceil" if _SWITCHES[values.pop("round", "off")] == "on" else "")

    return write


def _torch_avgpool(values: Values) -> str:
    counts = _SWITCHES[values.pop("count_pad", "on")]
    text = _pool("avgpool")(values)
    return f"{text}, count_pad={counts}" if "pad=" in text else text


def _adaptive_avgpool(values: Values) -> str:
    size = _pair(values.pop("size"))
    return "gap" if size == (1, 1) else f"adaptive_avgpool {_size(size)}"


def _upsample(values: Values) -> str:
    text = f"upsample {_short(_pair(values.pop('factor')))}, by={values.pop('by', 'nearest')}"
    if text.endswith("bilinear"):
        return f"{text}, align_corners={_SWITCHES[values.pop('align_corners', 'off')]}"
    if not text.endswith("nearest"):
        raise ValueError(text)
    return text


def _keras_upsample(values: Values) -> str:
    return _upsample({"factor": values.pop("size", "2"), "by": values.pop("by", "nearest")})


def _plain(name: str) -> Callable[[Values], str]:
    return lambda values: name


def _relu(values: Values) -> str:
    """Return ReLU; the value without a name is PyTorch's inplace or Keras's largest output."""
    most = values.pop("max_value", "None")
    if most in ("None", *_SWITCHES):
        return "relu"
    if float(most) != 6:
        raise ValueError(most)
    return "relu6"


def _leaky_relu(values: Values) -> str:
    """Return leaky ReLU; a slope that is not written is 0.01 in PyTorch and 0.3 in Keras."""
    slope = values.pop("slope", None) or values.pop("alpha")
    return f"leaky_relu slope={_number(slope)}"


def _elu(values: Values) -> str:
    return f"elu alpha={_number(values.pop('alpha'))}" if "alpha" in values else "elu"


def _gelu(values: Values) -> str:
    is_tanh = {"tanh": True, "True": True, "none": False, "False": False}
    return "gelu form=tanh" if is_tanh[values.pop("form", "none")] else "gelu"


def _clip(values: Values) -> str:
    return f"clip {_number(values.pop('low', '-1'))}, {_number(values.pop('high', '1'))}"


def _fc(values: Values) -> str:
    return f"fc {_count(values.pop('count'))}{_bias(values)}"


def _dropout(values: Values) -> str:
    return f"dropout {_number(values.pop('rate', '0.5'))}"


def _bn(default: str) -> Callable[[Values], str]:
    def write(values: Values) -> str:
        values.pop("momentum", None)  # of training
        return f"bn eps={_number(values.pop('eps', default))}"

    return write


def _gn(values: Values) -> str:
    return f"gn {_count(values.pop('groups'))}, eps={_number(values.pop('eps', '1e-5'))}"


_CALLS: Mapping[str, tuple[tuple[str, ...], Callable[[Values], str]]] = {
    "Conv2d": (_TORCH_CONV, _conv),
    "Conv2D": (_KERAS_CONV, _conv),
    "ConvTranspose2d": (_TORCH_DECONV, _deconv),
    "Conv2DTranspose": (_KERAS_CONV, _deconv),
    "DepthwiseConv2D": (_POOL, _depthwise),
    "MaxPool2d": ((*_POOL, "dilation"), _pool("maxpool")),
    "AvgPool2d": (_TORCH_AVGPOOL, _torch_avgpool),
    "AdaptiveAvgPool2d": (("size",), _adaptive_avgpool),
    "Upsample": ((), _upsample),
    "UpSampling2D": (("size",), _keras_upsample),
    "ReLU": (("max_value",), _relu),
    "LeakyReLU": (("slope", ""), _leaky_relu),
    "ELU": (("alpha", ""), _elu),
    "GELU": ((), _gelu),
    "Hardtanh": (("low", "high", ""), _clip),
    **{
        name: (("",), _plain(name.lower()))
        for name in ("ReLU6", "SiLU", "Hardswish", "Hardsigmoid")
    },
    **{name: ((), _plain(name.lower())) for name in ("Sigmoid", "Tanh", "Identity", "Flatten")},
    **dict.fromkeys(("MaxPooling2D", "MaxPool2D"), (_POOL, _pool("maxpool", "2"))),
    **dict.fromkeys(("AveragePooling2D", "AvgPool2D"), (_POOL, _pool("avgpool", "2"))),
    "Linear": (("", "count", "bias"), _fc),
    "Dense": (("count", "activation"), _fc),
    "Dropout": (("rate",), _dropout),
    "BatchNorm2d": (("", "eps"), _bn("1e-5")),
    "BatchNormalization": ((), _bn("1e-3")),
    "GroupNorm": (("groups", "", "eps"), _gn),
}
"""Names of the values without a name, in order, and the function that writes the stage."""
