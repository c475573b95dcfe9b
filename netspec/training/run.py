"""A run directory: everything that a run was made of, and what has come of it so far.

run.json                 settings, resolved recipe, data and its digests, versions
spec.net, files/         the text of the spec, and of those that it is made from
plan.json                which kernel computes which stage
statistics.safetensors   means and components of the training set
metrics.jsonl, events.*  a line an epoch, and the same for TensorBoard
snapshots/               weights behind the epochs that were asked for
checkpoint.safetensors   what the run goes on from
weights.safetensors      what it ended with
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netspec.artifact.lowering import plan_bytes
from netspec.artifact.manifest import PLAN, SPEC, WEIGHTS, Asked, canonical, versions
from netspec.artifact.spec import kept_settings, members_of, reread
from netspec.backends.compiled import Compiled
from netspec.compiler import compile as compile_net
from netspec.data import Dataset, Splits, open_data
from netspec.errors import DataError
from netspec.net import Net, load
from netspec.recipe import Recipe
from netspec.shapes import Shape
from netspec.training import statistics
from netspec.training.batches import ALLOWED
from netspec.training.checkpoint import Checkpoint
from netspec.training.prepare import View, for_testing
from netspec.training.settings import Settings, recipe_json
from netspec.training.statistics import Statistics, are_needed, digest_of
from netspec.weights import read_tensors, save_tensors
from netspec.writing import umask, write_whole

FORMAT = 1
ABOUT, CHECKPOINT, LOCK = "run.json", "checkpoint.safetensors", "lock"
METRICS, SNAPSHOTS, STATISTICS = "metrics.jsonl", "snapshots", "statistics.safetensors"


def is_run(path: str | Path) -> bool:
    """Whether a path is of a run directory."""
    return (Path(path) / ABOUT).is_file()


@dataclass(frozen=True)
class Run:
    """A run in its directory.

    Attributes:
        directory: where it lies.
        settings: what it was asked for.
        net: the net that learns, read from the directory.
        about: the rest of ``run.json``.
    """

    directory: Path
    settings: Settings
    net: Net
    about: Mapping[str, Any]

    @classmethod
    def create(cls, directory: Path, settings: Settings) -> Run:
        """Check what a run needs, and make its directory, whole or not at all.

        Raises:
            SpecError: the spec has mistakes.
            DataError: there is no recipe or no data, or the directory cannot be made.
        """
        net = load(settings.spec, **settings.parameters)
        net.require_numbers()
        recipe = settings.recipe(net)
        splits = open_data(settings.data)
        texts, asked = members_of(net)
        about = {
            "format": FORMAT,
            "name": net.name,
            "settings": settings.as_json() | {"parameters": kept_settings(net.settings)},
            "asked": [[one.by, one.wrote, one.member] for one in asked],
            "recipe": recipe_json(recipe),
            "classes": list(splits.train.classes),
            "statistics": digest_of(splits.train, recipe, _shape(net)),
            "data": {use: _described(split) for use, split in splits._asdict().items()},
            "made_by": versions(),
            "threads": torch.get_num_threads(),
        }
        files = {**texts, ABOUT: canonical(about)}
        try:
            _make(directory, files)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise DataError(f"cannot make the run directory {directory}: {reason}") from None
        return cls.open(directory)

    @classmethod
    def open(cls, directory: Path) -> Run:
        """A run that is there.

        Raises:
            SpecError: this version of netspec refuses its spec.
            DataError: there is none, or it is damaged.
        """
        try:
            about = json.loads((directory / ABOUT).read_bytes())
            if about["format"] != FORMAT:
                raise DataError(f"it has format {about['format']}, and this netspec reads {FORMAT}")
            settings = Settings.from_json(about["settings"])
            asked = [Asked(*one) for one in about["asked"]]
            members = {SPEC, *(one.member for one in asked)}
            texts = {name: (directory / name).read_bytes() for name in members}
            net = reread(texts, asked, settings.parameters)
        except FileNotFoundError as error:
            name = Path(error.filename).name
            message = f"{directory} is no run directory: there is no {name} in it"
            raise DataError(message) from None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise DataError(f"cannot read the run {directory}: {reason}") from None
        except (KeyError, TypeError, ValueError, DataError) as error:
            reason = str(error) if isinstance(error, DataError) else f"{ABOUT} is damaged"
            raise DataError(f"cannot read the run {directory}: {reason}") from None
        return cls(directory, settings, net, about)

    # ------------------------------------------------------------------ what it was made of

    @property
    def recipe(self) -> Recipe:
        """The spec's recipe, with what the settings change."""
        return self.settings.recipe(self.net)

    @property
    def shape(self) -> Shape:
        """The size of the net's input."""
        return _shape(self.net)

    @property
    def threads(self) -> int:
        """How many threads it began with on a CPU."""
        return int(self.about["threads"])

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, by number."""
        return tuple(self.about["classes"])

    def splits(self) -> Splits:
        """The data, which has to be what it was.

        Raises:
            DataError: it is missing, or has changed.
        """
        splits = open_data(self.settings.data)
        for use, split in splits._asdict().items():
            if split.digest != self.about["data"][use]["digest"]:
                raise DataError(
                    f"{self.settings.data} has changed: its {use} split is not the one that "
                    f"{self.directory} was started with; begin another run"
                )
        return splits

    def statistics(self) -> Statistics | None:
        """What is known of the training set, where the recipe asks for it.

        Raises:
            DataError: it was not measured yet, or the file is of something else.
        """
        if not are_needed(self.recipe):
            return None
        return statistics.load(self.directory / STATISTICS, self.about["statistics"])

    def view(self, how: Callable[[Recipe], Recipe] = lambda recipe: recipe) -> View:
        """What a picture is shown to its net as, in tests and in use: one view, or ten.

        Args:
            how: what becomes of the recipe before.
        """
        return for_testing(how(self.recipe), self.shape, self.statistics())

    def measure(self, dataset: Dataset, note: Callable[[str], None]) -> None:
        """Measure these statistics once, in a pass over the training set."""
        path = self.directory / STATISTICS
        if path.is_file() or not are_needed(self.recipe):
            return

        def report(done: int, faults: Sequence[str]) -> None:
            for fault in faults:
                note(fault)

        found = statistics.measured(
            dataset,
            self.recipe,
            self.shape,
            workers=self.settings.workers,
            allowed=ALLOWED,
            report=report,
        )
        statistics.save(found, path)

    def model(self, device: str | None = None, net: Net | None = None) -> Compiled:
        """The compiled net, untrained; on its own device by the kernels that it began with.

        Args:
            device: in place of its own.
            net: a rank's part of it, which is compiled anew.
        """
        place = self.settings.device if device is None else device
        how: Any = {"device": place, "dtype": getattr(torch, self.settings.dtype)}
        path = self.directory / PLAN
        is_whole = net is None or net is self.net
        if is_whole and place.startswith(self.settings.device) and path.is_file():
            how["choices"] = json.loads(path.read_bytes())["choices"]
        return compile_net(net or self.net, **how)

    def keep_plan(self, model: Compiled) -> None:
        """Write down which kernel computes which stage, once; nothing of a rank's part."""
        if model.net is self.net and not (self.directory / PLAN).is_file():
            write_whole(self.directory / PLAN, plan_bytes(model.lowered))

    # -------------------------------------------------------------------- what came of it

    @property
    def is_finished(self) -> bool:
        """Whether it has learned all that it was asked to."""
        return (self.directory / WEIGHTS).is_file()

    @property
    def checkpoint(self) -> Path:
        """What it goes on from."""
        return self.directory / CHECKPOINT

    def weights(self) -> dict[str, Tensor]:
        """The weights that it ended with, or has so far, by name.

        Raises:
            DataError: there are none yet, or they cannot be read.
        """
        if self.is_finished:
            return read_tensors(self.directory / WEIGHTS)[0]
        if self.checkpoint.is_file():
            return dict(Checkpoint.load(self.checkpoint).model)
        raise DataError(f"{self.directory} has no weights yet: netspec train --resume it first")

    def trained(self, device: str | None = None) -> Compiled:
        """The compiled net with its weights, in evaluation mode."""
        model = self.model(device)
        model.load_state_dict(self.weights())
        return model

    def save_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Write what it ended with, whole or not at all."""
        save_tensors(tensors, self.directory / WEIGHTS)

    def save_snapshot(self, tensors: Mapping[str, Tensor], epoch: int) -> None:
        """Write what it is behind an epoch, whole or not at all."""
        folder = self.directory / SNAPSHOTS
        with writing_into(self.directory):
            folder.mkdir(exist_ok=True)
        save_tensors(tensors, folder / f"epoch-{epoch:04}.safetensors")

    # -------------------------------------------------------------------- one at a time

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within, no other process can train in the directory; the lock goes with the process.

        Raises:
            DataError: another process has it, or the directory is read-only.
        """
        with writing_into(self.directory):
            file = (self.directory / LOCK).open("a+")
        with file:
            try:
                # of the process alone: a worker that outlives it does not keep the lock
                import fcntl

                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                raise DataError(
                    f"{self.directory} is being trained by another process ({file.read().strip()}):"
                    " wait until it has ended, or stop it"
                ) from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
            file.flush()
            self._sweep()
            yield

    def _sweep(self) -> None:
        """Remove what a killed process began to write: safetensors' own names, and ours."""
        for folder in (self.directory, self.directory / SNAPSHOTS):
            for pattern in (".tmp*", ".*.safetensors.*"):
                for path in folder.glob(pattern):
                    path.unlink(missing_ok=True)


@contextmanager
def writing_into(directory: Path) -> Iterator[None]:
    """Say which run it is that cannot be written into."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"cannot write into the run {directory}: {reason}") from None


def _shape(net: Net) -> Shape:
    return net.graph.stage(net.graph.inputs[0]).known_shape


def _described(split: Dataset) -> dict[str, Any]:
    return {"name": split.name, "images": len(split), "digest": split.digest}


def _make(directory: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder with files in it, beside its place, and then put it there."""
    if directory.exists() and not directory.is_dir():
        raise DataError(f"{directory} is a file: name a folder for the run")
    if is_run(directory):
        raise DataError(
            f"{directory} holds a run already: go on with it, netspec train --resume {directory}, "
            "or name another folder"
        )
    if directory.is_dir() and any(directory.iterdir()):
        raise DataError(f"{directory} holds other files: name another folder for the run")
    parent = directory.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".netspec-", dir=parent))
    try:
        for name, content in files.items():
            (beside / name).parent.mkdir(exist_ok=True)
            write_whole(beside / name, content)
        beside.chmod(0o777 & ~umask())
        beside.replace(directory)
    finally:
        with suppress(OSError):
            shutil.rmtree(beside)
