"""Run a study: lay it out, compute what is not computed yet, say what it came from."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from taskgrain.config.settings import Study
from taskgrain.data.files import write_text
from taskgrain.data.manifest import Manifest
from taskgrain.errors import ConfigError, TaxonomyError
from taskgrain.jobs.executor import run_cells
from taskgrain.jobs.lock import locked
from taskgrain.jobs.progress import Reporter
from taskgrain.jobs.signals import sigterm_stops
from taskgrain.labels.symmetry import check_mirror_table
from taskgrain.study.datasets import SOURCE, Dataset, lay_out
from taskgrain.study.folder import RunFolder, claim, sweep
from taskgrain.study.inputs import EncoderFactory, Inputs, mirror_images
from taskgrain.study.plan import plan_cells
from taskgrain.study.provenance import describe_run
from taskgrain.study.settled import settle
from taskgrain.study.sources import source_task
from taskgrain.study.targets import check_target
from taskgrain.study.testing import FLAT_CONTROLS
from taskgrain.transfer.probes import PROBES


def run_study(
    study: Study,
    out: Path | str,
    *,
    workers: int | None = None,
    encoder: EncoderFactory | None = None,
    device: str = "cpu",
    quiet: bool = False,
) -> Path:
    """Run a study into a folder, or go on with the run that is there.

    Args:
        study: as `taskgrain.config.load.load_study` reads it.
        out: the run folder; made if it is not there.
        workers: processes, one thread each; None is one a core. Never changes a number.
        encoder: makes an encoder of your own from a seed; a function of an importable module.
        device: where encoders compute, as torch names it.
        quiet: whether to keep silent.

    Returns:
        The run folder, with results.jsonl in it; `taskgrain.report` turns it into a page.

    Raises:
        TaskgrainError: naming what the user can mend; nothing that was computed is lost.
        StoppedError: after Ctrl-C or SIGTERM; the same call goes on from there.
    """
    workers = workers or os.cpu_count() or 1
    if workers < 1:
        raise ValueError(f"workers is {workers}; expected at least 1")
    started = time.monotonic()
    out = Path(out)
    folder = RunFolder(out)
    with locked(out), sigterm_stops():
        claim(folder, study)
        precision = settle(study, folder, encoder=encoder, device=device)
        if is_complete(folder):
            return out
        sweep(folder)
        datasets = lay_out_study(study, folder)
        inputs = Inputs(study, folder, datasets, encoder, device, precision)
        cells = plan_cells(inputs)
        with Reporter(cells, folder.timings, quiet=quiet) as reporter:
            run_cells(cells, workers=workers, monitor=reporter)
        seconds = time.monotonic() - started
        facts = describe_run(inputs, workers=workers, seconds=seconds)
        write_text(folder.provenance, json.dumps(facts, indent=1) + "\n")
    return out


def is_complete(folder: RunFolder) -> bool:
    """Whether every cell of a run is done and its provenance is written."""
    written = (folder.results, folder.examples / "examples.json", folder.provenance)
    marks = (folder.done("examples"), folder.done("results"))
    return all(path.is_file() for path in (*written, *marks))


def lay_out_study(study: Study, folder: RunFolder) -> dict[str, Dataset]:
    """Find the datasets, and refuse before the first cell what could only fail in a later one.

    Raises:
        TaskgrainError: if annotations, levels, factors or numbers of clips do not fit the study.
    """
    datasets = lay_out(study, folder)
    manifest = datasets[SOURCE].manifest()
    for source in study.sources:
        try:
            source_task(source, manifest)
        except TaxonomyError as error:
            raise ConfigError(
                f"source {source.name!r} cannot be learned from {datasets[SOURCE].root}: {error}; "
                'leave it out, as in sources = ["categories", "captions-full"]'
            ) from None
    _check_mirroring(study, manifest)
    _check_probes(study)
    for target in study.targets:
        check_target(target, datasets[target.name].manifest(), None, study.transfer)
    return datasets


def _check_probes(study: Study) -> None:
    """Refuse controls that none of the probes could read."""
    flat = [name for name in FLAT_CONTROLS if name in study.transfer.controls]
    if flat and all(PROBES[name]().reads_steps for name in study.transfer.probes):
        raise ConfigError(
            f"transfer.probes: {', '.join(study.transfer.probes)} read the steps of a clip, which "
            f"the control {flat[0]!r} has not; add a probe as nearest-mean, or leave it out of "
            "transfer.controls"
        )


def _check_mirroring(study: Study, manifest: Manifest) -> None:
    """Refuse a mirror table that is none, and mirroring that could never happen."""
    check_mirror_table(study.data.mirror, where="data.mirror")
    images = mirror_images(study)
    if images is not None and not any(name in images for name in manifest.taxonomy.categories):
        raise ConfigError(
            f"augment.mirror is {study.augment.mirror}, but no category of {manifest.root} has a "
            'known mirror image; name them in data.mirror ("Wave left" = "Wave right", '
            '"Nod" = "Nod"), or set augment.mirror = 0'
        )
