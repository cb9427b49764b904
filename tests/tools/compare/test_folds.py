from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from taskgrain.errors import ConfigError, ManifestError
from taskgrain.results import select
from taskgrain.teaching.estimate import Value
from taskgrain.teaching.folds import means_by_recording
from taskgrain.tools.compare.comparison import Comparison, compare_files
from taskgrain.tools.compare.fold_rows import interval_in_folds
from taskgrain.tools.compare.folds import Folding, answer_in_folds, check_taught, fold
from taskgrain.tools.compare.labels import LabelTable
from taskgrain.tools.compare.notes import notes_of
from taskgrain.tools.compare.page import write_rows_and_sides
from taskgrain.tools.compare.plan import ComparePlan, Folds
from taskgrain.transfer.answers import Subject
from taskgrain.transfer.features import FeatureSet
from taskgrain.transfer.probes import CLASSIFIERS, Standardiser
from tests.making import find
from tests.tools.compare.made import CLASSES, class_of, clip_names, features_of, write_npz

CLIPS = clip_names(6)
PLAN = ComparePlan(
    probes=("nearest-mean", "ridge"), shots=(1, 5, "all"), num_draws=20, folds_if_small=True
)
GROUP_OF = {clip: f"r{int(clip[5:]) // 5}" for clip in CLIPS}  # six, a clip of each class


def table_of(labels: str) -> LabelTable:
    clips = tuple(f"c{index:03d}" for index in range(len(labels)))
    return LabelTable(Path("y.csv"), clips, tuple(labels), None)


def folder_of(tmp_path: Path) -> Path:
    lines = (f"{clip},{CLASSES[class_of(clip)]}\n" for clip in CLIPS)
    (tmp_path / "y.csv").write_text("".join(lines), encoding="utf-8")
    groups = "".join(f"{clip},{group}\n" for clip, group in GROUP_OF.items())
    (tmp_path / "g.csv").write_text(groups, encoding="utf-8")
    write_npz(tmp_path / "weak.npz", CLIPS, gap=0.3)
    write_npz(tmp_path / "strong.npz", CLIPS, gap=2.0, seed=1)
    return tmp_path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("folds"))


def run(folder: Path, *names: str, plan: ComparePlan = PLAN, grouped: bool = True) -> Comparison:
    groups = folder / "g.csv" if grouped else None
    files = [str(folder / f"{name}.npz") for name in names]
    return compare_files(files, folder / "y.csv", groups=groups, plan=plan)


@pytest.fixture(scope="module")
def two(folder: Path) -> Comparison:
    return run(folder, "weak", "strong")


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), min_size=3),
    folds=st.sampled_from([None, 2, 3, 7, "recordings"]),
    seed=st.integers(0, 3),
)
def test_a_recording_is_in_one_fold_and_every_class_is_taught_without_it(
    groups: list[list[str]], folds: Folds | None, seed: int
) -> None:
    labels = "".join("".join(group) for group in groups)
    names = [f"g{index}" for index, group in enumerate(groups) for _ in group]
    try:
        folding = fold(table_of(labels), names, folds=folds, seed=seed)
    except ManifestError:  # fewer than two classes of two recordings
        reject()
    assert folding.recordings is not None
    of_clip = dict(zip(table_of(labels).clip_ids, names, strict=True))
    for unit in range(folding.num_units):
        members = folding.unit_of == unit
        assert len(set(folding.fold_of[members].tolist())) == 1
        clips = np.array(folding.task.query_ids)[members]
        assert {of_clip[clip] for clip in clips} == {folding.recordings[unit]}
    for label in range(len(folding.task.class_names)):
        assert len(set(folding.fold_of[folding.task.query_labels == label].tolist())) > 1
    if folds == "recordings":
        assert folding.num_folds == folding.num_units


def test_the_order_of_rows_changes_no_fold_and_the_seed_does() -> None:
    table = table_of("ab" * 15)
    turned = replace(table, clip_ids=table.clip_ids[::-1], labels=table.labels[::-1])
    first = fold(table, None, folds=5, seed=0)
    assert np.array_equal(first.fold_of, fold(turned, None, folds=5, seed=0).fold_of)
    assert not np.array_equal(first.fold_of, fold(table, None, folds=5, seed=1).fold_of)
    assert np.bincount(first.fold_of).tolist() == [6] * 5


def test_classes_of_one_recording_are_left_out_and_named() -> None:
    folding = fold(table_of("aabbcc"), list("121234"), folds=None, seed=0)
    assert folding.lone == ()
    folding = fold(table_of("aabbcc"), list("121233"), folds=None, seed=0)
    assert (folding.task.class_names, folding.lone) == (("a", "b"), ("c",))
    assert len(folding.task.query_ids) == 4
    with pytest.raises(
        ManifestError, match=r"2 of 3 classes have one recording \(b, c\); expected"
    ):
        fold(table_of("aabbcc"), list("124433"), folds=None, seed=0)


def by_hand(features: FeatureSet, folding: Folding) -> NDArray[np.bool_]:
    """Bool (N,): nearest-mean, one fold after the other."""
    labels, right = folding.task.query_labels, np.zeros(len(folding.fold_of), bool)
    values = features.of(folding.task.query_ids)
    for number in range(folding.num_folds):
        held = folding.fold_of == number
        scale = Standardiser.of(values[~held])
        probe = CLASSIFIERS["nearest-mean"]().fit(scale(values[~held]), labels[~held])
        right[held] = probe.predict(scale(values[held])) == labels[held]
    return right


def test_the_numbers_are_those_of_a_loop_over_folds(two: Comparison) -> None:
    assert two.folding is not None
    features = FeatureSet(tuple(CLIPS), features_of(CLIPS, gap=0.3), {})
    right = by_hand(features, two.folding).astype(np.float64)
    row = find(two.rows, source="weak", probe="nearest-mean", metric="top-1", control=None)
    assert row.value == pytest.approx(right.mean())
    assert (row.n, row.shots, row.interval) == (30, "all", "recordings")
    # Recordings have as many clips: the interval is that of a taught classifier.
    shares = means_by_recording(right, two.folding.unit_of)
    expected = Value.of(shares, num_folds=two.folding.num_folds)
    assert expected is not None
    assert expected.interval is not None
    assert (row.low, row.high) == pytest.approx((expected.interval.low, expected.interval.high))


def test_unequal_recordings_weigh_by_their_clips_and_alike_ones_leave_no_interval() -> None:
    folding = fold(table_of("ab" * 9), [str(k) for k in (0,) * 6 + (1, 2, 3, 4, 5, 6) * 2],
                   folds=None, seed=0)  # fmt: skip
    scores = np.arange(18) % 3 / 2
    for metric in ("top-1", "mean-per-class"):
        found = interval_in_folds(scores, folding, metric=metric)
        assert found.value == pytest.approx(scores.mean())  # as many clips of either class
        assert (found.kind, found.n) == ("recordings", 7)
        assert found.low < found.value < found.high
    alike = interval_in_folds(np.ones(18), folding, metric="top-1")
    assert (alike.value, alike.n, alike.p) == (1.0, 1, None)


def test_small_classes_are_answered_in_folds_and_the_reader_is_told(two: Comparison) -> None:
    assert two.folding is not None
    assert (two.folding.num_folds, two.plan.shots) == (6, ("all",))
    notes = "\n".join(notes_of(two))
    assert "a division would leave class 'cut' 3 of 5 clips to learn from, so every clip" in notes
    assert "6 folds, one for each recording, dealt class by class from seed 0" in notes
    assert "over recordings: Student's t over other recordings of these classes" in notes
    assert "permuted labels, mean per class: no alarm in 4 tests" in notes
    permuted = select(two.rows, control="permuted-labels")
    assert [row.draws for row in permuted] == [20] * 4
    assert all(abs((row.value or 0) - 0.2) < 0.1 for row in permuted)
    assert find(two.rows, control="majority", metric="top-1").value == pytest.approx(0.2)


def test_a_division_stays_where_classes_are_large_or_a_split_or_draws_are_given(
    folder: Path, tmp_path: Path
) -> None:
    clips = clip_names(24)
    lines = "".join(f"{clip},{CLASSES[class_of(clip)]}\n" for clip in clips)
    (tmp_path / "y.csv").write_text(lines, encoding="utf-8")
    large = str(write_npz(tmp_path / "f.npz", clips, gap=1.0))
    assert compare_files([large], tmp_path / "y.csv", plan=PLAN).folding is None
    plan = replace(PLAN, shots=(1,), folds_if_small=False)
    assert run(folder, "weak", plan=plan, grouped=False).folding is None
    halves = "".join(
        f"{clip},{CLASSES[class_of(clip)]},{'train' if number < 15 else 'test'}\n"
        for number, clip in enumerate(sorted(CLIPS))
    )
    (tmp_path / "split.csv").write_text(halves, encoding="utf-8")
    file = str(folder / "weak.npz")
    plan = replace(PLAN, shots=(1,))
    assert compare_files([file], tmp_path / "split.csv", plan=plan).folding is None
    asked = compare_files([file], tmp_path / "split.csv", plan=replace(PLAN, folds=3))
    assert asked.folding is not None
    assert (asked.folding.num_folds, asked.folding.reason) == (3, None)


def test_better_features_are_found_better_over_recordings(two: Comparison) -> None:
    tested = [each for each in two.findings if each.row.metric == "top-1"]
    assert [each.row.interval for each in tested] == ["recordings"] * 2
    for each in tested:
        ours, theirs = (
            find(two.rows, source=name, probe=each.row.probe, metric="top-1", control=None,
                 versus=None).value
            for name in ("strong", "weak")
        )  # fmt: skip
        assert each.row.value == pytest.approx((ours or 0) - (theirs or 0))
        assert (each.row.low or 0) > 0
        assert each.p_holm is not None
        assert each.p_holm < 0.05


def test_seeds_are_paired_and_recordings_stand_beside(folder: Path) -> None:
    write_npz(folder / "weak2.npz", CLIPS, gap=0.3, seed=7)
    files = [f"weak={folder / 'weak.npz'},{folder / 'weak2.npz'}", str(folder / "strong.npz")]
    found = compare_files(files, folder / "y.csv", groups=folder / "g.csv", plan=PLAN)
    tested = found.findings[0]
    assert (tested.row.interval, tested.row.seed) == ("seeds", None)
    assert [row.interval for row in tested.beside] == ["recordings"]


def test_a_clip_without_features_is_wrong_and_teaches_no_source(folder: Path) -> None:
    kept = CLIPS[1:]
    np.savez(folder / "part.npz", clip=np.array(kept), features=features_of(kept, gap=2.0, seed=1))
    found = run(folder, "part", "weak")
    row = find(found.rows, source="part", probe="ridge", metric="top-1", control=None, versus=None)
    assert (row.n, row.failed) == (30, 1)
    assert f"part: no features of 1 of 30 scored clips, which count as wrong: {CLIPS[0]}" in (
        notes_of(found)
    )
    assert found.folding is not None
    cut = [clip for clip in CLIPS if class_of(clip) == 0]
    with pytest.raises(ConfigError, match="class 'cut' has clips with features in every source in"):
        check_taught(found.folding, frozenset(cut[1:]))


def test_a_label_that_no_other_fold_teaches_is_never_answered_from_its_own(folder: Path) -> None:
    # Features that name the recording alone: within a recording every class is once, so that what
    # is learned from other recordings says nothing.
    groups = np.array([int(GROUP_OF[clip][1:]) for clip in CLIPS])
    features = FeatureSet(tuple(CLIPS), np.eye(6, dtype=np.float32)[groups], {})
    table = LabelTable(
        Path("y.csv"), tuple(CLIPS), tuple(CLASSES[class_of(c)] for c in CLIPS), None
    )
    folding = fold(table, [GROUP_OF[clip] for clip in CLIPS], folds="recordings", seed=0)
    own, _ = answer_in_folds(
        Subject("f", 0, "given", None), features, folding, probes=["nearest-mean"],
        unusable=frozenset(), seed=0,
    )  # fmt: skip
    assert own.correct(own.answers[0]).mean() <= 0.4


def test_what_is_held_out_does_not_show_by_what_its_class_lacks() -> None:
    # Folds of one class each: ridge would prefer the three classes that lack nothing.
    labels = "abcd" * 7
    table = table_of(labels)
    values = np.random.default_rng(0).normal(size=(28, 16)).astype(np.float32)
    features = FeatureSet(table.clip_ids, values, {})
    folding = fold(table, None, folds=28, seed=0)
    own, permuted = answer_in_folds(
        Subject("f", 0, "given", None), features, folding, probes=["ridge"],
        unusable=frozenset(), seed=0,
    )  # fmt: skip
    assert permuted is not None
    assert abs(permuted.correct(permuted.answers[0]).mean() - 0.25) < 0.06
    assert own.correct(own.answers[0]).mean() > 0.08


def test_folds_of_recordings_need_recordings(folder: Path) -> None:
    plan = replace(PLAN, folds="recordings")
    with pytest.raises(ConfigError, match="--folds recordings: which clips are of one recording"):
        run(folder, "weak", plan=plan, grouped=False)
    found = run(folder, "weak", plan=replace(PLAN, folds=3), grouped=False)
    notes = "\n".join(notes_of(found))
    assert "which clips are of one recording is not known" in notes
    row = find(found.rows, source="weak", probe="ridge", metric="top-1", control=None)
    assert row.interval == "clips"


def test_the_folder_says_in_which_fold_each_clip_is(two: Comparison, tmp_path: Path) -> None:
    write_rows_and_sides(two, tmp_path)
    head, *lines = (tmp_path / "folds.csv").read_text(encoding="utf-8").splitlines()
    assert head == "clip,label,fold,recording"
    assert len(lines) == 30
    cells = [line.split(",") for line in lines]
    assert all(GROUP_OF[clip] == recording for clip, _, _, recording in cells)
    assert len({(fold, recording) for _, _, fold, recording in cells}) == 6
    assert not (tmp_path / "sides.csv").exists()
