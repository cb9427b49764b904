from __future__ import annotations

import numpy as np
import pytest

from taskgrain.transfer.probes import asked as module
from taskgrain.transfer.probes.asked import Asked
from taskgrain.transfer.probes.raw import RawClips, Scaling
from taskgrain.transfer.probes.support import Support

PROBLEMS, CLIPS, WIDTH, QUERIES = 3, 5, 6, 40


def make(*, has_rows: bool, offset: float = 0.0) -> Asked:
    """Pose problems whose standardised support lies around the offset."""
    rng = np.random.default_rng(0)
    clips = RawClips(rng.normal(3.0, 2.0, (QUERIES, WIDTH)))
    rows = np.stack([rng.permutation(QUERIES)[:7] for _ in range(PROBLEMS)]) if has_rows else None
    scaling = Scaling(
        rng.normal(3.0, 1.0, (PROBLEMS, 1, WIDTH)), rng.uniform(0.5, 2.0, (PROBLEMS, 1, WIDTH))
    )
    return Asked(clips, rows, scaling, Support(offset + rng.normal(size=(PROBLEMS, CLIPS, WIDTH))))


@pytest.mark.parametrize("has_rows", [True, False])
@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_clips_are_met_around_the_middle_of_the_support(has_rows: bool, offset: float) -> None:
    asked = make(has_rows=has_rows, offset=offset)
    every = np.tile(np.arange(QUERIES), (PROBLEMS, 1)) if asked.rows is None else asked.rows
    seen = 0
    for met in asked.met():
        index = every[met.problem][met.query]
        mean, scale = (each[met.problem] for each in (asked.scaling.mean, asked.scaling.scale))
        support = asked.support.features[met.problem]
        middle = support.mean(axis=0)
        around = (asked.clips.features[index] - mean) / scale - middle
        assert np.allclose(met.products, (support - middle) @ around.T)
        assert np.allclose(met.along, middle @ around.T)
        assert np.allclose(met.squares, (around**2).sum(axis=1))
        seen += len(index)
    assert seen == every.size


def test_what_is_met_twice_is_computed_once_unless_it_takes_too_much_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = make(has_rows=False)
    first, second = list(asked.met()), list(asked.met())
    assert all(a is b for a, b in zip(first, second, strict=True))
    monkeypatch.setattr(module, "KEPT_BYTES", 8 * PROBLEMS * QUERIES * (CLIPS + 1) - 1)
    asked = make(has_rows=False)
    first, second = list(asked.met()), list(asked.met())
    assert not any(a is b for a, b in zip(first, second, strict=True))
    assert all(
        a.products.tobytes() == b.products.tobytes() for a, b in zip(first, second, strict=True)
    )
