from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from taskgrain.errors import ResultError
from taskgrain.names import Readout
from taskgrain.transfer.archive import Parts, extract_in_parts, write_arrays
from taskgrain.transfer.features import (
    PLACE_OF,
    FeatureSet,
    file_sha256,
    fingerprint,
    flat,
    joins_steps,
    mean_over_steps,
    read_features,
    read_header,
    read_out,
    write_feature_parts,
    write_features,
)

STEPS = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
SET = FeatureSet(("a", "b", "c"), STEPS, {"source": "categories", "seed": 0})
FINITE = st.floats(-1e6, 1e6, width=32)


@pytest.mark.slow
@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=3), elements=FINITE))
def test_features_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory,
    values: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> None:
    path = tmp_path_factory.mktemp("features") / "né features.npz"
    written = FeatureSet(tuple(f"clip {i} é" for i in range(len(values))), values, {"k": [1, None]})
    write_features(path, written)
    read = read_features(path)
    assert read.clip_ids == written.clip_ids
    assert read.features.tobytes() == values.tobytes()
    assert read.features.shape == values.shape
    assert read.header == written.header


def test_equal_features_are_equal_files(tmp_path: Path) -> None:
    write_features(tmp_path / "a.npz", SET)
    turned = FeatureSet(SET.clip_ids, STEPS.copy(order="F"), {"seed": 0, "source": "categories"})
    write_features(tmp_path / "b.npz", turned)
    assert file_sha256(tmp_path / "a.npz") == file_sha256(tmp_path / "b.npz")


def parts_of(tmp_path: Path, *clips: str, values: np.ndarray = STEPS) -> Parts:
    """Lay out a part for each text of clips: "ab" for clips a and b, "" for a part without any."""
    first = [sum(map(len, clips[:n])) for n in range(len(clips))]

    def make(number: int) -> dict[str, np.ndarray]:
        found = {"clip": np.array(list(clips[number]), np.str_)}
        if not clips[number]:
            return found
        return {**found, "output": values[first[number] : first[number] + len(clips[number])]}

    return extract_in_parts(tmp_path / "f.npz", make, num_parts=len(clips), key="k")


@pytest.mark.parametrize("clips", [("abc",), ("a", "bc"), ("", "ab", "", "c")])
def test_features_written_part_by_part_are_the_same_file(
    tmp_path: Path, clips: tuple[str, ...]
) -> None:
    write_features(tmp_path / "whole.npz", SET)
    shape = write_feature_parts(
        tmp_path / "f.npz", parts_of(tmp_path, *clips), "output", SET.header
    )
    assert shape == STEPS.shape
    assert (tmp_path / "f.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_parts_that_make_no_features_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    broken = STEPS.copy()
    broken[1, 2, 3] = np.nan
    with pytest.raises(ResultError, match="the features of clip b are not finite"):
        write_feature_parts(
            tmp_path / "f.npz", parts_of(tmp_path, "a", "bc", values=broken), "output", {}
        )
    twice = parts_of(tmp_path / "twice", "ab", "a")
    with pytest.raises(ResultError, match="clip a has features twice"):
        write_feature_parts(tmp_path / "f.npz", twice, "output", {})
    with pytest.raises(ValueError, match="0 features of shapes"):
        write_feature_parts(tmp_path / "f.npz", parts_of(tmp_path / "no", ""), "output", {})
    assert not (tmp_path / "f.npz").exists()


def test_clips_with_features_that_are_not_finite_are_refused_by_name() -> None:
    broken = STEPS.copy()
    broken[1, 2, 3] = np.nan
    broken[2, 0, 0] = np.inf
    with pytest.raises(ResultError) as caught:
        FeatureSet(("a", "b", "c"), broken, {})
    assert str(caught.value).splitlines() == [
        "the features of clip b are not finite",
        "the features of clip c are not finite",
    ]


def test_a_clip_with_features_twice_is_refused_by_name() -> None:
    with pytest.raises(ResultError, match="clip b has features twice"):
        FeatureSet(("a", "b", "b"), STEPS, {})


def test_features_are_given_in_the_order_that_is_asked_for() -> None:
    assert np.array_equal(SET.of(("c", "a")), STEPS[[2, 0]])
    with pytest.raises(ResultError, match="no features of clip d"):
        SET.of(("a", "d"))


def test_the_mean_over_steps_is_read_out_once() -> None:
    mean = mean_over_steps(SET)
    assert mean.features.dtype == np.float32
    assert np.allclose(mean.features, STEPS.mean(axis=1), atol=1e-6)
    assert mean_over_steps(mean) is mean


def test_a_header_is_read_alone_and_none_of_what_is_no_such_file(tmp_path: Path) -> None:
    write_features(tmp_path / "a.npz", SET)
    assert read_header(tmp_path / "a.npz") == SET.header
    assert read_header(tmp_path / "b.npz") is None
    (tmp_path / "c.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:100])
    assert read_header(tmp_path / "c.npz") is None
    write_arrays(tmp_path / "d.npz", {"features": STEPS})
    assert read_header(tmp_path / "d.npz") is None


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"clip": np.array(["a"]), "features": STEPS[:1]}, "no entry 'header'"),
        ({"clip": np.array([1]), "features": STEPS[:1], "header": np.array("{}")}, "expected text"),
        ({"clip": np.array(["a"]), "features": STEPS, "header": np.array("{}")}, r"float \(1, D\)"),
        ({"clip": np.array(["a"]), "features": STEPS[:1], "header": np.array("[]")}, "JSON object"),
        ({"clip": np.array(["a"]), "features": STEPS[:1], "header": np.array("{")}, "Expecting"),
    ],
)
def test_a_file_of_another_format_is_refused_with_its_name(
    tmp_path: Path,
    entries: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]],
    message: str,
) -> None:
    write_arrays(tmp_path / "features.npz", entries)
    with pytest.raises(ResultError, match=message) as caught:
        read_features(tmp_path / "features.npz")
    assert "features.npz" in str(caught.value)


def test_the_fingerprint_changes_with_each_of_its_parts_and_with_nothing_else() -> None:
    def of(weights: str = "ab", size: int = 64, clips: tuple[str, ...] = ("a", "b")) -> str:
        preprocessing = {"size": size, "frames": 16}
        return fingerprint(weights_sha256=weights, preprocessing=preprocessing, clip_ids=clips)

    same = fingerprint(
        weights_sha256="ab", preprocessing={"frames": 16, "size": 64}, clip_ids=["a", "b"]
    )
    assert of() == same
    different = {of(), of(weights="ac"), of(size=65), of(clips=("b", "a")), of(clips=("ab",))}
    assert len(different) == 5


EVERY_STEP = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
WIDE = EVERY_STEP.astype(np.float64)
MOMENTS = np.concatenate(
    [WIDE.sum(axis=1) / 4, np.sqrt(((WIDE - WIDE.mean(axis=1)[:, None]) ** 2).sum(axis=1) / 4)],
    axis=1,
).astype(np.float32)
CHANNELS = FeatureSet(("a", "b", "c"), EVERY_STEP, {"channel_widths": [2, 3]})


def test_a_study_can_ask_for_every_readout_and_for_no_other() -> None:
    assert get_args(Readout) == tuple(PLACE_OF)


@pytest.mark.parametrize(
    ("readout", "expected"),
    [
        ("lstm-mean", EVERY_STEP),
        ("lstm-steps", EVERY_STEP),
        ("lstm-mean-deviation", MOMENTS),
        ("lstm-last", EVERY_STEP[:, 3]),
        ("channels-mean", EVERY_STEP),
        ("spatial-mean", EVERY_STEP[:, :, :2]),
        ("temporal-mean", EVERY_STEP[:, :, 2:]),
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
    joined = flat(EVERY_STEP, joins_steps=True)
    assert joined.shape == (3, 20)
    assert joined[1].tolist() == EVERY_STEP[1].ravel().tolist()
    mean = flat(EVERY_STEP, joins_steps=False)
    assert np.allclose(mean, EVERY_STEP.mean(axis=1), atol=1e-6)
    assert flat(mean, joins_steps=True) is mean
    assert [each for each in PLACE_OF if joins_steps(each)] == ["lstm-steps"]


def test_a_channel_that_is_not_there_is_refused() -> None:
    flat_only = FeatureSet(CHANNELS.clip_ids, EVERY_STEP, {"channel_widths": [5, 0]})
    assert read_out(flat_only, "spatial-mean").features.shape == (3, 4, 5)
    with pytest.raises(ValueError, match="temporal-mean: the encoder has no such channel"):
        read_out(flat_only, "temporal-mean")
    with pytest.raises(ValueError, match="expected two that add up to 5"):
        read_out(FeatureSet(CHANNELS.clip_ids, EVERY_STEP, {}), "spatial-mean")
    with pytest.raises(ValueError, match="needs those of every step"):
        read_out(FeatureSet(CHANNELS.clip_ids, EVERY_STEP[:, 0], {}), "lstm-mean")
