"""The paper's study, from annotations of Something-Something's shape to the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from taskgrain.cli.main import main
from taskgrain.config.load import load_study
from taskgrain.labels.ssv2 import BRACKETED, GROUP_OF
from taskgrain.labels.template import strip_brackets
from taskgrain.results import read_rows
from tests.end_to_end.conftest import ONE_WORKER
from tests.making import moving_square, row, write_annotations, write_video

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forked_trainings")]
TEMPLATES = [  # two of a group, then others; official names, so that groups are the official ones
    "Pushing [something] from left to right",
    "Pushing [something] from right to left",
    "Pulling [something] from left to right",
    "Putting [something] onto [something]",
    "Covering [something] with [something]",
    "Moving [something] up",
]
THINGS = ("a small red cup", "box", "the phone", "a bottle")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighteen clips of 240 pixels' proportions, 12 frames a second, 2 to 5 seconds."""
    assert {strip_brackets(template) for template in TEMPLATES} <= set(GROUP_OF)
    root = tmp_path_factory.mktemp("data") / "something something"
    rows: list[object] = []
    for index in range(18):
        template = TEMPLATES[index % len(TEMPLATES)]
        filling = [THINGS[(index + slot) % 4] for slot in range(template.count("["))]
        rows.append(row(str(index + 1), template, *filling))
        frames = moving_square(24 + 3 * index // 2, size=96)[:, :72]
        noise = np.random.default_rng(index).integers(0, 25, frames.shape, dtype=np.uint8)
        write_video(root / "videos" / f"{index + 1}.webm", frames + noise)
    write_annotations(root, rows[:12], rows[12:])
    (root / "test.json").write_text(json.dumps([{"id": "99"}]), encoding="utf-8")
    names = sorted(strip_brackets(template) for template in TEMPLATES)
    numbers = {name: str(number) for number, name in enumerate(names)}
    (root / "labels.json").write_text(json.dumps(numbers), encoding="utf-8")
    assert set(names) <= {strip_brackets(each) for each in BRACKETED.values()}
    return root


def test_the_papers_study_runs_through_at_its_own_frames(dataset: Path, tmp_path: Path) -> None:
    narrow = "[2, 4, 8, 16, 16, 16]"  # a sixteenth of the paper's; frames, layers and steps are its
    settings = (
        *(f"data.root={dataset}", "train.epochs=1", "train.min_word_count=1", "examples=1"),
        "sources=[{name='categories', classify='category'}, {name='joint-full', "
        "classify='category', caption='full', lambda=0.1, warm_start='categories'}]",
        *(f"encoder.spatial_widths={narrow}", f"encoder.temporal_widths={narrow}"),
        *("encoder.lstm_width=32", "encoder.feature_width=48", "decoder.lstm_width=32"),
        "targets=[{name='kitchenware', support=13, scored=13}]",
        *("transfer.shots=[1]", "primary.shots=1", "transfer.draws=2"),
        *("primary.source=joint-full", "primary.versus=categories"),
        *("transfer.controls=['majority']", "transfer.probes=['logistic-regression','recurrent']"),
    )
    run = tmp_path / "run"
    asked = [part for each in settings for part in ("--set", each)]
    main(["study", "paper-ssv2", "--quiet", *ONE_WORKER, "--out", str(run), *asked])
    assert (run / "report.html").is_file()
    rows = read_rows(run / "results.jsonl")
    tested = {each.source for each in rows if each.target == "kitchenware" and each.source}
    assert tested == {"categories", "joint-full"}
    assert {each.readout for each in rows if each.source == "categories" and each.readout} == {
        "lstm-mean",
        "lstm-steps",
    }
    model = json.loads(
        (run / "checkpoints" / "joint-full-seed-0" / "best" / "model.json").read_text()
    )
    assert (model["sampling"]["num_frames"], model["sampling"]["height"]) == (48, 96)
    assert len(model["encoder"]["temporal"]["layers"]) == 6
    assert model["words"] == "paper"
    assert "LEFT" in model["vocabulary"]
    assert model["warm_start"]["source"] == "categories"


def test_the_same_study_with_our_choices_differs_in_choices_alone() -> None:
    paper, ours = load_study("paper-ssv2"), load_study("paper-ssv2-ours")
    assert (paper.train.padding, ours.train.padding) == ("counted", "masked")
    assert (paper.encoder, paper.video, paper.targets) == (ours.encoder, ours.video, ours.targets)
    assert [each.name for each in paper.sources] == [each.name for each in ours.sources]
