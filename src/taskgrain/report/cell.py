"""One cell of a study, for others to fit again: what the primary endpoint's probe was given.

Shapes: C decoded clips (those of the support pool, then the scored ones), N scored clips, D width,
T' encoder steps, R support draws, n support clips of a draw.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskgrain.config.settings import Study
from taskgrain.errors import ResultError
from taskgrain.transfer.answers import Answers, Evaluation, Subject
from taskgrain.transfer.evaluate import FEWEST_SHOTS_TO_STANDARDISE, SubjectFeatures
from taskgrain.transfer.features import flat
from taskgrain.transfer.probes import PROBES
from taskgrain.transfer.task import TargetTask, support_draws

FAILED = -1  # in place of the row of a scored clip that could not be decoded


def is_cell(study: Study, evaluation: Evaluation, answers: Answers) -> bool:
    """Whether these answers are the cell's: the primary endpoint's source under the first seed."""
    at = study.primary
    return (
        evaluation.subject == Subject(at.source, study.seeds[0], at.readout, None)
        and evaluation.target == at.target
        and (answers.probe, answers.shots) == (at.probe, at.shots)
    )


def cell_arrays(
    run_dir: Path, study: Study, evaluation: Evaluation, answers: Answers
) -> dict[str, NDArray[np.generic]]:
    """Collect what a probe needs to give these answers once more.

    Annotations of drawn clips that the run folder has lost are drawn again in it.

    Args:
        run_dir: the run folder, with its features.
        study: its settings.
        evaluation: of the cell (`is_cell`).
        answers: of the cell.

    Returns:
        `header`, JSON: which cell it is; `clip` (C,), text; `label` int16 (C,); `features` float32
        (C, D), or (C, T', D) for a probe that reads steps; `draws` int32 (R, n), rows of those
        arrays; `scored` int32 (N,), the row of each scored clip in the order of its answers, -1
        where the clip could not be decoded; at one or two shots `mean` and `scale`, float64 (D,),
        by which features are standardised (with more shots each draw's own support gives them).

    Raises:
        ResultError: if the features are not there, or do not belong to the answers.
        ManifestError: if the annotations of the user's own data cannot be read.
    """
    at = study.primary
    subject, task = _subject_and_task(run_dir, study, evaluation)
    draws = support_draws(
        task, num_shots=at.shots, num_draws=study.transfer.draws, seed=study.transfer.seed
    )
    reads_steps = PROBES[at.probe]().reads_steps
    features = subject.features
    if not reads_steps:
        read = flat(features.features, joins_steps=subject.joins_steps)
        features = replace(features, features=read)
    pool, scored = np.flatnonzero(task.has_support), np.flatnonzero(task.is_decoded)
    clips = [task.support_ids[i] for i in pool] + [task.query_ids[i] for i in scored]
    labels = np.concatenate([task.support_labels[pool], task.query_labels[scored]])
    row_of_scored = np.full(len(task.query_ids), FAILED, np.int32)
    row_of_scored[scored] = len(pool) + np.arange(len(scored))
    arrays: dict[str, NDArray[np.generic]] = {
        "header": np.array(_header(study, task, answers, features.header), dtype=np.str_),
        "clip": np.array(clips, dtype=np.str_),
        "label": labels.astype(np.int16),
        "features": features.of(clips),
        "draws": np.searchsorted(pool, draws).astype(np.int32),
        "scored": row_of_scored,
    }
    if at.shots != "all" and at.shots < FEWEST_SHOTS_TO_STANDARDISE:
        scale = subject.step_standardiser if reads_steps else subject.standardiser
        assert scale is not None, "features that a probe reads the steps of have a scale for them"
        arrays |= {"mean": scale.mean, "scale": scale.scale}
    return arrays


def _subject_and_task(
    run_dir: Path, study: Study, evaluation: Evaluation
) -> tuple[SubjectFeatures, TargetTask]:
    """Read the features of the cell, and what was asked of them."""
    # Not above: these modules load torch, which nothing else of a report does.
    from taskgrain.study.datasets import lay_out
    from taskgrain.study.folder import RunFolder
    from taskgrain.study.inputs import Inputs
    from taskgrain.study.provenance import after_opening, read_seal
    from taskgrain.study.subjects import FeaturesKey, SubjectKey
    from taskgrain.study.targets import clips_asked, target_tasks
    from taskgrain.study.testing import read_subject

    at, seed, folder = study.primary, evaluation.subject.seed, RunFolder(run_dir)
    keys = (FeaturesKey("source", at.source, each) for each in (seed, None))
    key = next((each for each in keys if (run_dir / "features" / each.name).is_dir()), None)
    if key is None:
        raise ResultError(
            f"{run_dir / 'features'}: no features of {at.source}, seed {seed}; evidence holds "
            "those of one cell, so that it can be fitted again: give the study's command again"
        )
    targets = tuple(each for each in study.targets if each.name == at.target)
    alone = after_opening(study.model_copy(update={"targets": targets}), read_seal(folder))
    (target,) = alone.targets
    datasets = lay_out(alone, folder)
    inputs = Inputs(alone, folder, datasets, None, "cpu", "fp32")
    subject = read_subject(inputs, SubjectKey(key, seed, at.readout), target)
    manifest, strata = clips_asked(alone, datasets[target.name], target, seed)
    task = target_tasks(target, manifest, None, strata)[0]
    if task.query_ids != evaluation.clip_ids:
        raise ResultError(
            f"{datasets[target.name].root}: the scored clips of {at.target} are not those that "
            "were answered; bring the data of the run back, or give the study's command again"
        )
    decoded = set(subject.features.clip_ids)
    failed = (clip for clip in (*task.support_ids, *task.query_ids) if clip not in decoded)
    return subject, replace(task, failed=frozenset(failed))


def _header(
    study: Study, task: TargetTask, answers: Answers, features: Mapping[str, object]
) -> str:
    """Write down which cell it is, and where its features came from."""
    at = study.primary
    return json.dumps(
        {
            "source": at.source,
            "seed": study.seeds[0],
            "target": at.target,
            "readout": at.readout,
            "probe": at.probe,
            "shots": at.shots,
            "classes": task.class_names,
            "chosen": answers.chosen,
            "features": dict(features),
        }
    )
