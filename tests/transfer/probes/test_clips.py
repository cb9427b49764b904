from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from taskgrain.transfer.probes import clips
from taskgrain.transfer.probes.clips import Queries, RawClips, Scaling, Support, compare

NUM_CLIPS, WIDTH, PROBLEMS, POINTS = 40, 6, 3, 5


def clips_of(spread: float) -> tuple[RawClips, Scaling, NDArray[np.float64]]:
    """Make clips, and supports that vary `spread` times as much as these in half the features."""
    rng = np.random.default_rng(0)
    features = rng.normal(3.0, 2.0, (NUM_CLIPS, WIDTH))
    scale = np.where(np.arange(WIDTH) < WIDTH // 2, spread, 1.0) * rng.uniform(
        0.5, 2.0, (PROBLEMS, 1, WIDTH)
    )
    scaling = Scaling(rng.normal(3.0, 1.0, (PROBLEMS, 1, WIDTH)), scale)
    return RawClips(features), scaling, rng.normal(size=(PROBLEMS, POINTS, WIDTH))


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize("queries", ["all", "some"])
def test_products_and_lengths_are_those_of_standardised_clips(spread: float, queries: str) -> None:
    clips, scaling, points = clips_of(spread)
    rows = None
    if queries == "some":
        rows = np.stack([np.random.default_rng(n).permutation(NUM_CLIPS)[:7] for n in range(3)])
    seen = 0
    for found in compare(clips, rows, points, scaling, lengths=True):
        index = found.query if rows is None else rows[found.problem]
        mean, scale = (each[found.problem, 0] for each in (scaling.mean, scaling.scale))
        plain = (clips.features[index] - mean) / scale  # (q, D)
        assert found.squares is not None
        assert np.allclose(found.squares, (plain**2).sum(axis=1), rtol=1e-5, atol=1e-5)
        wanted = points[found.problem] @ plain.T
        assert np.allclose(found.products, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())
        seen += 1
    assert seen == PROBLEMS


def test_a_clip_at_the_mean_of_a_support_that_hardly_varies_has_no_length() -> None:
    clips, scaling, points = clips_of(1e-9)
    near = Scaling(np.broadcast_to(clips.features[4], (PROBLEMS, 1, WIDTH)), scaling.scale)
    for found in compare(clips, None, points, near, lengths=True):
        assert found.squares is not None
        assert found.squares[4] < 1e-6
        assert np.abs(found.products[:, 4]).max() < 1e-4


def queries_of(*, has_rows: bool, offset: float = 0.0) -> Queries:
    """Pose problems whose standardised support lies around the offset."""
    rng = np.random.default_rng(0)
    clips = RawClips(rng.normal(3.0, 2.0, (NUM_CLIPS, WIDTH)))
    rows = np.stack([rng.permutation(NUM_CLIPS)[:7] for _ in range(PROBLEMS)]) if has_rows else None
    scaling = Scaling(
        rng.normal(3.0, 1.0, (PROBLEMS, 1, WIDTH)), rng.uniform(0.5, 2.0, (PROBLEMS, 1, WIDTH))
    )
    return Queries(
        clips, rows, scaling, Support(offset + rng.normal(size=(PROBLEMS, POINTS, WIDTH)))
    )


@pytest.mark.parametrize("has_rows", [True, False])
@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_clips_are_met_around_the_middle_of_the_support(has_rows: bool, offset: float) -> None:
    queries = queries_of(has_rows=has_rows, offset=offset)
    every = np.tile(np.arange(NUM_CLIPS), (PROBLEMS, 1)) if queries.rows is None else queries.rows
    seen = 0
    for met in queries.met():
        index = every[met.problem][met.query]
        mean, scale = (each[met.problem] for each in (queries.scaling.mean, queries.scaling.scale))
        support = queries.support.features[met.problem]
        middle = support.mean(axis=0)
        around = (queries.clips.features[index] - mean) / scale - middle
        assert np.allclose(met.products, (support - middle) @ around.T)
        assert np.allclose(met.along, middle @ around.T)
        assert np.allclose(met.squares, (around**2).sum(axis=1))
        seen += len(index)
    assert seen == every.size


def test_what_is_met_twice_is_computed_once_unless_it_takes_too_much_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queries = queries_of(has_rows=False)
    first, second = list(queries.met()), list(queries.met())
    assert all(a is b for a, b in zip(first, second, strict=True))
    monkeypatch.setattr(clips, "KEPT_BYTES", 8 * PROBLEMS * NUM_CLIPS * (POINTS + 1) - 1)
    queries = queries_of(has_rows=False)
    first, second = list(queries.met()), list(queries.met())
    assert not any(a is b for a, b in zip(first, second, strict=True))
    assert all(
        a.products.tobytes() == b.products.tobytes() for a, b in zip(first, second, strict=True)
    )
