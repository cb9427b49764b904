from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from taskgrain.errors import ResultError
from taskgrain.transfer.archive import Parts, extract_in_parts, write_arrays
from taskgrain.transfer.features import (
    FeatureSet,
    file_sha256,
    fingerprint,
    mean_over_steps,
    read_features,
    read_header,
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
