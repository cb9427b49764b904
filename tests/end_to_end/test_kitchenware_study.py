"""The packaged study `kitchenware` in small, with drawn weights in place of ImageNet's."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskgrain.cli.main import main
from taskgrain.results import ResultRow, read_rows, select
from tests.end_to_end.conftest import ONE_WORKER

pytestmark = pytest.mark.slow
TARGETS = ("kitchenware", "kitchenware-far")


@pytest.fixture(scope="module")
def run(forked_trainings: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("kitchenware") / "run"
    targets = ", ".join(
        f"{{name='{name}', world='{name}', support=13, scored=13, factors=['motion']}}"
        for name in TARGETS
    )
    changes = (
        *("encoders.imagenet.weights=random", "seeds=[0]", f"targets=[{targets}]"),
        *("data.train=30", "data.validation=16", "train.epochs=1", "video.num_frames=2"),
        *('transfer.shots=[1, "all"]', "primary.shots=1", "family=[]", "transfer.draws=3"),
        *("transfer.from_scratch={draws=2, passes=13}", "examples=0"),
    )
    settings = [part for change in changes for part in ("--set", change)]
    main(["study", "kitchenware", "--quiet", *ONE_WORKER, *settings, "--out", str(out)])
    return out


@pytest.fixture(scope="module")
def rows(run: Path) -> tuple[ResultRow, ...]:
    return read_rows(run / "results.jsonl")


def test_every_row_of_learning_from_scratch_says_what_it_is(rows: tuple[ResultRow, ...]) -> None:
    found = select(rows, control="from-scratch")
    assert {
        (row.source, row.seed, row.target, row.probe, row.readout, row.shots, row.draws)
        for row in found
    } == {
        (None, 0, target, None, "own-head", shots, draws)
        for target in TARGETS
        for shots, draws in ((1, 2), ("all", 1))
    }
    assert {row.metric for row in found} == {"top-1", "mean-per-class"}


def test_every_source_is_compared_with_learning_from_scratch(rows: tuple[ResultRow, ...]) -> None:
    found = select(rows, versus="from-scratch")
    assert {row.source for row in found} == {
        *("action-groups", "categories", "joint-full", "imagenet")
    }
    assert {(row.target, row.probe, row.shots, row.draws) for row in found} == {
        ("kitchenware", "logistic-regression", 1, 2)
    }


def test_the_image_network_is_read_by_its_mean_and_by_how_it_changes(
    rows: tuple[ResultRow, ...],
) -> None:
    for target in TARGETS:
        own = select(rows, source="imagenet", target=target, versus=None, control=None)
        assert {row.readout for row in own} == {"lstm-mean", "lstm-mean-deviation"}
        assert {row.probe for row in own} == {"nearest-mean", "logistic-regression", "rbf-ridge"}
    assert not [row for row in select(rows, source="imagenet") if row.p_holm is not None]


def test_the_report_claims_nothing_of_the_image_network_and_names_the_baseline(run: Path) -> None:
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "Not so imagenet: frozen as they came" in text
    assert "Nothing is claimed of them" in text
    assert "trained on the target&#39;s support clips alone. It scores" in text
    assert not (run / "from-scratch" / "from-scratch-seed-0.kitchenware").exists()
