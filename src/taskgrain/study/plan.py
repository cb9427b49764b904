"""The plan of a study: its cells in order, what each needs, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from taskgrain.config.clips import Target
from taskgrain.data.store import DECODE_SECONDS, shard_index
from taskgrain.jobs.executor import Cell, Facts, Worker
from taskgrain.names import ALIGNMENT
from taskgrain.study.alignment_rows import (
    ALIGNMENT_FILE,
    alignment_seconds,
    computes_alignment,
    score_alignment,
)
from taskgrain.study.checking import check_clips
from taskgrain.study.datasets import SOURCE, Dataset, footage_of, prepare_shard, shards
from taskgrain.study.examples import show_examples
from taskgrain.study.extracting import STATISTICS_CLIPS, extract_features
from taskgrain.study.gather import compared_pairs, gather
from taskgrain.study.head_scores import floor_seconds, floor_seeds, floors_name, score_floors
from taskgrain.study.inputs import Inputs
from taskgrain.study.learning import train_source
from taskgrain.study.networks import extract_seconds, pass_seconds
from taskgrain.study.source_scores import score_source, scores_name
from taskgrain.study.subjects import (
    BatchNorm,
    FeaturesKey,
    SubjectKey,
    check_subjects,
    extractions,
    places_of,
    subjects,
    under_seeds,
)
from taskgrain.study.targets import task_seeds
from taskgrain.study.testing import (
    EPISODE_SECONDS,
    EVALUATE_SECONDS,
    asks_episodes,
    episodes_name,
    evaluate_subject,
    evaluate_target_episodes,
    evaluation_name,
)
from taskgrain.study.trained_controls import (
    FROM_SCRATCH,
    RANDOM_LABELS,
    learn_from_scratch,
    random_task,
    scratch_name,
    scratch_seconds,
    train_on_random_labels,
)
from taskgrain.study.warm_start import warm_start_source
from taskgrain.tabletop.dataset import DRAW_SECONDS

# A study is a plan of cells. The idea: a cell is a function of the study and of files that the
# cells it needs have written. It writes its own files whole or not at all, and then its mark. So:
#
# - A cell that was killed has no mark. It runs again, and goes on from what it left whole (a state
#   of training, parts of features), with the same numbers.
# - A cell whose mark and output file are both there is not run again.
# - Two workers compute what one would: nothing but files goes from one cell to another.
#
# The order of the work, each line waiting for what it reads of the lines above:
#     prepare (draw and decode a shard) -> check -> floors, alignment
#     check -> train -> score             (a source that begins with another's weights waits for it)
#     check -> scratch                    (the control that learns a target's support alone)
#     train -> features -> evaluate, episodes   (of drawn tasks, after alignment, which draws them)
#     train -> examples; everything but examples -> results
# Sealed targets are drawn from the finished weights: their clips are prepared and checked by a
# second plan, made once the last weight is learned (`study.run`).
#
# What breaks it: a cell that reads a file of a cell which it does not need (it works until two
# workers run), that writes into another's files, or that keeps anything in its process. The name of
# a cell names its mark: a renamed cell is computed again in every run folder there is. What a cell
# is given is pickled for it, so that large things stay in files.
SCORE_SECONDS = 6.0
GATHER_SECONDS = 6.0
CHECK_SECONDS = 1.0
EXAMPLE_SECONDS = 0.5  # a clip drawn at 320 x 240 and described by every source


def plan_cells(inputs: Inputs) -> list[Cell]:
    """List every cell of a study; those that are done already among them.

    Raises:
        ConfigError: if no source has a read-out that the study tests, or if labels cannot be
            permuted for the control `random-labels`.
    """
    check_subjects(inputs)
    folder = inputs.folder
    learning = plan_learning(inputs)
    cells = list(learning.cells)
    if computes_alignment(inputs):
        align = partial(score_alignment, inputs=inputs, pairs=compared_pairs(inputs.study))
        cost, output = alignment_seconds(inputs), folder.rows(ALIGNMENT_FILE)
        cells.append(_cell(inputs, ALIGNMENT, learning.checks, align, cost, output))
    tested = subjects(inputs)
    for features, keys in extractions(tested).items():
        # Frozen sources and controls that nothing trains have no such cell: their features wait for
        # the checks alone.
        trained = _train_name(features.source or features.kind, features.seed)
        needs = [cell.name for cell in learning.tested if cell.name == trained]
        extract = _extract(inputs, features, keys, [*learning.checks, *needs])
        cells.append(extract)
        for key in keys:
            for target in inputs.study.targets:
                for subject in under_seeds([key], task_seeds(inputs.study, target)):
                    cells += _evaluate(inputs, subject, target, extract)
    cells += _from_scratch(inputs, learning.checks)
    show, cost = partial(show_examples, inputs=inputs), inputs.study.examples * EXAMPLE_SECONDS
    needs, output = [*learning.checks, *_names(learning.tested)], folder.examples / "examples.json"
    collect = partial(gather, inputs=inputs, keys=tested)
    return [
        *cells,
        _cell(inputs, "examples", needs, show, cost, output),
        _cell(inputs, "results", _names(cells), collect, GATHER_SECONDS, folder.results),
    ]


@dataclass(frozen=True, slots=True)
class Learning:
    """The cells up to the weights that are tested."""

    cells: list[Cell]  # all of them, in order
    tested: list[Cell]  # of them, those that train what is tested, and score it
    checks: list[str]  # names of those that find out which clips can be used


def plan_learning(inputs: Inputs) -> Learning:
    """List the cells that make clips ready, learn from them, and score what was learned.

    Raises:
        ConfigError: if the control of random labels could not be learned.
    """
    prepared, checks = _make_ready(inputs)
    floors = _floors(inputs, checks[0])
    tested = _learn(inputs, checks[0])
    # Trainings of fewer passes are scored on their own labels and never tested, so that no feature
    # waits for them.
    fewer = [
        cell
        for passes in inputs.study.train.fewer_passes
        for cell in _learn_sources(inputs, checks[0], passes)
    ]
    return Learning([*prepared, *checks, *floors, *tested, *fewer], tested, _names(checks))


def _make_ready(inputs: Inputs) -> tuple[list[Cell], list[Cell]]:
    """List the cells that draw and decode clips, and those that find out which can be used.

    Sealed targets do not exist before the last weight is learned. Learning therefore waits for the
    first check alone, which leaves them out; a second one has all clips.
    """
    sealed = {target.name for target in inputs.study.targets if target.sealed}
    prepared: list[Cell] = []
    checks: list[Cell] = []
    for name, has_sealed in (("check", False), ("check sealed", True)):
        if has_sealed and not sealed:
            continue
        datasets = [each for each in inputs.datasets if has_sealed or each not in sealed]
        for each in datasets:
            if (each in sealed) == has_sealed:
                prepared += _prepare(inputs, inputs.datasets[each])
        check, output = partial(check_clips, inputs=inputs, datasets=datasets), inputs.folder.ledger
        checks.append(_cell(inputs, name, _names(prepared), check, CHECK_SECONDS, output))
    return prepared, checks


def total_seconds(cells: Sequence[Cell], workers: int) -> float:
    """Estimate how long cells take on this many workers, from measured speeds of a two-core CPU."""
    longest = max((cell.cost for cell in cells), default=0.0)
    return max(longest, sum(cell.cost for cell in cells) / workers)


def _names(cells: Sequence[Cell]) -> list[str]:
    return [cell.name for cell in cells]


def _cell(
    inputs: Inputs,
    name: str,
    needs: Sequence[str],
    work: Callable[[Worker], Facts | None],
    cost: float,
    output: Path,
) -> Cell:
    """Build a cell: what it calls, what that costs in seconds, and the file that it writes last."""
    return Cell(name, work, cost, inputs.folder.done(name.replace(" ", "-")), output, tuple(needs))


def _prepare(inputs: Inputs, dataset: Dataset) -> list[Cell]:
    written = list(shards(dataset))
    if dataset.world is not None:
        seconds = DRAW_SECONDS + DECODE_SECONDS
    else:
        clips = [record for _, records, _ in written for record in records]
        seconds = footage_of(clips).seconds_per_clip
    cells = []
    for number, records, plans in written:
        prepare = partial(
            prepare_shard, dataset=dataset, number=number, records=records, plans=plans
        )
        name, output = f"prepare {dataset.name} {number:05d}", shard_index(dataset.store, number)
        cells.append(_cell(inputs, name, [], prepare, seconds * len(records), output))
    return cells


def _floors(inputs: Inputs, checked: Cell) -> Iterator[Cell]:
    """Score what needs no learning: once, or for each seed that learns from clips of its own."""
    for seed in floor_seeds(inputs.study):
        name = "floors" if seed is None else f"floors seed {seed}"
        score = partial(score_floors, inputs=inputs, seed=seed)
        output = inputs.folder.rows(floors_name(seed))
        yield _cell(inputs, name, [checked.name], score, floor_seconds(inputs), output)


def _learn(inputs: Inputs, checked: Cell) -> list[Cell]:
    """Train and score with every seed each source that learns; then train the control."""
    study = inputs.study
    cells = _learn_sources(inputs, checked, None)
    if RANDOM_LABELS in study.transfer.controls:
        for seed in study.seeds:
            random_task(inputs.clips(seed).learned, seed)  # refused now, if at all
            call = partial(train_on_random_labels, inputs=inputs, seed=seed)
            training = _Training(RANDOM_LABELS, seed)
            cells.append(_train(inputs, training, call, [checked.name]))
    return cells


def _learn_sources(inputs: Inputs, checked: Cell, passes: int | None) -> list[Cell]:
    """Train and score with every seed each source that learns; see `train_source` for passes."""
    cells: list[Cell] = []
    for source in inputs.study.trained:
        for seed in inputs.study.seeds:
            # Of the same seed: it began with the same clips and the same held-out categories.
            begins_with = warm_start_source(inputs, source.name)
            needs = [] if begins_with is None else [_train_name(begins_with, seed)]
            call = partial(train_source, inputs=inputs, name=source.name, seed=seed, passes=passes)
            training = _Training(source.name, seed, passes)
            cells.append(_train(inputs, training, call, [checked.name, *needs]))
            cells.append(_score(inputs, training, cells[-1]))
    return cells


@dataclass(frozen=True, slots=True)
class _Training:
    """One training; passes are None for the one that is tested."""

    source: str
    seed: int
    passes: int | None = None

    @property
    def name(self) -> str:
        fewer = "" if self.passes is None else f" passes {self.passes}"
        return f"{self.source} seed {self.seed}{fewer}"


def _train(
    inputs: Inputs, training: _Training, call: Callable[[Worker], Facts], needs: Sequence[str]
) -> Cell:
    # This file is there from the first epoch on: the mark alone says that the training has ended.
    source, seed = training.source, training.seed
    num_clips = inputs.study.data.draw or inputs.datasets[SOURCE].num_training
    passes = training.passes or inputs.study.train.passes_over(num_clips)
    cost = passes * pass_seconds(inputs, None if source == RANDOM_LABELS else source)
    output = inputs.checkpoint(source, seed, training.passes) / "model.safetensors"
    return _cell(inputs, f"train {training.name}", needs, call, cost, output)


def _train_name(name: str, seed: int | None) -> str:
    return f"train {name} seed {seed}"


def _score(inputs: Inputs, training: _Training, train: Cell) -> Cell:
    source, seed, passes = training.source, training.seed, training.passes
    call = partial(score_source, inputs=inputs, name=source, seed=seed, passes=passes)
    output = inputs.folder.rows(scores_name(source, seed, passes))
    return _cell(inputs, f"score {training.name}", [train.name], call, SCORE_SECONDS, output)


def _extract(
    inputs: Inputs, features: FeaturesKey, keys: Sequence[SubjectKey], needs: Sequence[str]
) -> Cell:
    norms = {key.batch_norm for key in keys}
    clips = sum(
        min(dataset.num_training, STATISTICS_CLIPS)
        if dataset.name == SOURCE
        else dataset.num_clips * len(norms)
        for dataset in inputs.datasets.values()
    )
    call = partial(extract_features, inputs=inputs, key=features, keys=keys)
    # The file that the cell writes last: if it is there, the others are.
    last, place = list(inputs.datasets)[-1], places_of(keys)[-1]
    norm: BatchNorm = "target" if "target" in norms else "source"
    output = inputs.folder.features(features.name, last, place, norm)
    cost = clips * extract_seconds(inputs, features)
    return _cell(inputs, f"features {features.name}", needs, call, cost, output)


def _from_scratch(inputs: Inputs, checks: Sequence[str]) -> list[Cell]:
    """Train the study's encoder on the support of each target alone, if that is a control."""
    if FROM_SCRATCH not in inputs.study.transfer.controls:
        return []
    cells = []
    for target in inputs.study.targets:
        for seed in inputs.study.seeds:
            learn = partial(learn_from_scratch, inputs=inputs, target=target, seed=seed)
            output = inputs.folder.predictions(scratch_name(target.name, seed))
            name = f"scratch {target.name} seed {seed}"
            cells.append(_cell(inputs, name, checks, learn, scratch_seconds(inputs), output))
    return cells


def _evaluate(inputs: Inputs, key: SubjectKey, target: Target, extract: Cell) -> list[Cell]:
    """Test the features of a subject on a target, and on its episodes if there are any."""
    call = partial(evaluate_subject, inputs=inputs, key=key, target=target)
    cost = EVALUATE_SECONDS * (1 + len(target.factors) + target.tasks)
    output = inputs.folder.predictions(evaluation_name(key, target.name))
    # The alignment also draws the target's tasks.
    needs = [extract.name, ALIGNMENT] if target.tasks else [extract.name]
    where = f"{key.name} on {target.name}"
    cells = [_cell(inputs, f"evaluate {where}", needs, call, cost, output)]
    episodes = inputs.study.transfer.episodes
    fits = episodes.number * len(episodes.shots) * len(inputs.study.transfer.probes)
    if asks_episodes(inputs, key, target):
        call = partial(evaluate_target_episodes, inputs=inputs, key=key, target=target)
        cost = fits * EPISODE_SECONDS
        output = inputs.folder.predictions(episodes_name(key, target.name))
        cells.append(_cell(inputs, f"episodes {where}", [extract.name], call, cost, output))
    return cells
