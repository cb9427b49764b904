from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from taskgrain.config.testing import Readout
from taskgrain.transfer.evaluate import flat
from taskgrain.transfer.features import PLACE_OF, FeatureSet, joins_steps, read_out

STEPS = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
WIDE = STEPS.astype(np.float64)
MOMENTS = np.concatenate(
    [WIDE.sum(axis=1) / 4, np.sqrt(((WIDE - WIDE.mean(axis=1)[:, None]) ** 2).sum(axis=1) / 4)],
    axis=1,
).astype(np.float32)
CHANNELS = FeatureSet(("a", "b", "c"), STEPS, {"channel_widths": [2, 3]})


def test_a_study_can_ask_for_every_readout_and_for_no_other() -> None:
    assert get_args(Readout) == tuple(PLACE_OF)


@pytest.mark.parametrize(
    ("readout", "expected"),
    [
        ("lstm-mean", STEPS),
        ("lstm-steps", STEPS),
        ("lstm-mean-deviation", MOMENTS),
        ("lstm-last", STEPS[:, 3]),
        ("channels-mean", STEPS),
        ("spatial-mean", STEPS[:, :, :2]),
        ("temporal-mean", STEPS[:, :, 2:]),
    ],
)
def test_a_readout_is_a_view_of_its_place(
    readout: Readout, expected: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> None:
    found = read_out(CHANNELS, readout)
    np.testing.assert_allclose(found.features, expected, rtol=1e-6)
    assert found.features.dtype == np.float32
    assert found.clip_ids == CHANNELS.clip_ids


def test_steps_become_their_mean_or_stand_side_by_side() -> None:
    joined = flat(STEPS, joins_steps=True)
    assert joined.shape == (3, 20)
    assert joined[1].tolist() == STEPS[1].ravel().tolist()
    mean = flat(STEPS, joins_steps=False)
    assert np.allclose(mean, STEPS.mean(axis=1), atol=1e-6)
    assert flat(mean, joins_steps=True) is mean
    assert [each for each in PLACE_OF if joins_steps(each)] == ["lstm-steps"]


def test_a_channel_that_is_not_there_is_refused() -> None:
    flat_only = FeatureSet(CHANNELS.clip_ids, STEPS, {"channel_widths": [5, 0]})
    assert read_out(flat_only, "spatial-mean").features.shape == (3, 4, 5)
    with pytest.raises(ValueError, match="temporal-mean: the encoder has no such channel"):
        read_out(flat_only, "temporal-mean")
    with pytest.raises(ValueError, match="expected two that add up to 5"):
        read_out(FeatureSet(CHANNELS.clip_ids, STEPS, {}), "spatial-mean")
    with pytest.raises(ValueError, match="needs those of every step"):
        read_out(FeatureSet(CHANNELS.clip_ids, STEPS[:, 0], {}), "lstm-mean")
