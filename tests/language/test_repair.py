"""Rows as other frameworks write them: the message says what is wrong, the help what to write."""

from __future__ import annotations

import re

import pytest

from netspec.ir.ops import OPERATORS
from netspec.language import foreign
from netspec.language.foreign_attributes import ATTRIBUTES, VALUES
from tests.helpers import HEADER, codes, problems

PARENTHESES = "the values of an operator are written without parentheses"
KERNEL = "a kernel is written height x width, as in 3x3"
BRACES = "branches are written in braces, after `concat` or `add`"
PIPES = "stages are joined with `|`"
COMMAS = "a comma has a value on both sides"
QUOTES = "values are written without quotes"
ARROW = "`->` begins a claim, and stages are joined with `|`"
COMMA = "branches end with `;` or with their line, not with a comma"
INPUT = "an input has a name and a size: height x width x channels"
LABEL = "a row begins with a label and a `:`"
COLON = "a row has a `:` after its label"

ROWS = {
    "a: conv(3x3, 16)": (PARENTHESES, "a: conv 3x3, 16"),
    "a: conv 3x3, 16 | relu()": (PARENTHESES, "a: conv 3x3, 16 | relu"),
    "b: conv(3x3, 8, padding=1) | maxpool(2x2, stride=2)": (
        PARENTHESES, "b: conv 3x3, 8, pad=1 | maxpool 2x2, stride=2",
    ),
    "a: conv(3x3, channels, groups=channels)": (
        PARENTHESES, "a: conv 3x3, channels, groups=channels",
    ),
    "block b(n) = conv(3x3, n) | relu()": (PARENTHESES, "block b(n) = conv 3x3, n | relu"),
    "a: maxpool((2, 2), stride=2)": (
        f"{PARENTHESES}; a kernel is written height x width, as in 3x3", "a: maxpool 2x2, stride=2",
    ),
    'a: conv 3x3, 16, padding="same"': (QUOTES, "a: conv 3x3, 16, pad=same"),
    "a: conv 3x3, 16, pad='same'": (QUOTES, "a: conv 3x3, 16, pad=same"),
    'a: conv "3x3", 64, use_bias=False': (QUOTES, None),
    "a: conv 3x3, 16 -> relu -> maxpool 2x2/2": (ARROW, "a: conv 3x3, 16 | relu | maxpool 2x2/2"),
    "a: conv(3x3, 16) -> relu": (
        f"{PARENTHESES}; {ARROW}", "a: conv 3x3, 16 | relu",
    ),
    "a: concat { conv 1x1, 8, conv 3x3, 8, pad=1 }": (
        COMMA, "a: concat { conv 1x1, 8; conv 3x3, 8, pad=1 }",
    ),
    "a: concat { relu, tanh }": (COMMA, "a: concat { relu; tanh }"),
    "a: concat [ relu; tanh ]": (BRACES, "a: concat { relu; tanh }"),
    "a: [ relu; tanh ] | relu": (BRACES, "a: concat { relu; tanh } | relu"),
    "a: relu  // first": ("a comment begins with `#`", "a: relu  # first"),
    "a: conv 3x3, 16 |> relu": (PIPES, "a: conv 3x3, 16 | relu"),
    "a: conv 3x3, 16 >> relu": (PIPES, "a: conv 3x3, 16 | relu"),
    "a: conv 3x3,, 16": (COMMAS, "a: conv 3x3, 16"),
    "a: conv 3x3, 16, | relu": (COMMAS, "a: conv 3x3, 16 | relu"),
    "a: conv 3x3, 16,": (COMMAS, "a: conv 3x3, 16"),
    "a, b: relu": (
        "a row has one label: write a row for each, or a range such as `a1..a4: relu`", "a: relu",
    ),
    "a: conv 3 x 3, 16": (KERNEL, "a: conv 3x3, 16"),
    "a: conv 3x3, 16, padding='valid'": (QUOTES, "a: conv 3x3, 16"),
    "a: conv 3x3, 16, padding='SAME'": (QUOTES, "a: conv 3x3, 16, pad=same"),
    "a: LeakyReLU(negative_slope=0.2)": (PARENTHESES, "a: leaky_relu slope=0.2"),
    "conv1/7x7_s2: conv 7x7/2, 64, pad=3": (
        "the label `conv1/7x7_s2` needs quotes",
        '"conv1/7x7_s2": conv 7x7/2, 64, pad=3',
    ),
    "fc6-conv: conv 7x7, 64": (
        "the label `fc6-conv` needs quotes",
        '"fc6-conv": conv 7x7, 64',
    ),
    "layer1.0.conv1: conv 3x3, 64": (
        "the label `layer1.0.conv1` has a dot, which separates a row from its parts",
        "layer1_0_conv1: conv 3x3, 64",
    ),
    "a from conv1/7x7, b-2: add": (
        "a label with other characters than letters, digits and `_` needs quotes",
        'a from "conv1/7x7", "b-2": add',
    ),
    "x = conv(3x3, 16)": (f"{COLON}; {PARENTHESES}", "x: conv 3x3, 16"),
    "C1 conv 3x3, 64": (COLON, "C1: conv 3x3, 64"),
    "conv 3x3, 64 | relu": (LABEL, "LABEL: conv 3x3, 64 | relu"),
    "conv(3x3, 64)": (f"{LABEL}; {PARENTHESES}", "LABEL: conv 3x3, 64"),
    "a: conv [3, 3], 64": (
        "a kernel is written height x width, as in 3x3", "a: conv 3x3, 64",
    ),
    "a: conv 3X3, 64": ("a kernel is written height x width, as in 3x3", "a: conv 3x3, 64"),
    "a: conv 3x3, 64 -> (6, 6, 64)": (
        "a claimed size is written as in -> 30x30x64", "a: conv 3x3, 64 -> 6x6x64",
    ),
    "a: conv 3x3, 64 => 6x6x64": (
        "a claimed size is written as in -> 30x30x64", "a: conv 3x3, 64 -> 6x6x64",
    ),
    "a: fc 10 softmax": ("stages are joined with `|`", "a: fc 10 | softmax"),
    "a: maxpool 2x2, stride 2": ("attributes are written key=value", "a: maxpool 2x2, stride=2"),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_another_notation_is_shown_as_it_should_be(row: str) -> None:
    message, written = ROWS[row]
    error = problems(f"{HEADER}{row}\n")[0]
    assert (error.code, error.message, error.span.line) == ("NS101", message, 3)
    if written is not None:
        assert error.help == f"write `{written}`"
        assert "NS101" not in codes(f"{HEADER}{written}\n")


def test_a_comment_is_not_part_of_the_row() -> None:
    row = "a: conv(3x3, 16)  # the paper's 'same', see [1] -> relu"
    (error,) = problems(f"{HEADER}{row}\n")
    assert (error.message, error.help) == (PARENTHESES, "write `a: conv 3x3, 16`")


@pytest.mark.parametrize(
    "text",
    [
        "input 32x32x3", "input: 32x32x3", "input image (32, 32, 3)", "input image = 32x32x3",
        "input image 32, 32, 3", "input(shape=(32, 32, 3))", "input image [32, 32, 3]",
    ],
)  # fmt: skip
def test_an_input_of_another_notation_is_shown_as_it_should_be(text: str) -> None:
    (error,) = problems(f"net example\n{text}\na from image: relu\n")
    assert (error.message, error.help) == (INPUT, "write `input image 32x32x3`")


@pytest.mark.parametrize(
    ("row", "help"),
    [
        ("a: Conv2D(16, (3,3), activation='relu')", "write `a: conv 3x3, 16 | relu`"),
        ("a: Conv2D(16, (3,3), name='relu')", f"`Conv2D`: {foreign.operator('conv2d')}"),
        ("a: nn.Linear(120, 10)", "write `a: fc 10`"),
        ("self.fc = nn.Linear(120, 10, bias=False)", "write `fc: fc 10, bias=off`"),
        ("model.add(Dense(10, activation='relu'))", "write `LABEL: fc 10 | relu`"),
        ("model.add(Dense(10, units=7, x=1))", f"`Dense`: {foreign.operator('dense')}"),
        (
            "self.c = nn.Conv2d(1, 20, kernel_size=(5, 3), stride=2, padding=(2, 1), bias=False)",
            "write `c: conv 5x3/2, 20, pad=2x1, bias=off`",
        ),
        (
            "a: AvgPool2D(pool_size=(2,2), strides=(2,2)) | Conv2D(8, 1)",
            "write `a: avgpool 2x2/2 | conv 1x1, 8`",
        ),
        ("a: conv(16, (3,3), padding='same')", "write `conv 3x3, 16`"),
        ("a: conv(3x3, 16, activation='relu')", foreign.attribute("activation", ())),
    ],
)
def test_a_row_of_other_words_gets_the_advice_for_the_word(row: str, help: str) -> None:
    (error,) = problems(f"{HEADER}{row}\n")
    assert (error.code, error.help) == ("NS101", help)


@pytest.mark.parametrize(
    ("row", "code", "message", "help"),
    [
        ("a: conv(3, 16)", "NS132", "the values of conv are written without parentheses",
         "write `conv 3x3, 16`"),
        ("a: conv 16, 3x3", "NS132", "conv takes its kernel first, then its count",
         "write `conv 3x3, 16`"),
        ("a: conv 3*3, 16", "NS132", "kernel of conv: expected a kernel such as 3x3 or 11x11x3/4, "
         "and this is 9", "write 3x3"),
        ("a: conv 3 × 3/2, 16", "NS132", "kernel of conv: expected a kernel such as 3x3 or "
         "11x11x3/4, and this is 4.5", "write 3x3/2"),
        ("a: maxpool(2, 2)", "NS132", "the values of maxpool are written without parentheses",
         "write `maxpool 2x2/2`"),
        ("a: leaky_relu 0.1", "NS135", "too many arguments: leaky_relu takes no arguments without "
         "a name", "write `leaky_relu slope=0.1`"),
        ("a: elu(0.5)", "NS135", "too many arguments: elu takes no arguments without a name",
         "write `elu alpha=0.5`"),
        ("a: conv 3x3, 16 + image", "NS113", "`image` is the label of an input",
         "rows are combined by a row of its own: `LABEL from image, ROW: add`"),
        ("a: maxpool 2", "NS132", "kernel of maxpool: expected a kernel such as 3x3 or 11x11x3/4, "
         "and this is 2", "a kernel is height x width: write 2x2/2 for a stride of 2; without /2 "
         "the stride is 1"),
        ("a: fc 10 -> softmax", "NS140", "`->` begins a claim, and `softmax` is an operator",
         "join stages with `|`: ... | softmax"),
        ("a: conv 3x3, 4, pad=(1, 1)", "NS132", "pad of conv: expected a whole number, HxW, (top, "
         "bottom, left, right), half or same, and this is (1, 1)", "write pad=1x1"),
        ("a: add image", "NS135", "too many arguments: add takes no arguments without a name",
         "name rows with `from`, as in `LABEL from A, B: add`"),
        ("a: relu if True", "NS113", "`True` is not defined", "write `on`"),
        ("a: fc 10, softmax", "NS135", "`softmax` is an operator, not a value of fc",
         "join stages with `|`; end a branch with `;` or its line"),
        ("a: conv 3x3, 16, bias=False", "NS113",
         "`False` is not defined; for bias of conv, expected on or off", "write `off`"),
    ],
)  # fmt: skip
def test_a_row_that_parses_gets_one_error_too(row: str, code: str, message: str, help: str) -> None:
    (error,) = problems(f"{HEADER}{row}\n")
    assert (error.code, error.message, error.help) == (code, message, help)


@pytest.mark.parametrize(
    "row",
    [
        "a: relu @",
        "x = F.relu(self.conv1(x))",
        "a: conv(3x3, 16",
        "a: conv 3x3, 16 -> 5 5",
        "(" * 99,
    ],
)
def test_what_no_rule_puts_right_keeps_the_message_of_the_parser(row: str) -> None:
    (error,) = [d for d in problems(f"{HEADER}{row}\n") if d.code in ("NS101", "NS102")][:1]
    assert not error.help.startswith("write `")


# ------------------------------------------------------------------------ words of other frameworks


@pytest.mark.parametrize("word", foreign.OPERATORS)
def test_an_operator_of_another_framework_gets_its_advice(word: str) -> None:
    assert word not in OPERATORS, f"{word} is an operator now: take it out of the table"
    (error,) = problems(f"{HEADER}a: {word}\n")
    assert (error.code, error.help) == ("NS112", foreign.OPERATORS[word])


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("BatchNorm2d", "write `bn eps=1e-5`"),
        ("batch_norm", "write `bn eps=1e-5`"),
        ("Linear", "write `fc 10`: the number of outputs; the inputs are those of the row before"),
        ("dense", "write `fc 10`: the number of outputs; the inputs are those of the row before"),
        ("Conv2d", "write `conv 3x3, 64`: the kernel, then the number of filters"),
        ("MaxPooling2D", "write `maxpool 2x2/2`: the kernel, with its stride"),
        ("MaxPool2d", "write `maxpool 2x2/2`: the kernel, with its stride"),
        ("LRN", "its name is lrn: see `netspec ops lrn`"),
        ("ReLU", "write `relu`"),
        ("GlobalAveragePooling2D", "write `gap`: the mean of each channel's whole map"),
        ("ReLU6", "write `relu6`"),
        ("LeakyReLU",
         "write `leaky_relu slope=0.01`: the default of PyTorch; that of Keras is 0.3"),
        ("PReLU", "write `prelu` for one slope per channel, `prelu shared=on` for one in all, "
         "which is PyTorch's default"),
        ("ELU", "write `elu`"),
        ("GELU", "write `gelu`"),
        ("SiLU", "write `silu`"),
        ("swish", "write `silu`"),
        ("HardSwish", "write `hardswish`"),
        ("h_swish", "write `hardswish`"),
        ("Hardsigmoid",
         "write `hardsigmoid`: a slope of 1/6; that of ONNX and earlier Keras is 0.2"),
        ("hardtanh", "write `clip -1, 1`: the lowest value, then the highest"),
        ("Clip", "write `clip -1, 1`: the lowest value, then the highest"),
        ("mish", "netspec has no mish; see `netspec ops` for its activations"),
        *(
            (word, "write `deconv 4x4/2, 64, pad=1`: the kernel, then the number of filters")
            for word in ("conv_transpose", "Conv2DTranspose", "ConvTranspose2d", "Deconv")
        ),
        *(
            (word, "write `upsample 2, by=nearest`, or "
             "`upsample 2, by=bilinear, align_corners=off`")
            for word in ("Upsample", "UpSampling2D", "interpolate")
        ),
        ("layer_norm", "write `ln eps=1e-6`: over the channels of each position; "
         "`gn 1, eps=1e-5` is over the whole map"),
        ("GroupNorm", "write `gn 3, eps=1e-5`: the number of groups"),
        ("InstanceNorm2d", "write `gn channels, eps=1e-5`: as many groups as channels, with "
         "trained factors"),
        ("global_avg_pool", "write `gap`: the mean of each channel's whole map"),
        ("GlobalMaxPooling2D", "write `gmp`: the largest value of each channel's whole map"),
        ("AdaptiveAvgPool2d",
         "write `adaptive_avgpool 7x7`; to one value per channel it is `gap`"),
        ("sum", "write `add { identity; conv 3x3, 3, pad=1 }`, or `LABEL from A, B: add`"),
        ("multiply", "write `mul { identity; gap | sigmoid }`, or `LABEL from A, B: mul`"),
        ("se", "write `mul { identity; gap | conv 1x1, 8 | relu | conv 1x1, 3 | sigmoid }`"),
        ("Scale",
         "write `scale 0.5` for a constant factor; a trained factor per channel is `gain 1`"),
        ("channel_shuffle", "write `shuffle 3`: the number of groups"),
        ("split", "write `part 1, of=3`: one of several equal parts of the channels"),
        ("depthwise_conv2d", "write a convolution with as many groups as channels: "
         "`conv 3x3, channels, pad=1, groups=channels`"),
        ("reshape",
         "netspec has no reshaping; `flatten` makes a map a vector, which fc does not need"),
        ("Dropout2d", "netspec has no other noise than dropout; `dropout 0.5` drops single values"),
        ("Conv1d", "netspec has maps of height x width x channels, and vectors: no layers of 1 or "
         "3 dimensions"),
        ("BatchNorm1d", "write `bn eps=1e-5`"),
        ("SyncBatchNorm", "write `bn eps=1e-5`"),
        ("DepthwiseConv2D", "write a convolution with as many groups as channels: "
         "`conv 3x3, channels, pad=1, groups=channels`"),
        ("SeparableConv2D", "write both convolutions: "
         "`conv 3x3, channels, pad=1, groups=channels | conv 1x1, 64`"),
        ("InnerProduct",
         "write `fc 10`: the number of outputs; the inputs are those of the row before"),
        ("Eltwise", "write `add { identity; conv 3x3, 3, pad=1 }`, or `LABEL from A, B: add`"),
        ("ZeroPadding2D",
         "padding is an attribute of the next window: `conv 3x3, 64, pad=1`"),
        ("ReflectionPad2d", "netspec pads with zeros only, as an attribute of the next window: "
         "`conv 3x3, 64, pad=1`"),
        ("Flatten",
         "write `flatten`: in the order (channels, height, width); Keras has channels last"),
        ("Identity", "write `identity`"),
        ("Concatenate",
         "write `concat { conv 1x1, 8; conv 3x3, 8, pad=1 }`, or `LABEL from A, B: concat`"),
        ("Softplus", "netspec has no softplus; see `netspec ops` for its activations"),
        ("GLU", "netspec has no gated linear unit; see `netspec ops` for its activations"),
        ("LogSigmoid",
         "netspec has no logarithm of sigmoid; see `netspec ops` for its activations"),
        ("Tanh", "write `tanh`"),
        ("Sigmoid", "write `sigmoid`"),
        ("MatMul", "netspec has no product of matrices; layers with weights are `fc 10` and "
         "`conv 1x1, 64`"),
        ("Max", "netspec has no maximum or minimum of inputs; the pools are maxpool, avgpool, gap, "
         "gmp, adaptive_avgpool and subsample"),
        ("Average",
         "write `LABEL from A, B: add | scale 1/2`; a mean of each channel is `gap`"),
        ("Sub", "netspec has no difference of inputs; `LABEL from A, B: add` adds them, and "
         "`scale -1` changes a sign"),
        ("RMSNorm", "netspec has no such normalisation; the normalisations are bn, ln, gn, lrn, "
         "lrn_within and lcn"),
        ("UpsamplingBilinear2d", "write `upsample 2, by=bilinear, align_corners=on`"),
        ("PixelUnshuffle", "netspec has no space-to-depth; a convolution with a stride makes a map "
         "smaller: `conv 2x2/2, 64`"),
        ("Bottleneck",
         "define a block: `block conv_relu(k, n) = conv k, n, pad=half | relu`"),
        ("LpPool2d", "netspec has no such pool; the pools are maxpool, avgpool, gap, gmp, "
         "adaptive_avgpool and subsample"),
        ("AbsVal", "write `abs`"),
        ("pixel_shuffle",
         "netspec has no pixel shuffle; `upsample 2, by=nearest` and `deconv 4x4/2, 64, pad=1` "
         "make a map larger"),
    ],
)  # fmt: skip
def test_operators_of_other_frameworks_golden(word: str, advice: str) -> None:
    (error,) = problems(f"{HEADER}a: {word}\n")
    assert (error.message, error.help) == (f"there is no operator or block `{word}`", advice)


OWNERS = {
    "pad": "conv 3x3, 4", "round": "maxpool 2x2", "stride": "conv 3x3, 4", "eps": "bn eps=1",
    "dilation": "conv 3x3, 4", "groups": "conv 3x3, 4", "bias": "fc 4", "count": "fc 4",
    "kernel": "maxpool 2x2", "count_pad": "avgpool 2x2", "rate": "dropout 0.5", "": "fc 4",
    "slope": "leaky_relu slope=0.1", "form": "gelu", "output_pad": "deconv 3x3/2, 4",
    "low": "clip -1, 1", "n": "lrn 5", "shared": "prelu", "by": "upsample 2",
    "factor": "upsample 2", "size": "adaptive_avgpool 2",
}  # fmt: skip


@pytest.mark.parametrize("word", ATTRIBUTES)
def test_an_attribute_of_another_framework_gets_its_advice(word: str) -> None:
    own, advice = ATTRIBUTES[word]
    stage = OWNERS[own]
    assert word not in [a.name for a in OPERATORS[stage.split()[0]].attributes()]
    separator = ", " if " " in stage else " "
    (error,) = problems(f"{HEADER}a: {stage}{separator}{word}=x\n")
    assert (error.code, error.help) == ("NS130", advice)


@pytest.mark.parametrize(
    ("row", "help"),
    [
        ("a: conv 3x3, 4, padding=1", "write `pad=1`"),
        ("a: conv 3x3, 4, padding=same",
         "write `pad=1`; convolutions and pools also have `pad=half` and `pad=same`"),
        ("a: conv 3x3, 4, strides=3", "write `stride=3`"),
        ("a: conv 3x3, 4, bias_term=1", "write `bias=off` or `bias=on`"),
        ("a: deconv 3x3, 4, pads=1", "write `pad=1`"),
        ("a: leaky_relu alpha=0.2", "write `slope=0.2`"),
        ("a: clip 0, max=6",
         "the lowest value comes first, then the highest, without names: `clip 0, 6`"),
        ("a: softmax dim=1",
         "remove it: axes are fixed, such as the channels for softmax and concat"),
        ("a: bn eps=1e-5, affine=off",
         "remove it: bn, ln and gn have weights and biases, bn also running statistics"),
        ("a: lrn local_size=5",
         "the channels of a window come first, without a name: `lrn 5`"),
        ("a: prelu num_parameters=1",
         "write `shared=on` for one slope, `shared=off` for one per channel"),
        ("a: conv 3x3, 4, padding_mode=reflect",
         "padding is always of zeros: write `pad=1`; convolutions and pools also have `pad=half` "
         "and `pad=same`"),
        ("a: maxpool 3x3/2, ceil_mode=true",
         "write `round=ceil` for true, `round=floor` for false"),
        ("a: fc 4, activation=relu",
         "an activation is a stage of its own: `conv 3x3, 64 | relu`"),
        ("a: conv 3x3, 4, filters=8",
         "the number of filters or outputs comes without a name: `conv 3x3, 64`, `fc 10`"),
        ("a: leaky_relu negative_slope=0.2", "write `slope=0.2`"),
        ("a: upsample 2, mode=bilinear", "write `by=nearest` or `by=bilinear`"),
        ("a: deconv 3x3/2, 4, output_padding=1", "write `output_pad=1`"),
        ("a: bn epsilon=1e-3", "write `eps=1e-3`"),
        ("a: fc 4, padding=1", "usage: fc COUNT, bias="),  # not of this operator
    ],
)  # fmt: skip
def test_attributes_of_other_frameworks_golden(row: str, help: str) -> None:
    (error,) = problems(f"{HEADER}{row}\n")
    assert (error.code, error.help) == ("NS130", help)


@pytest.mark.parametrize("word", VALUES)
def test_a_value_of_another_framework_gets_its_advice(word: str) -> None:
    key = "pad" if "pad" in VALUES[word] else "bias"
    (error,) = problems(f"{HEADER}a: conv 3x3, 4, {key}={word}\n")
    assert (error.code, error.help) == ("NS113", VALUES[word])


def test_a_block_may_have_a_word_of_another_framework() -> None:
    assert codes(f"{HEADER}block dense(n) = fc n | relu\na: dense 5\n") == []


ADVICE = [
    *foreign.OPERATORS.values(),
    *map(foreign.operator, OPERATORS),
    *(advice for _, advice in ATTRIBUTES.values()),
]


@pytest.mark.parametrize(
    "stage",
    sorted({
        code for advice in ADVICE for code in re.findall(r"`([^`]+)`", advice)
        if code.split()[0] in OPERATORS
    }),
)  # fmt: skip
def test_what_an_advice_says_to_write_is_a_stage(stage: str) -> None:
    assert codes(f"net example\ninput image 28x28x3\nb: {stage}\n") == []
