"""Learning recipes: each directive and step read back, and each mistake."""

from __future__ import annotations

import pytest

from netspec import load, loads
from netspec.ir.recipe import (
    DIRECTIVES,
    Assigned,
    Batch,
    Bias,
    Center,
    CenterCrop,
    Crop,
    CrossEntropy,
    Decay,
    Divide,
    Epochs,
    Every,
    Flip,
    Gaussian,
    Glorot,
    He,
    Invert,
    Order,
    Plateau,
    PrincipalComponents,
    Range,
    Rate,
    Recipe,
    RecipeStep,
    Rescale,
    Resize,
    Sgd,
    Shorter,
    SquaredError,
    Subtract,
    SubtractNumbers,
    TenCrop,
    Uniform,
)
from netspec.language.diagnostics import Diagnostic
from tests.helpers import problems

NET = """net example(n=32, rate0=1/100)
let decay0 = 5e-4
input image 8x8x3
a: conv 3x3, 4 | relu
s: maxpool 2x2/2
f: fc 10 | softmax
head aux from s: gap | fc 7
"""
NEEDED = {
    "loss": "loss cross_entropy",
    "optimizer": "optimizer sgd lr=0.01",
    "batch": "batch 128",
    "epochs": "epochs 10",
}


def trained(*lines: str) -> str:
    """A spec whose recipe has these lines, and what they leave out of the needed ones."""
    directives = {line.split()[0] for line in lines if line.split()}
    needed = [line for name, line in NEEDED.items() if name not in directives]
    return f"{NET}train {{\n" + "\n".join([*lines, *needed]) + "\n}\n"


def recipe_of(*lines: str, **parameters: object) -> Recipe:
    recipe = loads(trained(*lines), **parameters).recipe  # type: ignore[arg-type]
    assert recipe is not None
    return recipe


def told(*lines: str) -> list[tuple[str, str]]:
    return [(d.code, d.help) for d in problems(trained(*lines))]


def problem(*lines: str) -> Diagnostic:
    (error,) = problems(trained(*lines))
    return error


# ------------------------------------------------------------------------------- what is read


def test_the_recipe_of_alexnet_is_the_papers() -> None:
    assert load("alexnet").recipe == Recipe(
        prepare=[Shorter(size=256), Center(size=(256, 256)), Subtract(what="mean", over="image")],
        augment=[
            Crop(size=(224, 224)),
            Flip(),
            PrincipalComponents(deviation=0.1, of="eigenvalue"),
        ],
        loss=[CrossEntropy()],
        init=[Assigned(Gaussian(deviation=0.01))],
        bias=[
            Assigned(Bias(value=0.0)),
            Assigned(Bias(value=1.0), ("C2", "C4", "C5", "F6", "F7")),
        ],
        rate=[],
        decay=[],
        optimizer=[Sgd(lr=0.01, momentum=0.9, decay=0.0005)],
        batch=[Batch(size=128)],
        epochs=[Epochs(count=90)],
        schedule=[Plateau(factor=0.1, times=3, patience=5)],
        evaluate=[TenCrop()],
    )


def test_a_net_without_a_recipe_has_none() -> None:
    assert loads(NET).recipe is None


STEPS: list[tuple[str, str, RecipeStep]] = [
    ("prepare", "shorter 256", Shorter(size=256)),
    ("prepare", "resize 8", Resize(size=(8, 8))),
    ("prepare", "resize 8x8", Resize(size=(8, 8))),
    ("prepare", "center 8", Center(size=(8, 8))),
    ("prepare", "range low=-0.1, high=1.175", Range(low=-0.1, high=1.175)),
    ("prepare", "subtract mean image", Subtract(what="mean", over="image")),
    ("prepare", "subtract median, channel", Subtract(what="median", over="channel")),
    ("prepare", "shorter 9, round=floor", Shorter(size=9, round="floor")),
    ("prepare", "shorter 9 with bilinear", Shorter(size=9, filter="bilinear")),
    ("prepare", "resize 8 with box", Resize(size=(8, 8), filter="box")),
    ("prepare", "resize 8, filter=box", Resize(size=(8, 8), filter="box")),
    ("prepare", "center 8, round=even", Center(size=(8, 8), round="even")),
    ("prepare", "invert", Invert()),
    ("prepare", "order bgr", Order(channels="bgr")),
    ("prepare", "subtract 128", SubtractNumbers(first=128.0)),
    ("prepare", "subtract 1 2.5 (-3)", SubtractNumbers(first=1.0, second=2.5, third=-3.0)),
    ("prepare", "divide 58.393, 57.12, 57.375", Divide(first=58.393, second=57.12, third=57.375)),
    ("augment", "crop 8", Crop(size=(8, 8))),
    ("augment", "flip", Flip()),
    ("augment", "pca 0, of=deviation", PrincipalComponents(deviation=0.0, of="deviation")),
    ("augment", "rescale 256, 512", Rescale(low=256, high=512)),
    ("augment", "rescale 256 256", Rescale(low=256, high=256)),
    ("loss", "cross_entropy", CrossEntropy()),
    ("loss", "squared_error", SquaredError()),
    ("optimizer", "sgd lr=1/10", Sgd(lr=0.1, momentum=0.0, decay=0.0)),
    ("optimizer", "sgd lr=2, momentum=0.9, decay=0", Sgd(lr=2.0, momentum=0.9, decay=0.0)),
    ("schedule", "every 8, factor=0.96", Every(epochs=8, factor=0.96)),
    (
        "schedule",
        "plateau factor=0.1, times=3, patience=5",
        Plateau(factor=0.1, times=3, patience=5),
    ),
    ("evaluate", "tencrop", TenCrop()),
    ("evaluate", "center", CenterCrop()),
]
ASSIGNED: list[tuple[str, str, RecipeStep]] = [
    ("init", "init gaussian 0.01", Gaussian(deviation=0.01)),
    ("init", "init uniform 2.4", Uniform(bound=2.4)),
    ("init", "init glorot", Glorot()),
    ("init", "init he", He()),
    ("bias", "bias 0.1", Bias(value=0.1)),
    ("bias", "bias -0.5", Bias(value=-0.5)),
    ("bias", "bias +1", Bias(value=1.0)),
    ("bias", "bias (1/3 - 1)", Bias(value=float(-2 / 3))),
    ("rate", "rate 2", Rate(factor=2.0)),
    ("rate", "rate 0", Rate(factor=0.0)),
    ("decay", "decay 2.5", Decay(factor=2.5)),
    ("decay", "decay 0", Decay(factor=0.0)),
]


@pytest.mark.parametrize(("directive", "text", "step"), STEPS)
def test_each_step_is_read_back(directive: str, text: str, step: RecipeStep) -> None:
    assert getattr(recipe_of(f"{directive} {text}"), directive) == [step]


@pytest.mark.parametrize(("directive", "text", "step"), ASSIGNED)
def test_steps_hold_for_all_rows_or_for_some(directive: str, text: str, step: RecipeStep) -> None:
    assert getattr(recipe_of(text), directive) == [Assigned(step)]
    assert getattr(recipe_of(f"{text} for f a"), directive) == [Assigned(step, ("f", "a"))]


def test_batch_and_epochs_are_their_own_steps() -> None:
    recipe = recipe_of("batch 64", "epochs 3")
    assert (recipe.batch, recipe.epochs) == ([Batch(size=64)], [Epochs(count=3)])


def test_every_step_of_every_directive_is_tested() -> None:
    kinds = {type(step) for _, _, step in STEPS + ASSIGNED} | {Batch, Epochs}
    assert kinds == {kind for kinds in DIRECTIVES.values() for kind in kinds}


def test_steps_of_a_pipe_keep_their_order() -> None:
    assert recipe_of("augment flip | crop 8 | flip").augment == [Flip(), Crop(size=(8, 8)), Flip()]


def test_weights_come_from_another_run() -> None:
    assigned = recipe_of('init from "runs/small" for a f', "init glorot for aux", "init he").init
    assert assigned == [
        Assigned(None, ("a", "f"), "runs/small"),
        Assigned(Glorot(), ("aux",)),
        Assigned(He()),
    ]
    assert recipe_of('init from "runs/small"').init == [Assigned(None, (), "runs/small")]


def test_rates_are_for_weights_and_biases_too() -> None:
    assert recipe_of("rate 2 for bias", "rate 0 for a").rate == [
        Assigned(Rate(factor=2.0), ("bias",)),
        Assigned(Rate(factor=0.0), ("a",)),
    ]


def test_parameters_and_constants_are_values() -> None:
    lines = (
        "batch n",
        "epochs (2*n)",
        "optimizer sgd lr=rate0, decay=decay0",
        "augment crop (n//4)",
    )
    recipe = recipe_of(*lines)
    assert recipe.batch == [Batch(size=32)]
    assert recipe.epochs == [Epochs(count=64)]
    assert recipe.optimizer == [Sgd(lr=0.01, decay=0.0005)]
    assert recipe_of("batch n", n=7).batch == [Batch(size=7)]


def test_defaults_of_operators_are_not_those_of_steps() -> None:
    text = trained().replace("conv 3x3, 4", "conv 3x3, 4 | bn eps=1e-5")
    text = text.replace("input", "default momentum=0.5\ninput", 1)
    recipe = loads(text).recipe
    assert recipe is not None
    assert recipe.optimizer == [Sgd(lr=0.01, momentum=0.0)]


# ------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize("left_out", NEEDED)
def test_what_a_recipe_has_to_say(left_out: str) -> None:
    lines = "\n".join(line for name, line in NEEDED.items() if name != left_out)
    (error,) = problems(f"{NET}train {{\n{lines}\n}}\n")
    assert (error.code, error.message) == ("NS150", f"the recipe does not have `{left_out}`")
    assert error.span.text == "train"


def test_a_misspelt_directive_is_not_missing_as_well() -> None:
    lines = "\n".join(NEEDED.values()).replace("batch", "bacth")
    (error,) = problems(f"{NET}train {{\n{lines}\n}}\n")
    assert (error.code, error.help) == ("NS151", "did you mean `batch`?")
    assert error.span.text == "bacth"


def test_a_net_has_one_recipe() -> None:
    text = trained() + trained().removeprefix(NET)
    assert [(d.code, d.message) for d in problems(text)] == [
        ("NS131", "a second `train` in one net")
    ]


@pytest.mark.parametrize(
    ("lines", "message", "at"),
    [
        (("augment flip", "augment flip"), "`augment` is given twice", "augment"),
        (("batch 1", "batch 2"), "`batch` is given twice", "batch"),
        (("bias 0", "bias 1"), "`bias` is given twice", "bias"),
        (("bias 0 for a", "bias 1 for f a"), "`bias` is given twice for a", "a"),
        (("init he for a a",), "`init` is given twice for a", "a"),
        (("rate 2 for bias", "rate 1 for bias"), "`rate` is given twice for bias", "bias"),
    ],
)
def test_a_directive_is_given_once(lines: tuple[str, ...], message: str, at: str) -> None:
    error = problem(*lines)
    assert (error.code, error.message, error.span.text) == ("NS131", message, at)
    assert "first given on line" in error.notes[0].message


@pytest.mark.parametrize(
    ("line", "code", "at", "help"),
    [
        ("agument flip", "NS151", "agument", "did you mean `augment`?"),
        ("warmup 5", "NS151", "warmup", f"a recipe has {', '.join(DIRECTIVES)}"),
        ("augment flop", "NS151", "flop", "did you mean `flip`?"),
        ("augment tencrop", "NS151", "tencrop", "did you mean `crop`?"),
        ("optimizer adam lr=1", "NS151", "adam", "its steps are sgd"),
        ("optimizer lr=1", "NS151", "lr=1", "its steps are sgd"),
        ("evaluate 10", "NS151", "10", "its steps are tencrop, center"),
        ("augment", "NS152", "augment", "write one of: crop SIZE; flip; pca DEVIATION, of=; "
         "rescale LOW, HIGH"),
        ("batch", "NS152", "batch", "write batch SIZE"),
        ("bias", "NS152", "bias", "write bias VALUE"),
        ("init", "NS152", "init", "write one of: gaussian DEVIATION; uniform BOUND; glorot; he; "
         'from "RUN"'),
        ("loss cross_entropy | squared_error", "NS152", "loss",
         "write one of: cross_entropy; squared_error"),
        ("init he | glorot", "NS152", "init", "write one of: gaussian DEVIATION; uniform BOUND; "
         'glorot; he; from "RUN"'),
        ('init from "runs/a" he', "NS152", "init", "write one of: gaussian DEVIATION; "
         'uniform BOUND; glorot; he; from "RUN"'),
        ('bias from "runs/a"', "NS152", '"runs/a"', 'write: init from "RUN" for ROWS'),
        ('augment from "runs/a" flip', "NS152", '"runs/a"', 'write: init from "RUN" for ROWS'),
        ("augment flip for a", "NS152", "a", "write `for` only after init, bias, rate, decay"),
        ("batch 128 for a f", "NS152", "a", "write `for` only after init, bias, rate, decay"),
        ("bias 1 for aa", "NS111", "aa", "did you mean `a`?"),
        ("bias 1 for C9", "NS111", "C9", "`for` names rows of the net"),
        ("bias 1 for bias", "NS111", "bias", "`for` names rows of the net"),
        ("rate 1 for baes", "NS111", "baes", "did you mean `bias`?"),
        ("decay 0 for baes", "NS111", "baes", "did you mean `bias`?"),
        ("bias 1 for a s f", "NS153", "s", "name rows with trained parameters"),
        ('init from "runs/a" for s', "NS153", "s", "name rows with trained parameters"),
    ],
)  # fmt: skip
def test_words_that_a_recipe_does_not_know(line: str, code: str, at: str, help: str) -> None:
    error = problem(line)
    assert (error.code, error.span.text, error.help) == (code, at, help)


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("augment crop", "NS133", "crop needs size: height and width in pixels"),
        ("augment pca 0.1", "NS133", "pca needs of=: what the variable multiplies"),
        ("prepare range low=0", "NS133", "range needs high=: the value of pixel 255"),
        ("prepare subtract mean", "NS133",
         "subtract needs over: one per pixel position, or per channel"),
        ("optimizer sgd momentum=0.9", "NS133", "sgd needs lr=: learning rate"),
        ("schedule every 10", "NS133", "every needs factor=: factor of the learning rate"),
        ("schedule plateau factor=0.1, times=3", "NS133",
         "plateau needs patience=: epochs without improvement; papers do not give the number"),
        ("augment crop 8 flip", "NS135", "too many arguments: crop takes 1 without a name, size"),
        ("batch 128 64", "NS135", "too many arguments: batch takes 1 without a name, size"),
        ("augment flip 2", "NS135",
         "too many arguments: flip takes no arguments without a name"),
        ("augment flip size=2", "NS130", "flip has no `size`"),
        ("augment crop size=8, 8", "NS134",
         "a value without a name comes after a named value"),
        ("optimizer sgd lr=1, lr=2", "NS131", "`lr` is given twice"),
        ("augment crop flip", "NS113", "`flip` is not defined; for size of crop, expected "
         "a whole number of at least 1, or HxW"),
        ("prepare subtract maen image", "NS113",
         "`maen` is not defined; for what of subtract, expected mean or median"),
        ("prepare subtract mean 3", "NS132",
         "over of subtract: expected image or channel, and this is 3"),
        ("bias relu", "NS132", "value of bias: expected a number, and this is the word `relu`"),
        ("batch 0", "NS132",
         "size of batch: expected a whole number of at least 1, and this is 0"),
        ("batch -1", "NS132",
         "size of batch: expected a whole number of at least 1, and this is -1"),
        ("batch 1.5", "NS132",
         "size of batch: expected a whole number of at least 1, and this is 1.5"),
        ("batch (1/0)", "NS141", "division by zero"),
        ("batch 99999999999999999999", "NS007", "this number is out of range"),
        ("epochs many", "NS113", "`many` is not defined; for count of epochs, expected "
         "a whole number of at least 1"),
        ("init gaussian 0", "NS132",
         "deviation of gaussian: expected a number above 0, and this is 0"),
        ("init uniform -1", "NS101", "this does not fit: found `-`"),
        ("rate -1", "NS132", "factor of rate: expected a number of at least 0, and this is -1"),
        ("optimizer sgd lr=0", "NS132",
         "lr of sgd: expected a number above 0, and this is 0"),
        ("optimizer sgd lr=1, momentum=1", "NS132",
         "momentum of sgd: expected a number of at least 0 and below 1, and this is 1"),
        ("optimizer sgd lr=1, decay=-1", "NS132",
         "decay of sgd: expected a number of at least 0, and this is -1"),
        ("schedule every 5, factor=1", "NS132",
         "factor of every: expected a number of at least 0 and below 1, and this is 1"),
        ("augment rescale 512, 256", "NS132", "rescale: 256 is less than 512"),
    ],
)  # fmt: skip
def test_values_that_a_step_does_not_take(line: str, code: str, message: str) -> None:
    assert [(d.code, d.message) for d in problems(trained(line))] == [(code, message)]


@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        (("augment crop 8",), []),
        (("augment crop 7",), ["NS154"]),
        (("augment crop 8x7",), ["NS154"]),
        (("prepare center 7", "augment crop 8"), []),
        (("augment crop 8", "prepare center 16"), []),
        (("prepare resize 16 | center 8",), []),
        (("prepare resize 8 | center 7",), ["NS154"]),
        (("augment crop 8 | crop 7",), ["NS154"]),
        (("prepare center 7", "augment crop foo"), ["NS113"]),
        (("prepare center 7", "augment bogus | crop 8"), ["NS151"]),
        (("prepare shorter 7",), []),
    ],
)
def test_images_come_out_in_the_size_of_the_input(lines: tuple[str, ...], codes: list[str]) -> None:
    assert [code for code, _ in told(*lines)] == codes


def test_a_wrong_size_is_told_with_both() -> None:
    error = problem("augment flip | crop 7x8 | flip")
    assert error.message == "images come out of `crop` as 7x8, and the net takes 8x8x3"
    assert error.span.text == "crop 7x8"


def test_sizes_are_not_held_against_vectors_symbols_and_several_inputs() -> None:
    tail = trained("augment crop 7").removeprefix(NET)
    for rows in (
        "input v 100\na: fc 10\n",
        "input v H x W x 3\na: gap | fc 10\n",
        "input v 8x8x3\ninput w 8x8x3\na from v, w: concat\n",
    ):
        assert problems("net n\n" + rows + tail) == []


def test_mistakes_of_several_directives_are_told_together() -> None:
    errors = problems(trained("augment flop", "bias 1 for zz", "schedule every 10", "batch 0"))
    assert [d.code for d in errors] == ["NS151", "NS111", "NS133", "NS132"]


def test_rows_that_were_lost_are_not_missed() -> None:
    text = trained("bias 1 for b").replace("f: fc", "b: cnov 3\nf: fc")
    assert [d.code for d in problems(text)] == ["NS112"]
    text = trained("bias 1 for b").replace("f: fc", "b: fc (\nf: fc")
    assert [d.code for d in problems(text)] == ["NS102"]


# ------------------------------------------------------------------------------- variants


def test_a_variant_has_the_recipe_of_its_base_or_its_own() -> None:
    assert load("alexnet_one_column").recipe == load("alexnet").recipe
    own = trained("batch 7").removeprefix(NET)
    recipe = loads(f"net v from alexnet {{\n{own}\n}}\n").recipe
    assert recipe is not None
    assert (recipe.batch, recipe.augment) == ([Batch(size=7)], [])
