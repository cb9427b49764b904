"""The run folder: its files, whose run it holds, and what of it can be removed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from taskgrain.config.clips import HoldOut, SourceData, Target
from taskgrain.config.load import differences, load_study, study_to_toml
from taskgrain.config.settings import Study
from taskgrain.data.files import write_text
from taskgrain.errors import ConfigError, RunError, list_problems
from taskgrain.jobs.workspace import refuse_others

HALF_WRITTEN = (".*.tmp", ".*.new", ".tmp*")  # ours, a training state's, and safetensors' own
PLACES = ("root", "store", "few_shot")  # of the user's own data; `data`, its hold_out, `targets`
CHECKPOINTS, SCRATCH = "checkpoints", "from-scratch"  # folders of trainings
PREPARING = ("data.", "video.", "targets")  # settings that drawing and decoding depend on

Section = TypeVar("Section", SourceData, HoldOut, Target)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names within a run folder; docs/data-format.md, "A run", describes each."""

    root: Path

    def data(self, dataset: str) -> Path:
        """Folder of a drawn dataset."""
        return self.root / "data" / dataset

    def store(self, dataset: str) -> Path:
        """Folder of a dataset's frame store."""
        return self.root / "store" / dataset

    def checkpoint(self, source: str, seed: int, passes: int | None = None) -> Path:
        """Folder of a source's training; its checkpoints are `best` and `last` in it.

        With passes, of a training of so many clip passes that is scored and not tested.
        """
        fewer = "" if passes is None else f".passes-{passes}"  # no name has a dot
        return self.root / CHECKPOINTS / f"{source}-seed-{seed}{fewer}"

    def scratch(self, name: str) -> Path:
        """Folder of the trainings of the control from-scratch on one target, while they last."""
        return self.root / SCRATCH / name

    def features(
        self,
        subject: str,
        dataset: str,
        place: Literal["output", "channels"] = "output",
        batch_norm: Literal["source", "target"] = "source",
    ) -> Path:
        """File of one subject's features on one dataset, by place and by BatchNorm statistics."""
        parts = [dataset]
        if place != "output":
            parts.append(place)
        if batch_norm != "source":
            parts.append("target-norm")
        return self.root / "features" / subject / f"{'.'.join(parts)}.npz"  # no name has a dot

    def predictions(self, name: str) -> Path:
        """File of an evaluation's per-clip predictions."""
        return self.root / "predictions" / f"{name}.npz"

    def captions(self, source: str, seed: int) -> Path:
        """File of the captions that a source's decoder generates of its validation clips."""
        return self.root / "captions" / f"{source}-seed-{seed}.json"

    def confusions(self, source: str, seed: int) -> Path:
        """File of the confusions of a source's head on its validation clips."""
        return self.root / "confusions" / f"{source}-seed-{seed}.csv"

    def rows(self, name: str) -> Path:
        """File of the result rows of one cell, before they are gathered."""
        return self.root / "rows" / f"{name}.jsonl"

    def done(self, cell: str) -> Path:
        """Mark of a finished cell."""
        return self.root / "cells" / f"{cell}.done"

    @property
    def has_begun(self) -> bool:
        """Whether a cell is done: before, nothing was computed."""
        return any((self.root / "cells").glob("*.done"))

    @property
    def study(self) -> Path:
        """The resolved study file."""
        return self.root / "study.toml"

    @property
    def results(self) -> Path:
        """The gathered result rows."""
        return self.root / "results.jsonl"

    @property
    def curves(self) -> Path:
        """The learning curves of every source and seed."""
        return self.root / "curves.jsonl"

    @property
    def ledger(self) -> Path:
        """The clips that could not be used, or only in part."""
        return self.root / "ledger.jsonl"

    @property
    def timings(self) -> Path:
        """How long each cell took."""
        return self.root / "timings.jsonl"

    @property
    def provenance(self) -> Path:
        """What ran where: versions, commit, command, machine, data."""
        return self.root / "provenance.json"

    @property
    def held_out(self) -> Path:
        """What each seed learned from, and which categories were kept from it."""
        return self.root / "held-out.json"

    @property
    def examples(self) -> Path:
        """The clips that the report shows."""
        return self.root / "examples"


def claim(folder: RunFolder, study: Study) -> None:
    """Write the study into a new run folder, or check that the folder is this study's.

    Where the user's own data lie is no part of a run: on another machine they lie elsewhere.
    Whether they are the same is for `keep_to_data` to find out.

    Raises:
        RunError: if the folder holds another study's run, naming each setting that differs, or
            holds files that are no run.
    """
    if folder.study.is_file():
        try:
            held = load_study(str(folder.study))
        except ConfigError as error:
            raise RunError(
                f"{folder.study} cannot be read, so nothing is resumed: {error}"
            ) from error
        changed = differences(_at_their_places(held, study), study)
        if changed and not _may_change(folder, changed):
            raise RunError(
                f"{folder.root} holds a run of other settings; choose another --out, or remove "
                f"the folder:\n{list_problems(changed)}"
            )
        if changed:
            write_text(folder.study, study_to_toml(study))
        return
    refuse_others(folder.root, more=" with --out")
    write_text(folder.study, study_to_toml(study))


def note_places(folder: RunFolder, study: Study) -> None:
    """Write where the user's own data lie now, once they are known to be the same data."""
    if load_study(str(folder.study)) != study:
        write_text(folder.study, study_to_toml(study))


def _at_their_places(held: Study, study: Study) -> Study:
    """Return a study whose own data lie at the places that another study names."""

    def moved(old: Section, new: Section) -> Section:
        # Only where the run already had a path: data of one's own in place of a drawn world, or a
        # packed store in place of videos, are other settings.
        paths = {name: getattr(new, name, None) for name in PLACES if getattr(old, name, None)}
        return old.model_copy(update={name: path for name, path in paths.items() if path})

    data, hold_out = moved(held.data, study.data), study.data.hold_out
    if data.hold_out is not None and hold_out is not None:
        data = data.model_copy(update={"hold_out": moved(data.hold_out, hold_out)})
    targets = held.targets
    if [each.name for each in targets] == [each.name for each in study.targets]:
        targets = tuple(map(moved, targets, study.targets))
    return held.model_copy(update={"data": data, "targets": targets})


def _may_change(folder: RunFolder, changed: list[str]) -> bool:
    """Whether settings may change without mixing work: before learning, those of later cells.

    So a study that is refused for its data can be mended without starting again.
    """
    # A training that was stopped or killed has no mark, but it has a folder.
    marks = [path.name for path in (folder.root / "cells").glob("*.done")]
    begun = any((folder.root / name).exists() for name in (CHECKPOINTS, SCRATCH))
    if begun or not all(mark.startswith(("prepare-", "check")) for mark in marks):
        return False
    if marks and any(change.startswith(PREPARING) for change in changed):
        return False
    if not marks:  # drawn annotations may be another world's
        for name in ("data", "store"):
            shutil.rmtree(folder.root / name, ignore_errors=True)
    # What the check found out of the old settings is to be found out of the new ones.
    (folder.root / "cells" / "check.done").unlink(missing_ok=True)
    return True


def sweep(folder: RunFolder) -> None:
    """Remove half-written files that a killed process left."""
    for pattern in HALF_WRITTEN:
        for path in folder.root.rglob(pattern):
            path.unlink(missing_ok=True)


def remove_caches(folder: RunFolder) -> Iterator[tuple[Path, int]]:
    """Remove stored frames, features and training states; yield each path and its bytes."""
    # The marks go first: what is removed is computed again if a cell that is not done needs it.
    for pattern in ("prepare-*", "check*", "features-*"):
        for mark in (folder.root / "cells").glob(f"{pattern}.done"):
            mark.unlink()
    training = sorted(folder.root.glob("checkpoints/*/*training.*"))
    for path in (folder.root / "store", folder.root / "features", *training):
        if path.exists():
            yield path, _remove(path)


def _remove(path: Path) -> int:
    files = [path] if path.is_file() else [inner for inner in path.rglob("*") if inner.is_file()]
    num_bytes = sum(file.stat().st_size for file in files)
    if path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path)
    return num_bytes
