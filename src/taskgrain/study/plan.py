"""The plan of a study: its cells in order, what each needs, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from taskgrain.config.clips import Target
from taskgrain.data.store import DECODE_SECONDS, shard_index
from taskgrain.jobs.executor import Cell, Facts, Worker
from taskgrain.prepare.rendering import DRAW_SECONDS
from taskgrain.study.checking import check_clips
from taskgrain.study.datasets import SOURCE, Dataset, prepare_shard, shards
from taskgrain.study.examples import show_examples
from taskgrain.study.gather import gather
from taskgrain.study.inputs import Inputs
from taskgrain.study.learning import PASS_SECONDS, train_source
from taskgrain.study.source_scores import score_source
from taskgrain.study.testing import (
    EVALUATE_SECONDS,
    EXTRACT_SECONDS,
    SubjectKey,
    evaluate_subject,
    evaluation_name,
    extract_features,
    subjects,
)

SCORE_SECONDS = 3.0
GATHER_SECONDS = 6.0
CHECK_SECONDS = 1.0
EXAMPLE_SECONDS = 0.5  # a clip drawn at 320 x 240 and described by every source


def plan_cells(inputs: Inputs) -> list[Cell]:
    """List every cell of a study; those that are done already among them."""
    folder = inputs.folder
    prepared = [cell for dataset in inputs.datasets.values() for cell in _prepare(inputs, dataset)]
    checking = _Work(partial(check_clips, inputs=inputs), CHECK_SECONDS, folder.ledger)
    checked = _cell(inputs, "check", _names(prepared), checking)
    cells = [*prepared, checked]
    learned: list[Cell] = []
    for source in inputs.study.sources:
        for seed in inputs.study.seeds:
            learned.append(_train(inputs, source.name, seed, checked))
            cells += [learned[-1], _score(inputs, source.name, seed, learned[-1])]
    for key in subjects(inputs):
        trained = [f"train {key.source} seed {key.seed}"] if key.source is not None else []
        extract = _extract(inputs, key, [checked.name, *trained])
        cells.append(extract)
        cells += [_evaluate(inputs, key, target, extract) for target in inputs.study.targets]
    showing = _Work(
        partial(show_examples, inputs=inputs),
        inputs.study.examples * EXAMPLE_SECONDS,
        folder.examples / "examples.json",
    )
    gathering = _Work(partial(gather, inputs=inputs), GATHER_SECONDS, folder.results)
    return [
        *cells,
        _cell(inputs, "examples", [checked.name, *_names(learned)], showing),
        _cell(inputs, "results", _names(cells), gathering),
    ]


def total_seconds(cells: Sequence[Cell], workers: int) -> float:
    """Estimate how long cells take on this many workers, from measured speeds of a two-core CPU."""
    longest = max((cell.cost for cell in cells), default=0.0)
    return max(longest, sum(cell.cost for cell in cells) / workers)


def _names(cells: Sequence[Cell]) -> list[str]:
    return [cell.name for cell in cells]


@dataclass(frozen=True, slots=True)
class _Work:
    """What a cell calls, what that costs in seconds, and a file that it writes."""

    call: Callable[[Worker], Facts | None]
    cost: float
    output: Path


def _cell(inputs: Inputs, name: str, needs: Sequence[str], work: _Work) -> Cell:
    done = inputs.folder.done(name.replace(" ", "-"))
    return Cell(name, work.call, work.cost, done, work.output, tuple(needs))


def _prepare(inputs: Inputs, dataset: Dataset) -> list[Cell]:
    seconds = DECODE_SECONDS + (DRAW_SECONDS if dataset.world is not None else 0.0)
    return [
        _cell(
            inputs,
            f"prepare {dataset.name} {number:05d}",
            [],
            _Work(
                partial(
                    prepare_shard, dataset=dataset, number=number, records=records, plans=plans
                ),
                seconds * len(records),
                shard_index(dataset.store, number),
            ),
        )
        for number, records, plans in shards(dataset)
    ]


def _train(inputs: Inputs, source: str, seed: int, checked: Cell) -> Cell:
    passes = inputs.study.train.epochs * inputs.datasets[SOURCE].num_training
    call = partial(train_source, inputs=inputs, name=source, seed=seed)
    output = inputs.checkpoint(source, seed) / "model.safetensors"
    work = _Work(call, passes * PASS_SECONDS, output)
    return _cell(inputs, f"train {source} seed {seed}", [checked.name], work)


def _score(inputs: Inputs, source: str, seed: int, train: Cell) -> Cell:
    call = partial(score_source, inputs=inputs, name=source, seed=seed)
    work = _Work(call, SCORE_SECONDS, inputs.folder.rows(f"score-{source}-seed-{seed}"))
    return _cell(inputs, f"score {source} seed {seed}", [train.name], work)


def _extract(inputs: Inputs, key: SubjectKey, needs: Sequence[str]) -> Cell:
    clips = sum(dataset.num_clips for dataset in inputs.datasets.values())
    call = partial(extract_features, inputs=inputs, key=key)
    last = list(inputs.datasets)[-1]
    work = _Work(call, clips * EXTRACT_SECONDS, inputs.folder.features(key.name, last))
    return _cell(inputs, f"features {key.name}", needs, work)


def _evaluate(inputs: Inputs, key: SubjectKey, target: Target, extract: Cell) -> Cell:
    call = partial(evaluate_subject, inputs=inputs, key=key, target=target)
    cost = EVALUATE_SECONDS * (1 + len(target.factors))
    work = _Work(call, cost, inputs.folder.predictions(evaluation_name(key, target.name)))
    return _cell(inputs, f"evaluate {key.name} on {target.name}", [extract.name], work)
