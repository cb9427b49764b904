"""One small study with every read-out, both choices of norms, and labels at random."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from taskgrain.cli.main import main
from taskgrain.names import Readout
from taskgrain.results import read_rows, select
from tests.end_to_end.conftest import SMALL, with_drawn_clips

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forked_trainings")]


def test_every_readout_of_every_source_has_its_rows(small_run: Path, tmp_path: Path) -> None:
    readouts = get_args(Readout)
    listed = ", ".join(f'"{readout}"' for readout in readouts)
    changes = (
        *("--set", f"transfer.readouts=[{listed}]"),
        *("--set", 'transfer.batch_norm=["source", "target"]'),
        *("--set", 'transfer.controls=["random-encoder", "random-labels", "permuted-labels"]'),
        *("--set", 'transfer.probes=["nearest-mean", "ridge"]', "--set", "primary.probe=ridge"),
        *("--set", "transfer.checkpoint=best", "--set", "primary.readout=channels-mean"),
        *("--set", "encoders={flat={temporal_widths=[]}}", "--set", "seeds=[0, 1]"),
        "--set",
        'sources=["action-groups", {name="flat", classify="category", encoder="flat"}]',
        *("--set", "primary.source=flat", "--set", "primary.versus=action-groups"),
    )
    main([*SMALL, *changes, "--out", str(with_drawn_clips(small_run, tmp_path / "run"))])
    rows = read_rows(tmp_path / "run" / "results.jsonl")
    one = select(rows, target="kitchenware", probe="ridge", metric="top-1", shots=1)
    for readout in readouts:
        for name in (readout, f"{readout}+target-norm"):
            of_readout = select(one, readout=name)
            groups = select(of_readout, source="action-groups", control=None, versus=None)
            assert sorted(str(row.seed) for row in groups) == ["0", "1", "None"]
            flat = select(of_readout, source="flat", control=None)
            assert bool(flat) == (readout != "temporal-mean"), name
            assert {row.versus for row in flat} <= {None, "action-groups"}
            over_seeds = select(flat, versus="action-groups", interval="seeds")
            each_seed = [
                row.value or 0.0
                for row in select(flat, versus="action-groups")
                if row.seed is not None
            ]
            # Two seeds and 39 clips: the differences may be equal, and then no spread is left.
            equal = max(each_seed, default=0.0) == pytest.approx(min(each_seed, default=0.0))
            assert bool(over_seeds) == (not equal), name
            for control in ("random-encoder", "random-labels"):
                found = select(of_readout, control=control)
                assert {row.source for row in found} == {None}
                assert {row.seed for row in found} == {0, 1, None}
    permuted = select(rows, control="permuted-labels")
    assert {row.readout for row in permuted} == {"channels-mean"}
    assert {row.seed for row in permuted} == {0, 1}
    checkpoints = tmp_path / "run" / "checkpoints"
    for seed in (0, 1):
        assert (checkpoints / f"random-labels-seed-{seed}" / "last" / "model.json").is_file()
    values = {
        row.value for row in select(one, source="action-groups", seed=0, control=None, versus=None)
    }
    assert len(values) > 3  # the ways of reading differ
