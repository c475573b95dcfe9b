"""netspec turns the layer table of a paper into a network that is checked, fast and trainable.

    import netspec
    net = netspec.load("specs/googlenet.net")   # parsed and checked; repr is the table
    net["3a"].rows                              # the rows inside a block, with their counts
    model = netspec.compile(net)                # a torch.nn.Module
    model(images)                               # [N, 3, 224, 224] in, [N, 1000] out
    model.features("3a")(images)                # the activation of any row
    netspec.classify(model, "photo.jpg")        # class names; images are prepared for the net

Functions are named after the commands: ``netspec.check(spec)`` does what ``netspec check`` does.
Loading and checking a spec never imports torch.
"""

from __future__ import annotations

from pathlib import Path

if not (Path(__file__).parent / "grammars").is_dir():
    raise ImportError(
        "netspec/grammars is not a folder: the checkout was made without symlinks; "
        "run: git config core.symlinks true && git checkout -- netspec"
    )

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from netspec.moved import Finder

if TYPE_CHECKING:
    from netspec import see as see
    from netspec.artifact.loading import load_artifact
    from netspec.artifact.saving import save_artifact
    from netspec.comparing.compare import Comparison, compare
    from netspec.compiler import reference
    from netspec.data.packing import Packed, pack
    from netspec.data.preprocessing import load_image
    from netspec.errors import DataError
    from netspec.inference.classify import Answer, Classification, Classifications, classify
    from netspec.inference.compiling import compile
    from netspec.inference.converting import convert_weights
    from netspec.inference.saving import Saved, save
    from netspec.inference.testing import Evaluation, evaluate
    from netspec.ir.rows import TableRow
    from netspec.language.diagnostics import Diagnostic, SpecError, SpecWarning
    from netspec.language.format import Formatted, fmt
    from netspec.language.handbook import Explanation, explain
    from netspec.language.read import bundled
    from netspec.net import Net, load, loads
    from netspec.pretrained.convert import Converted
    from netspec.pretrained.families import Family, families
    from netspec.reporting.report import Report, report
    from netspec.runtime.compiled import Compiled
    from netspec.runtime.reference import Model
    from netspec.runtime.verification import verify
    from netspec.runtime.weights import load_weights, save_weights
    from netspec.timing.bench import Bench, bench, bench_layers
    from netspec.tracing.tracing import trace
    from netspec.training.loop import Result
    from netspec.training.train import resume, train
    from netspec.views.check import Check, check
    from netspec.views.diff import Diff, diff
    from netspec.views.documents import Documents, document
    from netspec.views.draw import draw
    from netspec.views.drawing import Drawing
    from netspec.views.operators import OperatorPage, ops
    from netspec.views.volumes_drawing import Volumes

sys.meta_path.insert(0, Finder())

try:
    __version__ = version("netspec-compiler")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"

__all__ = [
    "Answer",
    "Bench",
    "Check",
    "Classification",
    "Classifications",
    "Comparison",
    "Compiled",
    "Converted",
    "DataError",
    "Diagnostic",
    "Diff",
    "Documents",
    "Drawing",
    "Evaluation",
    "Explanation",
    "Family",
    "Formatted",
    "Model",
    "Net",
    "OperatorPage",
    "Packed",
    "Report",
    "Result",
    "Saved",
    "SpecError",
    "SpecWarning",
    "TableRow",
    "Volumes",
    "bench",
    "bench_layers",
    "bundled",
    "check",
    "classify",
    "compare",
    "compile",
    "convert_weights",
    "diff",
    "document",
    "draw",
    "evaluate",
    "explain",
    "families",
    "fmt",
    "load",
    "load_artifact",
    "load_image",
    "load_weights",
    "loads",
    "ops",
    "pack",
    "reference",
    "report",
    "resume",
    "save",
    "save_artifact",
    "save_weights",
    "see",
    "trace",
    "train",
    "verify",
]

_MODULES = {
    "Answer": "netspec.inference.classify",
    "Bench": "netspec.timing.bench",
    "Check": "netspec.views.check",
    "Classification": "netspec.inference.classify",
    "Classifications": "netspec.inference.classify",
    "Comparison": "netspec.comparing.compare",
    "Compiled": "netspec.runtime.compiled",
    "Converted": "netspec.pretrained.convert",
    "DataError": "netspec.errors",
    "Diagnostic": "netspec.language.diagnostics",
    "Diff": "netspec.views.diff",
    "Documents": "netspec.views.documents",
    "Drawing": "netspec.views.drawing",
    "Evaluation": "netspec.inference.testing",
    "Explanation": "netspec.language.handbook",
    "Family": "netspec.pretrained.families",
    "Formatted": "netspec.language.format",
    "Model": "netspec.runtime.reference",
    "Net": "netspec.net",
    "OperatorPage": "netspec.views.operators",
    "Packed": "netspec.data.packing",
    "Report": "netspec.reporting.report",
    "Result": "netspec.training.loop",
    "Saved": "netspec.inference.saving",
    "SpecError": "netspec.language.diagnostics",
    "SpecWarning": "netspec.language.diagnostics",
    "TableRow": "netspec.ir.rows",
    "Volumes": "netspec.views.volumes_drawing",
    "bench": "netspec.timing.bench",
    "bench_layers": "netspec.timing.bench",
    "bundled": "netspec.language.read",
    "check": "netspec.views.check",
    "classify": "netspec.inference.classify",
    "compare": "netspec.comparing.compare",
    "compile": "netspec.inference.compiling",
    "convert_weights": "netspec.inference.converting",
    "diff": "netspec.views.diff",
    "document": "netspec.views.documents",
    "draw": "netspec.views.draw",
    "evaluate": "netspec.inference.testing",
    "explain": "netspec.language.handbook",
    "families": "netspec.pretrained.families",
    "fmt": "netspec.language.format",
    "load": "netspec.net",
    "load_artifact": "netspec.artifact.loading",
    "load_image": "netspec.data.preprocessing",
    "load_weights": "netspec.runtime.weights",
    "loads": "netspec.net",
    "ops": "netspec.views.operators",
    "pack": "netspec.data.packing",
    "reference": "netspec.compiler",
    "report": "netspec.reporting.report",
    "resume": "netspec.training.train",
    "save": "netspec.inference.saving",
    "save_artifact": "netspec.artifact.saving",
    "save_weights": "netspec.runtime.weights",
    "trace": "netspec.tracing.tracing",
    "train": "netspec.training.train",
    "verify": "netspec.runtime.verification",
}
"""The module of each public name; half of them import torch."""

_PACKAGES = ("see",)
"""Public names that are packages of functions."""


def __getattr__(name: str) -> Any:
    """Import the module of a name when the name is first used."""
    if name not in _MODULES and name not in _PACKAGES:
        raise AttributeError(f"module 'netspec' has no attribute {name!r}")
    from importlib import import_module

    from netspec.collecting import without_collecting

    with without_collecting():
        if name in _PACKAGES:
            return import_module(f"netspec.{name}")
        return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
