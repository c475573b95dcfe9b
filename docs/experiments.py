"""Generate docs/experiments.md and its charts from stored results: python docs/experiments.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # to be run as a script from any folder

from netspec.comparing.experiment import BEDS, Experiment
from netspec.comparing.experiments import EXPERIMENTS
from netspec.views.comparison import difference, header, rows, setting
from netspec.views.comparison_chart import rendered

PAGE = Path(__file__).parent / "experiments.md"
FIGURES = Path(__file__).parent / "images" / "experiments"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "experiments"

Entry = dict[str, Any]

INTRODUCTION = """\
# The paper's comparisons

For each of its ideas the AlexNet paper reports how much the idea helps. It compares nets that
differ in one thing. `netspec compare` repeats these comparisons, and one from the VGG paper:

```
netspec compare relu-tanh --data digits -o relu-tanh --seeds 5
netspec compare --list
```

The nets of a comparison are called arms. The command trains all arms with the same seeds, by the
recipes in the specs of `netspec/comparing/nets/`. It needs matplotlib and SciPy
(`pip install 'netspec-compiler[compare]'`). It prints a table and writes these files:

| path | content |
| --- | --- |
| `DIR/nets/` | the spec of each arm |
| `DIR/runs/` | a run directory for each arm and seed |
| `DIR/results.json` | all results |
| `DIR/figure.png` | a chart of them |

The same command continues an interrupted comparison. A larger number of `--seeds` adds runs to
those that exist.
"""

NETS = {
    "lenet5_arms": "LeNet-5 with ReLUs and max-pools, and without the connection table",
    "cifar4_arms": "the four-layer net of the paper's experiments on CIFAR-10",
    "alexnet_arms": "AlexNet; for the warm start VGG11 and VGG13",
}

MEASURES = {
    "test error, training error": "errors of the trained net in percent, on the images that it "
    "was not trained on, and on those that it was; on the centres of images, without dropout",
    "gap between the two": "test error minus training error",
    "steps to 25 % training error": "from the errors of the batches during training, as in the "
    "paper's Figure 1. The mean of an epoch counts for the middle of the epoch; values in between "
    "are interpolated linearly",
    "steps to 5 % test error": "from the test error after each epoch; values in between are "
    "interpolated linearly",
    "[low, high]": "a 95 % interval of the difference of two means: by Welch's t-test over the "
    "seeds, or by Student's t-test over pairs if the same nets are tested twice. A difference is "
    "larger than the noise if its interval does not contain 0. Of twenty comparisons of equal "
    "arms, about one is larger than the noise by chance",
}

COMMANDS = """\
## On CIFAR-10 and ImageNet

These comparisons have not been run: they need the data and, for ImageNet, a GPU. The numbers of
the paper are for these data sets, so only these commands can reproduce them. EXPERIMENT is a name
from the table above.

```
netspec compare EXPERIMENT --data cifar10:DIR -o OUT --device cuda --workers 2
netspec pack images:IMAGENET -o SHARDS
netspec compare EXPERIMENT --data shards:SHARDS -o OUT --device cuda --workers 8 --seeds 2
```

On ImageNet each arm and seed trains for 90 epochs, as in the paper. `--epochs 20` is shorter, but
then the results cannot be compared with the paper's. [data.md](data.md) says where to get the
data.
"""

DIGITS = """\
## Results on digits

These results are for scikit-learn's digits: 1,437 for training and 360 for validation. One more
wrong digit is 0.28 %. A net of 60,000 parameters, which classifies 98 of 100 digits correctly
after 12 epochs, leaves little room for improvement. So the results show that the commands work,
and how large the noise is. They say nothing about ImageNet. In the charts, errors below 0.1 % are
drawn at 0.1 %. If a chart has few arms, pale bands show the range over the seeds.
"""

REMARKS = {
    "relu-tanh": "The opposite of the paper's result: tanh needs half as many steps. Each arm "
    "uses the best of four learning rates, found with a seed that is not among those compared. "
    "The net has two convolutions, and digits are easy; possibly nothing saturates in this net.",
    "lrn": "LRN makes the error worse, by little more than the noise, and the results vary much "
    "more. Six maps are few for a window of five. Of the constants of LRN, only alpha was adapted "
    "to inputs of this size.",
    "pooling": "Five seeds show no difference. The direction is opposite to the paper's, for the "
    "error and for the gap.",
    "layers": "Not the paper's result: removing a layer does no harm, and without C1 the net is "
    "better. The images have 8x8 pixels, enlarged; a deep net may find little in them.",
    "columns": "The same direction as in the paper; the interval just contains 0.",
    "dropout": "Neither overfitting without dropout nor slower training with it is larger than "
    "the noise. This net applies dropout to one layer of 84 outputs, AlexNet to two layers of "
    "4096.",
    "crops": "Without crops the training error is lower, and the test error is not. This is "
    "overfitting, as the paper reports, although the test errors differ by less than the noise.",
    "decay": "The same direction as in the paper, also for the training error, but far within the "
    "noise.",
    "bias": "The opposite of the paper's result, far outside the noise; one net of five learned "
    "nothing. The initial weights are those of He et al.; the paper's have a deviation of 0.01, "
    "which may be why it needs biases of 1.",
    "tencrop": "These seeds show no difference. A reflected digit is not a digit, so nets that "
    "are trained with reflections have larger errors than those above.",
    "warmstart": "The same result as in the VGG paper: the deeper net reaches a small error in "
    "fewer steps if it starts with weights of the shallower net. The steps that trained these "
    "weights are not counted.",
}
"""A remark on the result of each comparison. Figures are only in the tables."""


def page(results: dict[str, Entry]) -> Iterator[str]:
    """Yield the paragraphs of the page."""
    yield INTRODUCTION
    yield table(
        ["data", "net", "what it is"], [[_data(net), f"`{net}`", NETS[net]] for net in NETS]
    )
    yield table(["measure", "meaning"], map(list, MEASURES.items()))
    listed = [[f"`{e.name}`", e.says, e.source, _kinds(e)] for e in EXPERIMENTS]
    yield table(["comparison", "the paper says", "where", "data"], listed)
    yield COMMANDS
    yield DIGITS
    yield measured_on([*results.values()])
    for comparison in EXPERIMENTS:
        if comparison.name in results:
            yield from section(comparison, results[comparison.name])


def _data(net: str) -> str:
    return ", ".join(f"`{kind}`" for kind, bed in BEDS.items() if bed == net)


def _kinds(comparison: Experiment) -> str:
    kinds = [kind for kind, bed in BEDS.items() if bed in comparison.arms]
    return "all" if len(kinds) == len(BEDS) else ", ".join(f"`{kind}`" for kind in kinds)


def measured_on(results: list[Entry]) -> str:
    """Return a sentence on the machine, the dates and the number of runs."""
    machines = {json.dumps(result["machine"], sort_keys=True) for result in results}
    (machine,) = map(json.loads, machines)
    dates = sorted({result["date"] for result in results})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    runs = [run for result in results for arm in result["arms"] for run in arm["runs"]]
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] != 1)}"
    return (
        f"{len(runs)} runs on {when}: {machine['cpu']}, {threads} per run, torch "
        f"{machine['torch']}. The same command gives the same weights. Other work on the machine "
        "changes only how long a run takes.\n\nThis page is generated by "
        "`python docs/experiments.py` from `benchmarks/results/experiments/`.\n"
    )


def section(comparison: Experiment, result: Entry) -> Iterator[str]:
    """Yield what the paper says, the table, the differences, the chart and a remark."""
    yield f"### {comparison.title}\n"
    source = comparison.source[0].upper() + comparison.source[1:]
    note = comparison.note.get(result["net"], "")
    note = note and f" {note[0].upper()}{note[1:]}."
    yield f"{source}: {comparison.says}.{note}\n"
    yield f"```\n{command(result)}\n```\n"
    yield f"{setting(result)}:\n"
    yield table(header(result), rows(result))
    yield "".join(f"- {difference(result, entry)}\n" for entry in result["differences"])
    shown = f"{comparison.title}: errors during training, and the measures"
    yield f"![{shown}]({figure(comparison).as_posix()})\n"
    yield f"{REMARKS[comparison.name]}\n"


def command(result: Entry) -> str:
    """Return the command of a result."""
    asked, name = result["asked"], result["experiment"]
    options = "".join(
        f" --{option} {asked[option]}" for option in ("epochs", "batch") if asked[option]
    )
    return (
        f"netspec compare {name} --data {asked['data']} -o {name} --seeds {asked['seeds']}{options}"
    )


def figure(comparison: Experiment) -> Path:
    """Return the path of a comparison's figure, relative to the page."""
    return (FIGURES / f"{comparison.name}.svg").relative_to(PAGE.parent)


def table(heads: list[str], cells: Iterable[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def load() -> dict[str, Entry]:
    """Return the stored results on digits, by the name of the comparison."""
    paths = RESULTS.glob("*-digits.json")
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return {result["experiment"]: result for result in results}


def current() -> str:
    """Return the page of all stored results."""
    return "\n".join(page(load()))


if __name__ == "__main__":
    PAGE.write_text(current(), encoding="utf-8")
    FIGURES.mkdir(parents=True, exist_ok=True)
    for name, result in load().items():
        (FIGURES / f"{name}.svg").write_bytes(rendered(result, "svg"))
