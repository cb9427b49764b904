from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from taskgrain.errors import CheckpointError
from taskgrain.familiarity import FEWEST_HELD_OUT, FILE, Familiarity
from taskgrain.models.weights import save_tensors

WIDTH = 6


def clips(number: int, seed: int) -> NDArray[np.float32]:
    """Make features that hang together: the last is nearly the sum of the others."""
    generator = np.random.default_rng(seed)
    features = generator.normal(3, [1, 2, 3, 4, 5, 0.1], (number, WIDTH))
    features[:, -1] += features[:, :-1].sum(axis=1)
    return features.astype(np.float32)


def measured(held_out: int = 199) -> Familiarity:
    familiarity = Familiarity.of(clips(1000, 1), clips(held_out, 2))
    assert familiarity is not None
    return familiarity


def test_of_own_clips_as_many_are_called_rare_as_are_rare() -> None:
    share = measured().typical(clips(4000, 3))
    for level in (0.05, 0.2, 0.5, 0.9):
        # 199 clips hold the threshold: its own deviation is sqrt(level (1 - level) / 199).
        error = 3 * np.sqrt(level * (1 - level) * (1 / 199 + 1 / 4000))
        assert abs(float((share <= level).mean()) - level) < error


def test_a_clip_that_breaks_what_holds_of_own_clips_is_far_though_each_number_is_usual() -> None:
    clip = clips(1, 4)
    usual = measured().typical(clip)
    clip[:, -1] += 5  # of a deviation of more than seven
    assert usual > 0.05
    assert measured().typical(clip) == 1 / 200


def test_distances_are_in_deviations() -> None:
    generator = np.random.default_rng(5)
    alone = generator.normal(2, 3, (4000, 1))
    familiarity = Familiarity.of(alone, alone[:20])
    assert familiarity is not None
    found = familiarity.distances(np.array([[2.0], [5.0], [-4.0]]))
    assert found == pytest.approx([0, 1, 2], abs=0.08)


def test_a_feature_that_never_varied_tells_nothing_and_breaks_nothing() -> None:
    def with_constant(features: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([features, np.full((len(features), 1), 7, np.float32)], axis=1)

    familiarity = Familiarity.of(with_constant(clips(500, 1)), with_constant(clips(50, 2)))
    assert familiarity is not None
    assert np.isfinite(familiarity.distances(with_constant(clips(9, 3)))).all()
    own = float(np.median(familiarity.typical(with_constant(clips(99, 3)))))
    assert 0.3 < own < 0.7


@pytest.mark.parametrize(
    ("learned", "held_out"),
    [
        (clips(1, 1), clips(50, 2)),
        (clips(100, 1), clips(FEWEST_HELD_OUT - 1, 2)),
        (np.full((9, WIDTH), np.nan, np.float32), clips(50, 2)),
        (clips(100, 1), np.full((50, WIDTH), np.inf, np.float32)),
        (np.ones((100, WIDTH), np.float32), clips(50, 2)),
    ],
)
def test_nothing_is_said_from_too_little(
    learned: NDArray[np.float32], held_out: NDArray[np.float32]
) -> None:
    assert Familiarity.of(learned, held_out) is None


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    assert Familiarity.read(tmp_path, WIDTH) is None
    written = measured()
    written.write(tmp_path)
    read = Familiarity.read(tmp_path, WIDTH)
    assert read is not None
    assert (read.typical(clips(50, 3)) == written.typical(clips(50, 3))).all()


def test_what_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    measured().write(tmp_path)
    with pytest.raises(CheckpointError, match=r"mean is torch.float64 \(6,\); expected float64 \("):
        Familiarity.read(tmp_path, WIDTH + 1)
    save_tensors({"mean": torch.zeros(WIDTH, dtype=torch.float64)}, tmp_path / FILE)
    with pytest.raises(CheckpointError, match="root is missing"):
        Familiarity.read(tmp_path, WIDTH)
    (tmp_path / FILE).write_bytes(b"half")
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        Familiarity.read(tmp_path, WIDTH)
