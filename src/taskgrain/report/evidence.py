"""A run as evidence: small enough to be committed, and its endpoints can be recomputed.

What is kept is the study file, the rows where the study's endpoints are read, the answers to every
clip behind them, the features of one source and seed (a cell, for others to fit the probe again),
the figures, and the page without its clips. `recompute.py` and the two scripts that it calls need
numpy and scipy alone, nothing of taskgrain.

Shapes: C decoded clips (those of the support pool, then the scored ones), N scored clips, D width,
T' encoder steps, R support draws, n support clips of a draw.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskgrain.config.load import load_study
from taskgrain.config.settings import Study
from taskgrain.data.files import atomic_path, make_folder, write_text
from taskgrain.errors import ConfigError, ResultError
from taskgrain.report.components import (
    Components,
    components_json,
    components_of,
    components_table,
)
from taskgrain.report.html import REPORT_NAME, build_parts, render
from taskgrain.report.kept import Kept
from taskgrain.report.lookup import Lookup
from taskgrain.report.run_folder import read_run_folder
from taskgrain.results import ResultRow, read_rows, write_rows
from taskgrain.transfer.answers import Answers, Evaluation, Subject
from taskgrain.transfer.archive import write_arrays
from taskgrain.transfer.evaluate import FEWEST_SHOTS_TO_STANDARDISE, SubjectFeatures
from taskgrain.transfer.features import flat
from taskgrain.transfer.predictions import read_evaluation
from taskgrain.transfer.probes import PROBES
from taskgrain.transfer.task import TargetTask, support_draws

COPIED = ("study.toml", "seal.json", "provenance.json")  # where they are there
RECOMPUTE = "recompute.py"
SCRIPTS = (RECOMPUTE, "refit.py", "variances.py")
CELL = "cell.npz"
COMPONENTS = "components.json"
FAILED = -1  # in place of the row of a scored clip that could not be decoded


def write_evidence(run_dir: Path | str, out: Path | str) -> Path:
    """Write the evidence of a finished run into a folder of its own.

    Equal runs give equal bytes. The folder holds `study.toml`, `results.jsonl.gz`, `answers/`,
    `cell.npz`, `components.json`, `figures/`, `report.html` and `recompute.py` with `refit.py` and
    `variances.py`; docs/data-format.md, "Evidence", describes each.

    Args:
        run_dir: the run folder; its predictions and features must still be there.
        out: the folder to write; made if it is not there, and refused if it holds other files.

    Returns:
        The folder.

    Raises:
        ResultError: if the run is not finished, or its answers or features were removed.
        ManifestError: if the annotations of the user's own data cannot be read.
        ConfigError: if `out` holds files that are no evidence.
    """
    run_dir, out = Path(run_dir), Path(out)
    rows = read_rows(run_dir / "results.jsonl")
    study = load_study(str(run_dir / "study.toml"))
    kept = Kept.of(study)
    answered = list(_answered(run_dir, kept))
    if not answered:
        raise ResultError(
            f"{run_dir / 'predictions'}: no answers where the endpoints of the study are read; "
            "give the study's command again"
        )
    cell = [each for each in answered if is_cell(study, *each)]
    held = cell_arrays(run_dir, study, *cell[0]) if cell else None  # its probe may have failed
    # All that can be refused is read by now: a run without answers leaves old evidence as it was.
    _claim(out)
    if held is not None:
        write_arrays(out / CELL, held, compress=True)
    for name in COPIED:
        if (run_dir / name).is_file():
            write_text(out / name, (run_dir / name).read_text(encoding="utf-8"))
    _write_rows(out / "results.jsonl.gz", [row for row in rows if kept.has_row(row)])
    targets = dict.fromkeys(each.target for each, _ in answered)
    for target in targets:
        of_target = [(each, answers) for each, answers in answered if each.target == target]
        path = out / "answers" / f"{target.replace('/', '.')}.npz"
        write_arrays(path, packed(of_target), compress=True)
    _copy_seals(run_dir, out, study.name)
    components = components_of(study, rows, answered)
    write_text(out / COMPONENTS, components_json(study, components))
    _write_page(run_dir, out, study, components)
    for name in SCRIPTS:
        shutil.copyfile(Path(__file__).with_name(name), out / name)
    return out


def packed(answered: Sequence[tuple[Evaluation, Answers]]) -> dict[str, NDArray[np.generic]]:
    """Pack the answers to one target: a bit for each draw and clip, 1 where the answer is right.

    Of one of a target's tasks ("tasks/noun-of-eight") the draws are added up: there may be many.

    Returns:
        `header`, JSON: a record for each subject, with the number of its clips; `right-I`, uint8,
        the bits of its (draws, N) answers, row by row, as `numpy.packbits` packs them, or `hits-I`
        (N,), the draws in which each clip was answered right; `clip-C` and `label-C` of each
        distinct list of clips.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    clips: dict[tuple[str, ...], int] = {}
    header = []
    for index, (evaluation, answers) in enumerate(answered):
        # Sources and seeds that answered the same clips share one list of them.
        number = clips.setdefault(evaluation.clip_ids, len(clips))
        arrays[f"clip-{number}"] = np.array(evaluation.clip_ids, dtype=np.str_)
        arrays[f"label-{number}"] = evaluation.labels.astype(np.int16)
        if "/" in evaluation.target:
            arrays[f"hits-{index}"] = evaluation.hits(answers)
        else:
            arrays[f"right-{index}"] = np.packbits(evaluation.correct(answers))
        header.append(
            {
                "source": evaluation.subject.source,
                "seed": evaluation.subject.seed,
                "control": evaluation.subject.control,
                "readout": evaluation.subject.readout,
                "probe": answers.probe,
                "shots": answers.shots,
                "draws": answers.num_draws,
                "clips": number,
            }
        )
    return {"header": np.array(json.dumps(header), dtype=np.str_), **arrays}


def _answered(run_dir: Path, kept: Kept) -> Iterator[tuple[Evaluation, Answers]]:
    """Yield every answer that is kept; those to permuted labels are left out."""
    for path in sorted((run_dir / "predictions").glob("*.npz")):
        # Endpoints are read on support draws, and rows of permuted labels are not recomputed.
        if ".episodes." in path.name or ".permuted." in path.name:
            continue
        evaluation = read_evaluation(path)
        for answers in evaluation.answers:
            if kept.has_answers(evaluation, answers):
                yield evaluation, answers


def _claim(out: Path) -> None:
    """Refuse a folder of other files; remove the old answers and cell of a folder of evidence."""
    if out.is_dir() and any(out.iterdir()) and not (out / RECOMPUTE).is_file():
        raise ConfigError(
            f"{out} holds files that are no evidence; choose an empty folder with --evidence"
        )
    make_folder(out)
    shutil.rmtree(out / "answers", ignore_errors=True)
    (out / CELL).unlink(missing_ok=True)


def _write_rows(path: Path, rows: Sequence[ResultRow]) -> None:
    plain = path.with_suffix("")
    write_rows(plain, rows)
    with (
        atomic_path(path) as partial,
        partial.open("wb") as raw,
        # Without name and time, so that equal rows give equal bytes.
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as file,
    ):
        file.write(plain.read_bytes())
    plain.unlink()


def _copy_seals(run_dir: Path, out: Path, study: str) -> None:
    """Copy the lines of every seal of the study that was opened beside the run."""
    seals = run_dir.resolve().parent / "seals.jsonl"
    if not (run_dir / "seal.json").is_file() or not seals.is_file():
        return
    lines = seals.read_text(encoding="utf-8").splitlines()
    own = [line for line in lines if line.strip() and json.loads(line).get("study") == study]
    write_text(out / "seals.jsonl", "".join(line + "\n" for line in own))


def _write_page(run_dir: Path, out: Path, study: Study, components: Sequence[Components]) -> None:
    """Write the page with its variance components, and its figures."""
    # Clips would be most of its bytes.
    lookup = Lookup(replace(read_run_folder(run_dir), examples=()))
    parts = build_parts(lookup, components_table(study, components))
    for drawing in parts.drawings.values():
        write_text(out / "figures" / f"{drawing.name}.svg", drawing.svg)
    write_text(out / REPORT_NAME, render(lookup, parts))


def is_cell(study: Study, evaluation: Evaluation, answers: Answers) -> bool:
    """Whether these are the answers of the cell: primary endpoint, its source, first seed."""
    at = study.primary
    return (
        evaluation.subject == Subject(at.source, study.seeds[0], at.readout, None)
        and evaluation.target == at.target
        and (answers.probe, answers.shots) == (at.probe, at.shots)
    )


def cell_arrays(
    run_dir: Path, study: Study, evaluation: Evaluation, answers: Answers
) -> dict[str, NDArray[np.generic]]:
    """Collect everything that a probe needs to compute these answers again.

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
    # Draws are indices into the whole support pool; the arrays have the decoded clips of it alone.
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
    """Read the features of the cell, and the task that they were tested on."""
    # Imported here because these modules load torch, which nothing else of a report needs.
    from taskgrain.study.datasets import lay_out
    from taskgrain.study.folder import RunFolder
    from taskgrain.study.inputs import Inputs
    from taskgrain.study.provenance import after_opening, read_seal
    from taskgrain.study.subjects import FeaturesKey, SubjectKey
    from taskgrain.study.targets import clips_asked, target_tasks
    from taskgrain.study.testing import read_subject

    at, seed, folder = study.primary, evaluation.subject.seed, RunFolder(run_dir)
    # Published weights that nothing was drawn of have one set of features, under no seed.
    keys = (FeaturesKey("source", at.source, each) for each in (seed, None))
    key = next((each for each in keys if (run_dir / "features" / each.name).is_dir()), None)
    if key is None:
        raise ResultError(
            f"{run_dir / 'features'}: no features of {at.source}, seed {seed}; evidence holds "
            "those of one cell, so that it can be fitted again: give the study's command again"
        )
    # With this target alone, so that no other's annotations have to be there.
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
    """Return as JSON which cell it is, and where its features came from."""
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
