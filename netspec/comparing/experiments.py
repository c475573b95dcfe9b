"""The comparisons of the AlexNet paper, and VGG's warm start, as a table."""

from __future__ import annotations

from netspec.comparing.experiment import Arm, Experiment, Measure, everywhere
from netspec.errors import DataError

TEST, TRAINING, GAP = Measure(kind="test"), Measure(kind="training"), Measure(kind="gap")
STEPS = Measure(kind="steps", level=25)
STEPS_TEST = Measure(kind="steps_test", level=5)
FREE = {"decay": 0.0, "is_augmented": False}
"""Settings without regularisation, as in Figure 1."""


def _without(*rows: str) -> tuple[Arm, ...]:
    """Return an arm with the whole net, and one arm without each of these rows."""
    return Arm(name="all"), *(Arm(name=f"without {row}", changes=f"drop {row}") for row in rows)


EXPERIMENTS = (
    Experiment(
        name="relu-tanh",
        title="ReLU against tanh",
        source="section 3.1, Figure 1",
        says="25 % training error on CIFAR-10 six times faster with ReLUs, in a four-layer net",
        arms=everywhere(
            Arm(name="relu", parameters={"act": "relu", "drop": "0"}, training=FREE),
            Arm(name="tanh", parameters={"act": "tanh", "drop": "0"}, training=FREE),
        ),
        measures=(STEPS,),
        factors=(1 / 9, 1 / 3, 1, 3),
    ),
    Experiment(
        name="lrn",
        title="Local response normalisation",
        source="section 3.3",
        says="1.4 % and 1.2 % less top-1 and top-5 error; on CIFAR-10 11 % in place of 13 %",
        arms=everywhere(
            Arm(name="with", parameters={"normed": "on"}),
            Arm(name="without", parameters={"normed": "off"}),
        ),
        measures=(TEST,),
    ),
    Experiment(
        name="pooling",
        title="Overlapping pooling",
        source="section 3.4",
        says="0.4 % and 0.3 % less error than 2x2/2, and slightly harder to overfit",
        arms=everywhere(
            Arm(name="3x3/2", parameters={"pool": "3x3/2"}),
            Arm(name="2x2/2", parameters={"pool": "2x2/2"}),
        ),
        measures=(TEST, TRAINING, GAP),
    ),
    Experiment(
        name="layers",
        title="Any layer removed",
        source="sections 1 and 7",
        says="removing any convolution is worse; any of the middle ones about 2 % of top-1 error",
        arms={
            "lenet5_arms": _without("C1", "C3", "C5", "F6"),
            "cifar4_arms": _without("C2", "L3", "L4"),
            "alexnet_arms": _without("C2", "C3", "C4", "C5", "F6", "F7"),
        },
        measures=(TEST, TRAINING),
        note={"lenet5_arms": "without C1 the input of the pool S2 is the image"},
    ),
    Experiment(
        name="columns",
        title="One column against two",
        source="section 3.2",
        says="two columns have 1.7 % and 1.2 % less error than one of half the kernels",
        arms={
            "lenet5_arms": (
                Arm(name="two columns", parameters={"halves": "2"}),
                Arm(name="one column", parameters={"halves": "1"}),
            ),
            "cifar4_arms": (
                Arm(name="two columns", parameters={"halves": "2"}),
                Arm(name="one column", parameters={"halves": "1"}),
            ),
            "alexnet_arms": (
                Arm(name="two columns"),
                Arm(
                    name="one column",
                    base="alexnet_one_column",
                    changes="F8: fc classes | softmax",
                ),
            ),
        },
        measures=(TEST, TRAINING),
        note={
            "lenet5_arms": "two columns have 12 and 32 kernels, one has 6 and 16",
            "cifar4_arms": "two columns have 128 kernels in C1 and C2, one has 64",
        },
    ),
    Experiment(
        name="dropout",
        title="Dropout",
        source="section 4.2",
        says="without it there is substantial overfitting; it doubles the steps to converge",
        arms=everywhere(
            Arm(name="with", parameters={"drop": "0.5"}),
            Arm(name="without", parameters={"drop": "0"}),
        ),
        measures=(TEST, TRAINING, GAP, STEPS_TEST),
    ),
    Experiment(
        name="crops",
        title="Random crops",
        source="section 4.1",
        says="without crops and reflections there is substantial overfitting",
        arms=everywhere(
            Arm(name="with", parameters={"colour": "0"}),
            Arm(name="without", parameters={"colour": "0"}, training={"is_augmented": False}),
        ),
        measures=(TEST, TRAINING, GAP),
        note={"lenet5_arms": "crops without reflections, because a reflected digit is not a digit"},
    ),
    Experiment(
        name="colour",
        title="Colours shifted along their principal components",
        source="section 4.1",
        says="over 1 % less top-1 error",
        arms={
            bed: (
                Arm(name="with", parameters={"colour": "0.1"}),
                Arm(name="without", parameters={"colour": "0"}),
            )
            for bed in ("cifar4_arms", "alexnet_arms")
        },
        measures=(TEST, TRAINING),
    ),
    Experiment(
        name="decay",
        title="Weight decay",
        source="section 5",
        says="it is no mere regulariser: it lowers the training error",
        arms=everywhere(Arm(name="with"), Arm(name="without", training={"decay": 0.0})),
        measures=(TRAINING, TEST),
    ),
    Experiment(
        name="bias",
        title="Biases that begin with 1",
        source="section 5",
        says="they accelerate the early stages of learning, by positive inputs to ReLUs",
        arms=everywhere(
            Arm(name="1", parameters={"start": "1"}),
            Arm(name="0", parameters={"start": "0"}),
        ),
        measures=(STEPS, TEST),
    ),
    Experiment(
        name="tencrop",
        title="Ten crops against one",
        source="section 4.1, Table 1 and a footnote that the print lost",
        says="37.5 % and 17.0 % top-1 and top-5 error with ten, 39.0 % and 18.3 % with the centre",
        arms={
            "lenet5_arms": (
                Arm(name="ten crops", base="lenet5_mirrored", is_tencrop=True),
                Arm(name="the centre", base="lenet5_mirrored", shares="ten crops"),
            ),
        }
        | {
            bed: (
                Arm(name="ten crops", is_tencrop=True),
                Arm(name="the centre", shares="ten crops"),
            )
            for bed in ("cifar4_arms", "alexnet_arms")
        },
        measures=(TEST,),
        note={"lenet5_arms": "trained with reflections, because the ten crops contain them"},
    ),
    Experiment(
        name="warmstart",
        title="A deeper net that begins with the weights of a shallower one",
        source="VGG paper, section 3.1",
        says="deep nets whose first and last layers come from net A need fewer epochs",
        arms={
            "lenet5_arms": (
                Arm(
                    name="warm",
                    changes="E1 after C1: conv 3x3, 6, pad=1 | act\n"
                    "    E3 after C3: conv 3x3, 16, pad=1 | act",
                    begins_with="shallow",
                ),
                Arm(
                    name="cold",
                    changes="E1 after C1: conv 3x3, 6, pad=1 | act\n"
                    "    E3 after C3: conv 3x3, 16, pad=1 | act",
                ),
                Arm(name="shallow"),
            ),
            "cifar4_arms": (
                Arm(
                    name="warm",
                    changes="E2 after C2: conv 5x5, 64, pad=2 | act",
                    begins_with="shallow",
                ),
                Arm(name="cold", changes="E2 after C2: conv 5x5, 64, pad=2 | act"),
                Arm(name="shallow"),
            ),
            "alexnet_arms": (
                Arm(
                    name="warm",
                    base="vgg13",
                    changes="FC3: fc classes | softmax",
                    begins_with="shallow",
                ),
                Arm(name="cold", base="vgg13", changes="FC3: fc classes | softmax"),
                Arm(name="shallow", base="vgg11", changes="FC3: fc classes | softmax"),
            ),
        },
        measures=(STEPS_TEST, TEST),
        note={
            "lenet5_arms": "the deeper net has one more 3x3 convolution after C1 and one after C3",
            "cifar4_arms": "the deeper net has a second C2",
            "alexnet_arms": "VGG11 and VGG13",
        },
    ),
)


def experiment(name: str) -> Experiment:
    """Return the comparison with a name.  Raise DataError if there is none."""
    for comparison in EXPERIMENTS:
        if comparison.name == name:
            return comparison
    known = ", ".join(comparison.name for comparison in EXPERIMENTS)
    raise DataError(f"there is no comparison {name!r}: choose one of {known}")
