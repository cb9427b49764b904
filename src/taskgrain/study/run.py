"""Run a study: lay it out, compute what is not computed yet, record its provenance."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from taskgrain.config.settings import Study
from taskgrain.data.files import write_text
from taskgrain.errors import ConfigError
from taskgrain.jobs.executor import Cell
from taskgrain.jobs.starting import refuse_to_begin_again
from taskgrain.jobs.workspace import compute, workspace
from taskgrain.study.checking import check_bf16, lay_out_study
from taskgrain.study.datasets import lay_out
from taskgrain.study.folder import RunFolder, claim, note_places, sweep
from taskgrain.study.inputs import EncoderFactory, Inputs
from taskgrain.study.networks import make_networks_ready
from taskgrain.study.plan import plan_cells, plan_learning
from taskgrain.study.provenance import (
    after_opening,
    before_opening,
    check_frozen_commit,
    commit,
    describe_run,
    is_sealed,
    open_seal,
    read_seal,
)
from taskgrain.study.settled import check_encoder_factory, keep_to_data, keep_to_processor, settle
from taskgrain.study.subjects import check_subjects
from taskgrain.train.precision import Precision, named_device


def run_study(  # noqa: PLR0913 - arguments that are no settings of a study
    study: Study,
    out: Path | str,
    *,
    workers: int | None = None,
    encoder: EncoderFactory | None = None,
    device: str = "cpu",
    mix_processors: bool = False,
    quiet: bool = False,
) -> Path:
    """Run a study into a folder, or go on with the run that is there.

    Args:
        study: as `taskgrain.config.load.load_study` reads it.
        out: the run folder; made if it is not there.
        workers: processes, one thread each; None is one a core where encoders compute on the CPU,
            and one elsewhere: each would need the device's memory. Never changes a number.
        encoder: makes an encoder of your own from a seed: a function, class or other object that
            worker processes can import, so defined in a module or in a script with a main guard.
        device: where encoders compute, as torch names it.
        mix_processors: whether a run that was computed on another kind of processor goes on here;
            its table of results and its report then say so. A finished run is never refused.
        quiet: whether to keep silent.

    Returns:
        The run folder, with results.jsonl in it; `taskgrain.report` turns it into a page.

    Raises:
        TaskgrainError: naming what the user can mend; nothing that was computed is lost.
        StoppedError: after Ctrl-C or SIGTERM; the same call goes on from there.
    """
    # Workers run the main program's file again. Without a main guard its call of this function
    # comes back here in each of them.
    refuse_to_begin_again()
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; expected at least 1")
    workers = workers or usual_workers(device)
    if encoder is not None:
        _refuse_two_encoders(study)
        check_encoder_factory(encoder)
    started = time.monotonic()
    out = Path(out)
    folder = RunFolder(out)
    begun_at = commit()  # the checkout may move on while a study runs
    check_frozen_commit(study)
    with workspace(out):
        claim(folder, study)
        precision = settle(study, folder, encoder=encoder, device=device)
        # A finished run is returned on any machine. Where the user's own data are not there, as on
        # another one, they cannot be compared, and need not be.
        if is_complete(folder):
            if all(path.exists() for path in _own_paths(study)):
                keep_to_data(folder, lay_out(after_opening(study, read_seal(folder)), folder))
                note_places(folder, study)
            return out
        # Under the lock: no other process is writing what would be swept away.
        sweep(folder)
        run = _Run(study, folder, encoder, device, precision, workers, mix_processors, quiet)
        if is_sealed(study):
            if read_seal(folder) is None:
                _rehearse(study)
            run.compute(before_opening(study), _up_to_the_weights)
            open_seal(study, folder)
        inputs = run.compute(after_opening(study, read_seal(folder)), plan_cells)
        seconds = time.monotonic() - started
        facts = describe_run(inputs, workers=workers, seconds=seconds, begun_at=begun_at)
        write_text(folder.provenance, json.dumps(facts, indent=1) + "\n")
    return out


@dataclass(frozen=True, slots=True)
class _Run:
    """What stays the same while a run is computed, at once or up to its seal and after."""

    study: Study  # as it was loaded: the seeds of sealed targets are not in it
    folder: RunFolder
    encoder: EncoderFactory | None
    device: str
    precision: Precision
    workers: int
    mix_processors: bool
    quiet: bool

    def compute(self, study: Study, plan: Callable[[Inputs], list[Cell]]) -> Inputs:
        """Lay out a study, or the part that is known yet, and compute the cells of a plan."""
        # In this order: study.toml names new places of the user's data only once they are known to
        # hold the same data.
        folder = self.folder
        datasets = lay_out_study(study, folder)
        keep_to_data(folder, datasets)
        note_places(folder, self.study)
        if self.encoder is None:  # fetched once here, and not by every worker
            make_networks_ready(study)
        inputs = Inputs(study, folder, datasets, self.encoder, self.device, self.precision)
        cells = plan(inputs)
        check_bf16(inputs)
        keep_to_processor(folder, device=self.device, mix=self.mix_processors)
        compute(cells, folder.timings, workers=self.workers, quiet=self.quiet)
        return inputs


def _rehearse(study: Study) -> None:
    """Lay out the study in a temporary folder, its sealed targets drawn from a stand-in seed.

    So a mistake shows before hours of training, at whose end the targets' own clips are drawn.
    """
    with TemporaryDirectory() as folder:
        lay_out_study(study, RunFolder(Path(folder)))


def _up_to_the_weights(inputs: Inputs) -> list[Cell]:
    check_subjects(inputs)
    return plan_learning(inputs).cells


def usual_workers(device: str) -> int:
    """Return the number of processes where `workers` is None; see `run_study`.

    Raises:
        ConfigError: if it is no device's name.
    """
    return (os.cpu_count() or 1) if named_device(device).type == "cpu" else 1


def _refuse_two_encoders(study: Study) -> None:
    """Refuse an encoder of the user's own beside sources that name another."""
    named = next((source for source in study.sources if source.encoder is not None), None)
    if named is not None:
        raise ConfigError(
            f"source {named.name!r} wants the encoder {named.encoder!r}, but run_study was given "
            "one of your own for all sources; leave one of the two out"
        )


def _own_paths(study: Study) -> list[Path]:
    """List the folders of the user's own datasets, and the few-shot lists."""
    paths = [study.data.root]
    if study.data.hold_out is not None:
        paths.append(study.data.hold_out.few_shot)
    for target in study.targets:
        paths += [target.root, target.few_shot]
    return [path for path in paths if path is not None]


def is_complete(folder: RunFolder) -> bool:
    """Whether every cell of a run is done and its provenance is written."""
    written = (folder.results, folder.examples / "examples.json", folder.provenance)
    marks = (folder.done("examples"), folder.done("results"))
    return all(path.is_file() for path in (*written, *marks))
