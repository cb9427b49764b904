from __future__ import annotations

import json
import pickle
from pathlib import Path

from taskgrain.config.load import load_study
from taskgrain.study.datasets import SOURCE, lay_out
from taskgrain.study.folder import RunFolder


def test_annotations_are_read_once_a_command_and_anew_in_each_cell(tmp_path: Path) -> None:
    study = load_study("smoke", ["data.train=56", "data.validation=28"])
    dataset = lay_out(study, RunFolder(tmp_path))[SOURCE]
    held = dataset.manifest()
    sent = pickle.dumps(dataset)
    assert len(sent) < 2000  # without a clip
    rows = json.loads((dataset.root / "train.json").read_text(encoding="utf-8"))
    (dataset.root / "train.json").write_text(json.dumps(rows[1:]), encoding="utf-8")
    assert dataset.manifest() is held
    received = pickle.loads(sent)
    assert received == dataset
    assert len(received.manifest().records) == len(held.records) - 1
