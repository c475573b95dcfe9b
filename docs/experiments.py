"""Write docs/experiments.md and its figures from kept results: python docs/experiments.py."""

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

The AlexNet paper says of each of its ideas what it is worth, from nets that differ in one thing.
Each of these comparisons is a command; one more is VGG's, of a warm start. This page is written by
`python docs/experiments.py` from the files in `benchmarks/results/experiments/`, and a test
compares the two.

```
netspec compare relu-tanh --data digits -o relu-tanh --seeds 5
netspec compare --list
```

Arms are trained side by side, with the same seeds, by the recipes in the specs of
`netspec/comparing/nets/`. The command writes each arm as a spec into `DIR/nets/`, where it can be
read, and a run directory for each arm and seed into `DIR/runs/`: a comparison that was
interrupted goes on where it stopped, and more `--seeds` add to what is there. The table is printed;
`DIR/results.json` has all of it, and `DIR/figure.png` shows it. matplotlib and SciPy are needed:
`pip install 'netspec-compiler[compare]'`.
"""

NETS = {
    "lenet5_arms": "LeNet-5 with ReLUs and max-pools, and without the connection table",
    "cifar4_arms": "the four-layer net of the paper's experiments on CIFAR-10",
    "alexnet_arms": "AlexNet; for the warm start VGG11 and VGG13",
}

MEASURES = {
    "test error, training error": "of the net at the end, in percent of the images that were not "
    "seen, and of those that were; on their centres, without dropout",
    "steps to 25 % training error": "by the batches as they are learned from, as in the paper's "
    "Figure 1: an epoch's mean stands at its middle, with lines in between",
    "steps to 5 % test error": "by the tests behind each epoch, with lines in between",
    "[low, high]": "a 95 % interval of the difference of two means, by Welch's t over the seeds, "
    "or by Student's over pairs where the same nets are tested twice. Larger than the noise is "
    "what leaves out 0: of twenty comparisons of equal arms, one does",
}

COMMANDS = """\
## On CIFAR-10 and ImageNet

These have not been run: they need the data and, for ImageNet, a GPU. The paper's numbers are of
these sets, so only these commands can say whether they come out again. EXPERIMENT is a name from
the table.

```
netspec compare EXPERIMENT --data cifar10:DIR -o OUT --device cuda --workers 2
netspec pack images:IMAGENET -o SHARDS
netspec compare EXPERIMENT --data shards:SHARDS -o OUT --device cuda --workers 8 --seeds 2
```

On ImageNet each arm and seed is a training of 90 epochs, as in the paper; `--epochs 20` makes it
shorter, and asks another question. Where the data comes from is in [data.md](data.md).
"""

DIGITS = """\
## On digits, as measured

Scikit-learn's 1,437 digits to learn from and 360 held out, where one more wrong digit is 0.28 %.
A net of 60,000 parameters that is right on 98 of 100 after 12 epochs leaves little for any of these
ideas to improve. What follows shows that the commands work and how large their noise is; of
ImageNet it says nothing, in either direction. In the figures, errors below 0.1 % are drawn at
0.1 %, and pale bands, where there are few arms, are the range over the seeds.
"""

REMARKS = {
    "relu-tanh": "The other way round: tanh is there in half the steps, each at the best of "
    "four learning rates, which were searched with a seed that is not among those "
    "compared. The net has two convolutions, and digits are easy; it may be that "
    "nothing saturates here.",
    "lrn": "Worse with it, by little more than the noise, and much more scattered. Six "
    "maps are few for a window of five to compete in, and of its constants only "
    "alpha was fitted to inputs of this size.",
    "pooling": "Nothing that five seeds can tell. The direction is not the paper's, in the "
    "error as in the gap.",
    "layers": "Not what the paper finds: no layer is missed, and without C1 the net is "
    "better. Images of 8x8 pixels, drawn larger, may have little for depth to "
    "find.",
    "columns": "The direction is the paper's, and the interval only just reaches 0.",
    "dropout": "Neither overfitting without it nor slower learning with it can be told from "
    "noise: there is one layer of 84 outputs to drop from, where AlexNet has two "
    "of 4096.",
    "crops": "The training error is lower without crops and the test error is not: that is "
    "overfitting, as the paper has it, though the test errors themselves do not "
    "differ by more than noise.",
    "decay": "The direction is the paper's, in the training error as well, and far within "
    "the noise.",
    "bias": "The other way round, and far outside the noise; one net in five did not "
    "learn at all. Weights begin here as He et al. draw them, while the paper's "
    "begin with a deviation of 0.01: that may be what needs the 1.",
    "tencrop": "No difference that these seeds can tell. Reflected digits are no digits: "
    "nets that learn with reflections are worse than those above.",
    "warmstart": "As in the VGG paper: the deeper net comes to a small error in fewer steps "
    "when it begins with weights of the shallower one. The steps that those took "
    "to learn are not counted.",
}
"""A remark on the result of each comparison; figures are in the tables alone."""


def page(results: dict[str, Entry]) -> Iterator[str]:
    """Yield the paragraphs of the page."""
    yield INTRODUCTION
    yield table(
        ["data", "net", "what it is"], [[_data(net), f"`{net}`", NETS[net]] for net in NETS]
    )
    yield table(["measure", "is"], map(list, MEASURES.items()))
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
        f"{len(runs)} runs on {when}: {machine['cpu']}, {threads} a run, torch {machine['torch']}. "
        "What else the machine did changes how long runs take and nothing else: the same "
        "command gives the same weights.\n"
    )


def section(comparison: Experiment, result: Entry) -> Iterator[str]:
    """Yield the paper, the table, the differences, the figure and the remark of a comparison."""
    yield f"### {comparison.title}\n"
    source = comparison.source[0].upper() + comparison.source[1:]
    note = result["note"] and f" {result['note'][0].upper()}{result['note'][1:]}."
    yield f"{source}: {comparison.says}.{note}\n"
    yield f"```\n{command(result)}\n```\n"
    yield f"{setting(result)}:\n"
    yield table(header(result), rows(result))
    yield "".join(f"- {difference(result, entry)}\n" for entry in result["differences"])
    shown = f"{comparison.title}: errors while learning, and what was measured"
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
    """Return the kept results on digits, by the name of the comparison."""
    paths = RESULTS.glob("*-digits.json")
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return {result["experiment"]: result for result in results}


def current() -> str:
    """Return the page of all kept results."""
    return "\n".join(page(load()))


if __name__ == "__main__":
    PAGE.write_text(current(), encoding="utf-8")
    FIGURES.mkdir(parents=True, exist_ok=True)
    for name, result in load().items():
        (FIGURES / f"{name}.svg").write_bytes(rendered(result, "svg"))
