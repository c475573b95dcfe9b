"""A run directory: all inputs of a run, and its results so far.

run.json                 settings, resolved recipe, data and its digests, versions
spec.net, files/         the text of the spec, and of the specs that it is based on
plan.json                the kernel that computes each stage
members.sha256           the digests of these files
statistics.safetensors   means and principal components of the training set
metrics.jsonl, events.*  one line per epoch, and the same for TensorBoard
snapshots/               weights after the epochs named by --snapshots
checkpoint.safetensors   the state from which the run continues
weights.safetensors      the final weights
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netspec.artifact.lowering import plan_bytes
from netspec.artifact.manifest import (
    PLAN,
    SPEC,
    WEIGHTS,
    canonical,
    versions,
)
from netspec.artifact.spec import kept_settings, members_of, reread
from netspec.compiler import compile as compile_net
from netspec.data import Dataset, Splits, open_data
from netspec.data.opening import from_anywhere, require_outside
from netspec.data.preprocessing import View, resolved, view_of
from netspec.errors import DataError
from netspec.files.members import (
    Malformed,
    member,
    parsed,
)
from netspec.ir.expects import Expects
from netspec.ir.recipe import Recipe, TenCrop
from netspec.ir.shapes import Shape
from netspec.lowering.choices import CHOICES
from netspec.net import Net, load
from netspec.runtime.compiled import Compiled
from netspec.runtime.weights import read_weights, save_net
from netspec.training import directory as directories
from netspec.training import statistics
from netspec.training.about import ABOUT_RUN, FORMAT
from netspec.training.batches import ALLOWED
from netspec.training.checkpoint import Checkpoint
from netspec.training.directory import (
    ABOUT,
    CHECKPOINT,
    STATISTICS,
    SUMS,
    Members,
    is_run,
    writing_into,
)
from netspec.training.fitting import (
    other_names,
    require_batches,
    require_outputs,
    require_trainable,
    require_usable,
)
from netspec.training.metrics import Epoch, read_metrics, require_epochs
from netspec.training.settings import Settings, batch_of, recipe_json
from netspec.training.statistics import Statistics, are_needed, digest_of

_AGAIN = "restore the file from a copy, or start another run"


@dataclass(frozen=True)
class Run:
    """A run and its directory.

    Attributes:
        directory: path of the run directory.
        settings: settings of the run.
        net: the net in training, read from the directory.
        about: the content of ``run.json``.
        members: the files of the directory.
    """

    directory: Path
    settings: Settings
    net: Net
    about: Mapping[str, Any]
    members: Members

    @classmethod
    def create(
        cls,
        directory: Path,
        settings: Settings,
        note: Callable[[str], None] = lambda remark: None,
        net: Net | None = None,
    ) -> Run:
        """Check the inputs of a run and make its directory, whole or not at all.

        Args:
            directory: path of the directory to make.
            settings: settings of the run.
            note: called with each note on the inputs for the user.
            net: the net, in place of that of ``settings.spec``.

        Raises:
            SpecError: if the spec has errors.
            DataError: if the recipe or the data is missing, the net does not fit the data, or the
                directory cannot be made.
        """
        directories.require_new(directory)
        require_outside(directory, "a run", settings.data)
        settings = settings.from_anywhere()
        net = net or load(settings.spec, **settings.parameters)
        net.require_numbers()
        require_trainable(net)
        recipe = settings.recipe(net)
        splits = open_data(settings.data)
        require_batches(net, len(splits.train), batch_of(recipe))
        remarks = [split.passed_over for split in splits if split.passed_over]
        remarks += require_outputs(net, splits.train.classes)
        remarks += settings.unreached(recipe)
        remarks += other_names(net, splits.train.classes)
        require_usable(net, recipe, splits)
        for remark in remarks:
            note(remark)
        texts, asked = members_of(net)
        about = {
            "format": FORMAT,
            "name": net.name,
            "settings": settings.as_json() | {"parameters": kept_settings(net.settings)},
            "asked": [[request.by, request.wrote, request.member] for request in asked],
            "recipe": recipe_json(recipe),
            "classes": list(splits.train.classes),
            "statistics": digest_of(splits.train, recipe, net.input_shape),
            "data": {use: _described(split) for use, split in splits._asdict().items()},
            "made_by": versions(),
            "threads": torch.get_num_threads(),
            "began_in": str(Path.cwd()),
            "passed_over": [split.passed_over for split in splits if split.passed_over],
        }
        try:
            ABOUT_RUN.take(about, "")
        except Malformed as error:  # never write a run that `open` could not read
            raise DataError(f"cannot make the run directory {directory}: {error}") from None
        files = {**texts, ABOUT: canonical(about)}
        digests = {name: sha256(content).hexdigest() for name, content in files.items()}
        directories.make(directory, {**files, SUMS: directories.sums(digests)})
        return cls.open(directory)

    @classmethod
    def open(cls, directory: Path) -> Run:
        """Return the run in a directory.

        Raises:
            SpecError: if this version of netspec reports errors in its spec.
            DataError: if the directory does not hold a run, or the run is damaged.
        """
        if not is_run(directory):
            raise DataError(f"{directory} is not a run directory: there is no {ABOUT} in it")
        members = Members.of(directory)
        about = parsed(members.read(ABOUT), str(directory / ABOUT), ABOUT_RUN, _AGAIN)
        settings, asked = about["settings"], about["asked"]
        names = {SPEC, *(request.member for request in asked)}
        try:
            net = reread({name: members.read(name) for name in names}, asked, settings.parameters)
        except DataError as error:
            raise DataError(f"cannot read the run {directory}: {error}") from None
        return cls(directory, settings, net, about, members)

    # ------------------------------------------------------------------ inputs

    @property
    def recipe(self) -> Recipe:
        """The recipe of the spec, with the changes in the settings."""
        return self.settings.recipe(self.net)

    @property
    def shape(self) -> Shape:
        """The size of the net's input."""
        return self.net.input_shape

    @property
    def threads(self) -> int:
        """Number of CPU threads that the run began with."""
        return int(self.about["threads"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their numbers."""
        return tuple(self.about["classes"])

    def splits(self) -> Splits:
        """Return the training and validation sets, after a check that they have not changed.

        Raises:
            DataError: if the data is missing or has changed.
        """
        try:
            splits = open_data(self.settings.data)
        except DataError as error:
            moved = f"netspec train --resume {self.directory} --data DATA"
            raise DataError(f"{error}; if the data has moved, give its new path: {moved}") from None
        for use, split in splits._asdict().items():
            if split.digest != self.about["data"][use]["digest"]:
                raise DataError(
                    f"{self.settings.data} has changed: its {use} split is not the one that "
                    f"{self.directory} was started with; start another run"
                )
        return splits

    def with_data(self, data: str) -> Run:
        """Return the run with a new place of its data.

        Raises:
            DataError: if the data is not there, or differs from the data that the run began with.
        """
        moved = replace(self, settings=replace(self.settings, data=from_anywhere(data)))
        moved.splits()
        return moved

    def keep_data(self) -> None:
        """Write the place of the data to ``run.json``, if it has changed."""
        if self.settings.data != self.about["settings"].data:
            written = json.loads(self.members.read(ABOUT))
            written["settings"]["data"] = self.settings.data
            self.members.change(ABOUT, canonical(written))

    def placed(self, path: str) -> Path:
        """Return a path in the recipe, relative to the folder in which the run was started."""
        return Path(self.about["began_in"], path)

    def statistics(self) -> Statistics | None:
        """Return the statistics of the training set; None if the recipe does not use them.

        Raises:
            DataError: if they have not been measured yet, or the file is invalid.
        """
        if not are_needed(self.recipe):
            return None
        path, digest = self.directory / STATISTICS, self.about["statistics"]
        return statistics.load(path, digest, self.shape.channels)

    @property
    def expects(self) -> Expects:
        """The preprocessing that the net expects, with all numbers, and the names of its classes.

        Raises:
            DataError: if the statistics have not been measured yet, or their file is invalid.
        """
        recipe = self.recipe
        views = "tencrop" if any(isinstance(s, TenCrop) for s in recipe.evaluate) else "center"
        expects = Expects(tuple(recipe.prepare), views, self.classes)
        return resolved(expects, self.statistics() if expects.missing else None)

    def view(self, views: str | None = None) -> View:
        """Return the function from an image to its views that the net is tested on.

        Args:
            views: ``center`` or ``tencrop``; None uses the recipe's.
        """
        expects = self.expects
        return view_of(replace(expects, views=views or expects.views), self.shape)

    def measure(self, dataset: Dataset, note: Callable[[str], None]) -> None:
        """Compute the statistics in one pass over the training set, unless they exist."""
        path = self.directory / STATISTICS
        if path.is_file() or not are_needed(self.recipe):
            return

        def report(done: int, faults: Sequence[str]) -> None:
            for fault in faults:
                note(fault)

        measured = statistics.measured(
            dataset,
            self.recipe,
            self.shape,
            workers=self.settings.workers,
            allowed=ALLOWED,
            report=report,
        )
        statistics.save(measured, path)

    def model(self, device: str | None = None, net: Net | None = None) -> Compiled:
        """Return the compiled net, without trained weights.

        On the run's device it uses the kernels in ``plan.json``, so that results stay the same.

        Args:
            device: device to compile for; None is the run's device.
            net: a rank's part of the net, for which kernels are chosen again.
        """
        target = self.settings.device if device is None else device
        options: Any = {"device": target, "dtype": getattr(torch, self.settings.dtype)}
        is_whole = net is None or net is self.net
        if is_whole and target.startswith(self.settings.device) and self.members.has(PLAN):
            name = str(self.directory / PLAN)
            kind = member("choices", CHOICES)
            options["choices"] = parsed(self.members.read(PLAN), name, kind, _ANEW)
        try:
            return compile_net(net or self.net, **options)
        except DataError as error:
            raise DataError(f"cannot compile the net of {self.directory}: {error}") from None

    def keep_plan(self, model: Compiled) -> None:
        """Write ``plan.json``, the kernel of each stage, once; not for a rank's part of the net."""
        if model.net is self.net and not self.members.has(PLAN):
            self.members.keep(PLAN, plan_bytes(model.lowered))

    # -------------------------------------------------------------------- results

    @property
    def is_finished(self) -> bool:
        """True if the run has ended and its final weights are written."""
        return (self.directory / WEIGHTS).is_file()

    def epochs(self) -> list[Epoch]:
        """Return the metrics of all finished epochs, at least one.

        Raises:
            DataError: if the file is damaged or an epoch is missing.
        """
        count = 1
        # read the checkpoint before the metrics: a training process writes them in the other order
        if self.checkpoint.is_file():
            count = max(1, Checkpoint.state_in(self.checkpoint).epoch)
        return require_epochs(read_metrics(self.directory), count, self.directory)

    @property
    def checkpoint(self) -> Path:
        """Path of the checkpoint."""
        return self.directory / CHECKPOINT

    @property
    def has_begun(self) -> bool:
        """True if a checkpoint after the first step is saved, so that the run can be resumed."""
        return self.checkpoint.is_file() and Checkpoint.state_in(self.checkpoint).has_begun

    def remove(self) -> None:
        """Remove the run directory."""
        directories.remove(self.directory)

    def weights(self) -> dict[str, Tensor]:
        """Return the final weights, or those of the last checkpoint, by name.

        Raises:
            DataError: if no weights are saved yet, or they cannot be read.
        """
        if self.is_finished:
            return read_weights(self.net.graph, self.directory / WEIGHTS)
        if self.checkpoint.is_file():
            return dict(Checkpoint.load(self.checkpoint, self.net.graph).model)
        raise DataError(f"{self.directory} has no weights yet: netspec train --resume it first")

    def trained(self, device: str | None = None) -> Compiled:
        """Return the compiled net with its weights, in evaluation mode."""
        model = self.model(device)
        model.load_state_dict(self.weights())
        model.expects = self.expects
        return model

    def save_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Write the final weights, whole or not at all."""
        save_net(self.net, self.expects, tensors, self.directory / WEIGHTS)

    def save_snapshot(self, tensors: Mapping[str, Tensor], epoch: int) -> None:
        """Write the weights after an epoch, whole or not at all."""
        path = directories.snapshot(self.directory, epoch)
        with writing_into(self.directory):
            path.parent.mkdir(exist_ok=True)
        save_net(self.net, self.expects, tensors, path)

    # -------------------------------------------------------------------- lock

    def locked(self) -> AbstractContextManager[None]:
        """Lock the directory while the body runs, so that nothing else trains in it.

        Raises:
            DataError: if another process or thread holds the lock, or the directory is read-only.
        """
        return directories.locked(self.directory)


def _described(split: Dataset) -> dict[str, Any]:
    return {"name": split.name, "images": len(split), "digest": split.digest}


_ANEW = f"remove it; {PLAN} is written again when the run continues"
