"""The encoder of a run that did best on the primary endpoint's task, and its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from taskgrain.config.learning import Source
from taskgrain.config.settings import Study
from taskgrain.config.testing import FamilyEndpoint
from taskgrain.errors import ResultError
from taskgrain.report.lookup import Lookup, question_of
from taskgrain.report.run_folder import read_run_folder
from taskgrain.report.words import (
    count_words,
    format_value,
    metric_words,
    probe_words,
    readout_words,
    shots_words,
    value_of,
)
from taskgrain.results import ResultRow

FILES = ("model.json", "model.safetensors")


@dataclass(frozen=True, slots=True)
class Best:
    """The best source, the best seed among its encoders, and the runner-up."""

    checkpoint: Path
    endpoint: FamilyEndpoint
    row: ResultRow  # of the source: over its seeds, where it has several
    of_seed: ResultRow
    runner_up: ResultRow | None
    frozen: ResultRow | None  # a frozen source that did better; it has no checkpoint
    num_seeds: int
    is_learned: bool  # False where the source has not learned its own labels


def best_checkpoint(run: Path | str, *, captions: bool = False) -> Path:
    """Find the checkpoint of the encoder that did best on the primary endpoint's task.

    Args:
        run: a run folder.
        captions: whether only sources that learned captions are compared.

    Returns:
        The checkpoint's folder in the run, for `Predictor.from_checkpoint`.

    Raises:
        ResultError: if no source that was trained has a result, or its checkpoint is not there.
    """
    return find_best(Path(run), captions=captions).checkpoint


def find_best(run_dir: Path, *, captions: bool = False) -> Best:
    """Find the best trained source at the primary endpoint; of equal ones the first of the study.

    The source is the one with the highest value, over its seeds where it has several; of its
    encoders the one of the best seed is taken, of equal seeds the lowest.

    Raises:
        ResultError: as `best_checkpoint`.
    """
    lookup = Lookup(read_run_folder(run_dir))
    study, primary = lookup.run.study, lookup.primary
    if study is None or primary is None:
        raise ResultError(
            f"{run_dir / 'study.toml'}: no such file; it names the endpoint that sources are "
            "compared at: bring it back, or run the study again"
        )
    question = question_of(primary)
    found = [lookup.measured(source, question) for source in lookup.sources]
    # Where a probe failed, the row says so and has no value.
    with_value = [row for row in found if row is not None and row.problem is None]
    ranked = sorted(with_value, key=lambda row: -value_of(row))
    facts = {each.name: each for each in lookup.source_settings}
    trained = [row for row in ranked if _is_wanted(facts.get(row.source or ""), captions=captions)]
    if not trained:
        wanted = "learned captions" if captions else "was trained"
        raise ResultError(
            f"{run_dir / 'results.jsonl'}: no source that {wanted} has a result at "
            f"{endpoint_words(primary)}; run the study to its end, or give another run"
        )
    row = trained[0]
    seeds = [
        each for each in lookup.every(row.source or "", None, question) if each.seed is not None
    ]
    of_seed = min(seeds, key=lambda each: (-value_of(each), each.seed or 0), default=row)
    # A frozen source may be ahead, and is named: it has no checkpoint that could be given.
    ahead = ranked[: ranked.index(row)]
    return Best(
        _checkpoint(run_dir, study, of_seed),
        primary,
        row,
        of_seed,
        runner_up=trained[1] if len(trained) > 1 else None,
        frozen=next((each for each in ahead if _is_frozen(facts.get(each.source or ""))), None),
        num_seeds=len(seeds),
        is_learned=row.source not in lookup.unlearned,
    )


def describe_best(best: Best) -> str:
    """Return in words which encoder was chosen, how far the next is behind, and a warning."""
    metric = best.row.metric
    text = f"best at {endpoint_words(best.endpoint)}: {best.row.source}, {_shown(best.row)}"
    if best.num_seeds > 1:
        text += (
            f" over {count_words(best.num_seeds, 'seed')}; of these seed {best.of_seed.seed}, "
            f"{_shown(best.of_seed)}"
        )
    else:
        text += f", seed {best.of_seed.seed}"
    if best.runner_up is not None:
        behind = format_value(metric, value_of(best.row) - value_of(best.runner_up))
        text += f"; next {best.runner_up.source}, {_shown(best.runner_up)}, {behind} points behind"
    if best.frozen is not None:
        text += f"; {best.frozen.source} has {_shown(best.frozen)}, but is frozen: no checkpoint"
    if not best.is_learned:
        text += f". {best.row.source} has not learned its own labels"
    return f"{text}. It was chosen on the clips that score it: expect less on others."


def endpoint_words(primary: FamilyEndpoint) -> str:
    """Return the task of an endpoint in words."""
    parts = [shots_words(primary.shots), probe_words(primary.probe), f"on {primary.target}"]
    parts.append(f"({metric_words(primary.metric)}")
    return " ".join(parts) + f"; {readout_words(primary.readout)})"


def _is_wanted(facts: Source | None, *, captions: bool) -> bool:
    """Whether a source was trained in this run; one that study.toml does not name counts."""
    return not _is_frozen(facts) and not (captions and (facts is None or facts.caption is None))


def _is_frozen(facts: Source | None) -> bool:
    return facts is not None and facts.is_frozen


def _checkpoint(run_dir: Path, study: Study, row: ResultRow) -> Path:
    """Find the checkpoint whose features were tested.

    Raises:
        ResultError: if it is not whole.
    """
    folder = run_dir / "checkpoints" / f"{row.source}-seed-{row.seed}" / study.transfer.checkpoint
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ResultError(
            f"{folder / missing[0]}: no such file, but {row.source!r}, seed {row.seed}, did best; "
            "bring the run's checkpoints back, or run the study again into another folder"
        )
    return folder


def _shown(row: ResultRow) -> str:
    return f"{format_value(row.metric, value_of(row))} %"
