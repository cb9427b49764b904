"""The plan of a study: its cells in order, what each needs, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from taskgrain.config.settings import Target
from taskgrain.study.datasets import (
    DECODE_SECONDS,
    DRAW_SECONDS,
    SOURCE,
    Dataset,
    prepare_shard,
    shards,
)
from taskgrain.study.examples import show_examples
from taskgrain.study.executor import Cell
from taskgrain.study.gather import gather
from taskgrain.study.inputs import Inputs
from taskgrain.study.learning import PASS_SECONDS, score_source, train_source
from taskgrain.study.testing import (
    EVALUATE_SECONDS,
    EXTRACT_SECONDS,
    SubjectKey,
    evaluate_subject,
    extract_features,
    subjects,
)

SCORE_SECONDS = 3.0
GATHER_SECONDS = 10.0
EXAMPLE_SECONDS = 0.5  # a clip drawn at 320 x 240 and described by every source


def plan_cells(inputs: Inputs) -> list[Cell]:
    """List every cell of a study; those that are done already among them."""
    prepared = {name: _prepare(inputs, dataset) for name, dataset in inputs.datasets.items()}
    have_source = _names(prepared[SOURCE])
    have_all = [name for cells in prepared.values() for name in _names(cells)]
    cells = [cell for each in prepared.values() for cell in each]
    learned: list[Cell] = []
    for source in inputs.study.sources:
        for seed in inputs.study.seeds:
            learned.append(_train(inputs, source.name, seed, have_source))
            cells += [learned[-1], _score(inputs, source.name, seed, learned[-1])]
    for key in subjects(inputs):
        trained = [f"train {key.source} seed {key.seed}"] if key.kind == "source" else []
        extract = _extract(inputs, key, [*have_all, *trained])
        cells.append(extract)
        cells += [_evaluate(inputs, key, target, extract) for target in inputs.study.targets]
    examples = _cell(
        inputs,
        "examples",
        inputs.study.examples * EXAMPLE_SECONDS,
        [*have_all, *_names(learned)],
        partial(show_examples, inputs=inputs),
    )
    needs = _names(cells)
    results = _cell(inputs, "results", GATHER_SECONDS, needs, partial(gather, inputs=inputs))
    return [*cells, examples, results]


def total_seconds(cells: Sequence[Cell], workers: int) -> float:
    """Estimate how long cells take on this many workers, from measured speeds of a two-core CPU."""
    longest = max((cell.cost for cell in cells), default=0.0)
    return max(longest, sum(cell.cost for cell in cells) / workers)


def _names(cells: Sequence[Cell]) -> list[str]:
    return [cell.name for cell in cells]


def _cell(
    inputs: Inputs, name: str, cost: float, needs: Sequence[str], work: partial[None]
) -> Cell:
    return Cell(name, work, cost, inputs.folder.done(name.replace(" ", "-")), tuple(needs))


def _prepare(inputs: Inputs, dataset: Dataset) -> list[Cell]:
    seconds = DECODE_SECONDS + (DRAW_SECONDS if dataset.world is not None else 0.0)
    return [
        _cell(
            inputs,
            f"prepare {dataset.name} {number:05d}",
            seconds * len(records),
            [],
            partial(prepare_shard, dataset=dataset, number=number, records=records, plans=plans),
        )
        for number, records, plans in shards(dataset)
    ]


def _train(inputs: Inputs, source: str, seed: int, needs: Sequence[str]) -> Cell:
    return _cell(
        inputs,
        f"train {source} seed {seed}",
        inputs.study.train.epochs * inputs.datasets[SOURCE].num_training * PASS_SECONDS,
        needs,
        partial(train_source, inputs=inputs, name=source, seed=seed),
    )


def _score(inputs: Inputs, source: str, seed: int, train: Cell) -> Cell:
    return _cell(
        inputs,
        f"score {source} seed {seed}",
        SCORE_SECONDS,
        [train.name],
        partial(score_source, inputs=inputs, name=source, seed=seed),
    )


def _extract(inputs: Inputs, key: SubjectKey, needs: Sequence[str]) -> Cell:
    clips = sum(dataset.num_clips for dataset in inputs.datasets.values())
    return _cell(
        inputs,
        f"features {key.name}",
        clips * EXTRACT_SECONDS,
        needs,
        partial(extract_features, inputs=inputs, key=key),
    )


def _evaluate(inputs: Inputs, key: SubjectKey, target: Target, extract: Cell) -> Cell:
    return _cell(
        inputs,
        f"evaluate {key.name} on {target.name}",
        EVALUATE_SECONDS * (1 + len(target.factors)),
        [extract.name],
        partial(evaluate_subject, inputs=inputs, key=key, target=target),
    )
