from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import taskgrain
from taskgrain.cli.main import main
from taskgrain.errors import ResultError
from taskgrain.report.best import describe_best, find_best
from taskgrain.results import ResultRow
from tests.report.conftest import LADDER, STUDY, RunMaker

Make = Callable[..., ResultRow]


def made(root: Path, rows: list[ResultRow], **parts: object) -> Path:
    """Write a run with a checkpoint of each of its sources and seeds."""
    run = RunMaker(root, rows=rows, **parts).write()  # type: ignore[arg-type]
    for each in rows:
        folder = run / "checkpoints" / f"{each.source}-seed-{each.seed}" / "last"
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("model.json", "model.safetensors"):
            (folder / name).touch()
    return run


def test_the_best_of_one_seed_is_named_with_what_comes_next(tmp_path: Path, row: Make) -> None:
    rows = [row(0.2, source="action-groups"), row(0.3, source="joint-full"), row(0.25)]
    rows.append(row(0.9, source="action-groups", shots=1))  # another question
    rows.append(row(0.9, source="action-groups", control="shuffled-time"))
    rows.append(row(0.9, source="action-groups", versus="categories"))
    best = find_best(made(tmp_path / "run", rows))
    assert best.checkpoint == tmp_path / "run" / "checkpoints" / "joint-full-seed-0" / "last"
    assert describe_best(best) == (
        "best at 5-shot logistic regression on kitchenware (accuracy, mean over classes; "
        "LSTM, mean of its steps): joint-full, 30.0 %, seed 0; next categories, 25.0 %, 5.0 points "
        "behind. It was chosen on the clips that score it: expect less on others."
    )


def test_over_seeds_the_mean_chooses_the_source_and_its_best_seed_is_taken(
    tmp_path: Path, row: Make
) -> None:
    rows = [row(value, seed=seed) for seed, value in enumerate((0.2, 0.5, 0.5))]
    rows += [row(value, seed=seed, source="joint-full") for seed, value in enumerate((0.1, 0.8))]
    over: dict[str, object] = {"seed": None, "interval": "seeds"}
    rows += [row(0.4, **over), row(0.35, source="joint-full", **over)]
    best = find_best(made(tmp_path / "run", rows))
    assert best.checkpoint.parent.name == "categories-seed-1"
    said = describe_best(best)
    assert "categories, 40.0 % over 3 seeds; of these seed 1, 50.0 %; next joint-full" in said


def test_only_sources_that_learned_captions_are_compared_where_these_are_wanted(
    tmp_path: Path, row: Make
) -> None:
    rows = [row(0.3), row(0.2, source="captions-full"), row(0.1, source="joint-full")]
    run = made(tmp_path / "run", rows)
    assert taskgrain.best_checkpoint(run).parent.name == "categories-seed-0"
    assert taskgrain.best_checkpoint(str(run), captions=True).parent.name == "captions-full-seed-0"
    run = made(tmp_path / "other", [row(0.3)])
    with pytest.raises(ResultError, match="no source that learned captions has a result at 5-shot"):
        taskgrain.best_checkpoint(run, captions=True)


def test_a_frozen_source_is_passed_over_and_named(tmp_path: Path, row: Make) -> None:
    sources = (*LADDER, ("resnet18", None, None))
    rows = [row(0.3), row(0.4, source="resnet18")]
    best = find_best(made(tmp_path / "run", rows, sources=sources))
    assert best.checkpoint.parent.name == "categories-seed-0"
    assert "; resnet18 has 40.0 %, but is frozen: no checkpoint." in describe_best(best)
    with pytest.raises(ResultError, match="no source that was trained has a result at"):
        find_best(made(tmp_path / "only", [row(0.4, source="resnet18")], sources=sources))


def test_a_source_whose_probe_failed_is_passed_over(
    tmp_path: Path, row: Make, failed_row: Make
) -> None:
    run = made(tmp_path / "run", [row(0.3), failed_row(source="joint-full")])
    best = find_best(run)
    assert best.checkpoint.parent.name == "categories-seed-0"
    assert best.runner_up is None


def test_the_checkpoint_that_was_tested_is_the_one_named(tmp_path: Path, row: Make) -> None:
    study = STUDY + '[transfer]\ncheckpoint = "best"\n'
    run = made(tmp_path / "run", [row(0.3)], study=study)
    folder = run / "checkpoints" / "categories-seed-0"
    with pytest.raises(ResultError, match=r"best/model\.json: no such file, but 'categories'"):
        find_best(run)
    (folder / "last").rename(folder / "best")
    assert find_best(run).checkpoint == folder / "best"


def test_rows_without_a_value_and_runs_without_a_study_file_name_no_best(
    tmp_path: Path, row: Make
) -> None:
    from dataclasses import replace

    empty = replace(row(0.3), value=None, interval=None, low=None, high=None)
    with pytest.raises(ResultError, match="run the study to its end, or give another run"):
        find_best(made(tmp_path / "run", [empty]))
    run = made(tmp_path / "other", [row(0.3)])
    (run / "study.toml").unlink()
    with pytest.raises(ResultError, match=r"study\.toml: no such file; it names the endpoint"):
        find_best(run)


def test_the_command_prints_one_path_and_says_the_rest_on_standard_error(
    tmp_path: Path, row: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made(tmp_path / "run", [row(0.3)])
    main(["report", str(run), "--best"])
    out, err = capsys.readouterr()
    assert out == f"{run}/checkpoints/categories-seed-0/last\n"
    assert err.startswith("taskgrain: best at 5-shot logistic regression on kitchenware")
    assert not (run / "report.html").exists()
    with pytest.raises(SystemExit) as stopped:
        main(["report", str(run), "--captions"])
    assert stopped.value.code == 2
    assert "is for --best alone" in capsys.readouterr().err
