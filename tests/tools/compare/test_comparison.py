from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from taskgrain.errors import ConfigError, ManifestError, ResultError
from taskgrain.results import read_rows, select
from taskgrain.tools.compare.comparison import Comparison, compare_files
from taskgrain.tools.compare.labels import read_labels
from taskgrain.tools.compare.lines import lines_of, probes_of
from taskgrain.tools.compare.notes import alarms_of, notes_of, preview_of
from taskgrain.tools.compare.page import to_json, write_rows_and_sides
from taskgrain.tools.compare.plan import COMPARED_PROBES, ComparePlan
from taskgrain.transfer.answers import Evaluation, Subject
from taskgrain.transfer.evaluate import ProbePlan, SubjectFeatures, evaluate, evaluate_both
from taskgrain.transfer.features import FeatureSet
from taskgrain.transfer.probes import CLASSIFIERS, Standardiser
from taskgrain.transfer.task import TargetTask, support_draws
from tests.making import find
from tests.tools.compare.made import class_of, clip_names, features_of, write_labels, write_npz

PLAN = ComparePlan(probes=("nearest-mean", "ridge"), shots=(1, "all"), num_draws=20)
CLIPS = clip_names(24)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    write_labels(folder / "y.csv", CLIPS)
    for seed in range(3):
        write_npz(folder / f"weak{seed}.npz", CLIPS, gap=0.3, seed=seed)
        write_npz(folder / f"strong{seed}.npz", CLIPS[::-1], gap=1.5, seed=10 + seed)
    return folder


def run(
    folder: Path,
    *sources: str,
    plan: ComparePlan = PLAN,
    labels: Path | None = None,
    groups: Path | None = None,
) -> Comparison:
    named = [
        f"{name}={','.join(str(folder / file) for file in files.split(','))}"
        for name, _, files in (source.partition("=") for source in sources)
    ]
    return compare_files(named, labels or folder / "y.csv", plan=plan, groups=groups)


@pytest.fixture(scope="module")
def two(folder: Path) -> Comparison:
    return run(folder, "weak=weak0.npz", "strong=strong0.npz")


def test_better_features_are_found_better(two: Comparison) -> None:
    tested = [each for each in two.findings if each.row.metric == "top-1"]
    assert len(tested) == 4
    assert all(each.row.source == "strong" and each.row.versus == "weak" for each in tested)
    assert all((each.row.low or 0) > 0 and (each.p_holm or 1) < 0.01 for each in tested)


def test_features_without_any_class_in_them_are_at_chance(folder: Path, tmp_path: Path) -> None:
    blind = write_npz(tmp_path / "blind.npz", CLIPS, gap=0.0, seed=5)
    again = write_npz(tmp_path / "again.npz", CLIPS, gap=0.0, seed=6)
    found = compare_files([str(blind), str(again)], folder / "y.csv", plan=PLAN)
    for row in select(found.rows, source="blind", versus=None, control=None, metric="top-1"):
        assert abs((row.value or 0) - 0.2) < 0.13
    assert all((each.p_holm or 1.0) > 0.05 for each in found.findings)


def test_the_numbers_are_those_of_the_transfer_protocol(folder: Path, two: Comparison) -> None:
    features = FeatureSet(tuple(CLIPS), features_of(CLIPS, gap=0.3, seed=0), {})
    pool = Standardiser.of(features.of(two.task.support_ids))
    subject = SubjectFeatures(Subject("weak", 0, "given", None), features, pool)
    plan = ProbePlan(probes=PLAN.probes, shots=PLAN.shots, num_draws=20, seed=0)
    evaluation = evaluate(subject, two.task, plan=plan)
    assert len(evaluation.answers) == 4
    for answers in evaluation.answers:
        row = find(
            two.rows,
            source="weak",
            probe=answers.probe,
            shots=answers.shots,
            metric="top-1",
            control=None,
            versus=None,
        )
        assert row.value == pytest.approx(evaluation.correct(answers).mean(), abs=1e-12)
        assert (row.n, row.failed, row.draws) == (60, 0, len(answers.predicted))


def test_floors_and_controls_stand_beside(two: Comparison) -> None:
    assert find(two.rows, control="chance").value == pytest.approx(0.2)
    assert len(select(two.rows, control="majority")) == 2
    permuted = select(two.rows, control="permuted-labels")
    assert len(permuted) == 4  # 2 sources, 2 probes, 1 shot
    assert all(row.p is not None for row in permuted)
    assert alarms_of(two) == ()


def test_labels_hidden_in_the_draws_would_alarm(two: Comparison) -> None:
    rows = [replace(row, p=1e-9) if row.control == "permuted-labels" else row for row in two.rows]
    alarms = alarms_of(replace(two, rows=tuple(rows)))
    assert len(alarms) == 4
    assert "permuted labels score above chance: weak, seed 0, nearest-mean 1-shot" in alarms[0]


def test_the_order_of_rows_files_and_clips_changes_nothing(
    folder: Path, tmp_path: Path, two: Comparison
) -> None:
    write_labels(tmp_path / "y.csv", sorted(CLIPS))
    turned = [*CLIPS[40:], *CLIPS[:40]]
    features = features_of(CLIPS, gap=0.3, seed=0)
    order = [CLIPS.index(clip) for clip in turned]
    np.savez(tmp_path / "weak.npz", features=features[order], clip=np.array(turned))
    again = compare_files(
        [str(tmp_path / "weak.npz"), f"strong={folder / 'strong0.npz'}"],
        tmp_path / "y.csv",
        plan=PLAN,
    )
    assert to_json(again) == to_json(two)


def test_a_source_scores_the_same_whatever_it_is_compared_with(
    folder: Path, two: Comparison
) -> None:
    other = run(folder, "other=weak1.npz", "strong=strong0.npz")
    assert select(other.rows, source="strong", versus=None) == select(
        two.rows, source="strong", versus=None
    )


def test_seeds_are_paired_and_crossed_and_only_then_speak_of_training(folder: Path) -> None:
    found = run(
        folder, "weak=weak0.npz,weak1.npz,weak2.npz", "strong=strong0.npz,strong1.npz,strong2.npz"
    )
    tested = found.findings[0]
    assert (tested.row.interval, tested.row.seed) == ("seeds", None)
    assert [row.interval for row in tested.beside] == ["crossed", "clips"]
    said = preview_of(found)
    assert said is not None
    assert "weak 3, strong 3" in said
    assert "8 seeds or more" in said
    lines = [(line.part, line.name, line.over) for line in lines_of(found, "ridge")]
    assert lines == [
        ("accuracy", "weak", "seeds"),
        ("accuracy", "strong", "seeds"),
        ("difference", "strong - weak", "seeds"),
        ("difference", "strong - weak", "seeds x draws x clips"),
        ("difference", "strong - weak", "clips"),
        ("control", "chance", ""),
        ("control", "majority", ""),
        ("control", "permuted labels, weak", ""),
        ("control", "permuted labels, strong", ""),
    ]
    notes = "\n".join(notes_of(found))
    assert "paired t over seeds; corrected by Holm over all 4 differences in top-1" in notes
    assert "other seeds, support draws, clips and classes together" in notes
    assert preview_of(replace(found, num_seeds={"weak": 8, "strong": 9})) is None


def test_another_primary_turns_the_signs_around(folder: Path, two: Comparison) -> None:
    turned = run(
        folder,
        "weak=weak0.npz",
        "strong=strong0.npz",
        plan=replace(PLAN, primary="strong", metric="mean-per-class"),
    )
    assert [each.row.versus for each in turned.findings] == ["strong"] * 8
    values = [-(each.row.value or 0.0) for each in turned.findings]
    assert values == pytest.approx([each.row.value for each in two.findings])
    assert {each.row.metric for each in turned.findings if each.p_holm is not None} == {
        "mean-per-class"
    }


def test_a_scored_clip_without_features_is_wrong_for_that_source_alone(
    folder: Path, tmp_path: Path, two: Comparison
) -> None:
    lost_scored, lost_support = two.task.query_ids[:6], two.task.support_ids[:2]
    kept = [clip for clip in CLIPS if clip not in {*lost_scored, *lost_support}]
    order = [CLIPS.index(clip) for clip in kept]
    extra = features_of(CLIPS, gap=1.5, seed=10)[order]
    np.savez(
        tmp_path / "strong.npz",
        clip=np.array([*kept, "unknown"]),
        features=np.concatenate([extra, extra[:1]]),
    )
    found = compare_files(
        [f"weak={folder / 'weak0.npz'}", str(tmp_path / "strong.npz")],
        folder / "y.csv",
        plan=PLAN,
    )
    for source, failed in (("weak", 0), ("strong", 6)):
        for row in select(found.rows, source=source, versus=None):
            assert (row.n, row.failed) == (60, failed)
    assert found.task.support_ids == two.task.support_ids
    assert found.task.failed == set(lost_support)
    best = find(
        found.rows,
        source="strong",
        probe="ridge",
        shots="all",
        metric="top-1",
        control=None,
        versus=None,
    )
    assert best.value is not None
    assert best.value == pytest.approx(54 / 60)
    notes = notes_of(found)
    assert (
        "strong: no features of 6 of 60 scored clips, which count as wrong: "
        + ", ".join(lost_scored)
    ) in notes
    assert any(
        "no features of 2 clips to learn from, which no source was given" in n for n in notes
    )
    assert "strong: features of 1 clips that have no label here were not used" in notes


def test_the_written_sides_divide_the_clips_again_as_they_were(
    folder: Path, tmp_path: Path, two: Comparison
) -> None:
    write_rows_and_sides(two, tmp_path)
    assert read_rows(tmp_path / "results.jsonl") == two.rows
    assert read_labels(tmp_path / "sides.csv").sides is not None
    again = run(folder, "weak=weak0.npz", "strong=strong0.npz", labels=tmp_path / "sides.csv")
    assert [replace(row, target="y") for row in again.rows] == list(two.rows)
    assert "the labels say which clips are learned from" in notes_of(again)[0]


def test_recordings_stay_together_and_the_reader_is_told(folder: Path, tmp_path: Path) -> None:
    group_of = {clip: f"r{int(clip[5:]) // 5}" for clip in CLIPS}  # a clip of each class
    groups = tmp_path / "g.csv"
    groups.write_text("".join(f"{c},{g}\n" for c, g in group_of.items()), encoding="utf-8")
    found = run(folder, "weak=weak0.npz", "strong=strong0.npz", groups=groups)
    support = {group_of[clip] for clip in found.task.support_ids}
    scored = {group_of[clip] for clip in found.task.query_ids}
    assert support
    assert scored
    assert not support & scored
    notes = "\n".join(notes_of(found))
    assert "divided by group" in notes
    assert "without --groups" not in notes
    assert "over groups: other groups of clips of these classes, as other recordings" in notes
    assert "t over other groups x draws, these encoders held" in notes
    lines = [line for line in lines_of(found, "ridge") if line.part != "control"]
    assert [line.over for line in lines] == ["groups", "groups", "groups x draws"]
    write_rows_and_sides(found, tmp_path)
    alone = run(folder, "weak=weak0.npz", "strong=strong0.npz", labels=tmp_path / "sides.csv")
    for row in select(found.rows, interval="clips", versus=None):
        same = find(alone.rows, source=row.source, probe=row.probe, shots=row.shots,
                    metric=row.metric, interval="clips", versus=None)  # fmt: skip
        assert same.value == row.value
        assert row.source == "strong" or (same.low, same.high) != (row.low, row.high)


def test_one_scored_recording_of_each_class_is_nothing_to_judge_by(
    folder: Path, tmp_path: Path
) -> None:
    groups = tmp_path / "g.csv"
    group_of = {clip: f"{class_of(clip)}-{int(clip[5:]) % 2}" for clip in CLIPS}
    groups.write_text("".join(f"{c},{g}\n" for c, g in group_of.items()), encoding="utf-8")
    found = run(folder, "weak=weak0.npz", "strong=strong0.npz", groups=groups)
    assert all((each.row.interval, each.row.p) == (None, None) for each in found.findings)
    assert all(row.interval != "clips" for row in found.rows)
    notes = "\n".join(notes_of(found))
    assert "no interval or test over groups: too few are scored, or too unequal: one may" in notes


@pytest.mark.parametrize("shots", [2, 3])
def test_the_support_measures_the_scale_from_three_shots_up(folder: Path, shots: int) -> None:
    plan = replace(PLAN, shots=(shots,))
    found = run(folder, "weak=weak0.npz", "strong=strong0.npz", plan=plan)
    features = FeatureSet(tuple(CLIPS), features_of(CLIPS, gap=0.3, seed=0), {})
    pool = Standardiser.of(features.of(found.task.support_ids))
    notes = [note for note in notes_of(found) if note.startswith("features are standardised")]
    assert len(notes) == 1
    assert ("at 2-shot by all clips" in notes[0]) == (shots == 2)
    draws = support_draws(found.task, num_shots=shots, num_draws=20, seed=0)
    pooled, scored = (features.of(ids) for ids in (found.task.support_ids, found.task.query_ids))
    right = []
    for draw in draws:
        scale = pool if shots == 2 else Standardiser.of(pooled[draw])
        probe = CLASSIFIERS["nearest-mean"]().fit(
            scale(pooled[draw]), found.task.support_labels[draw]
        )
        right.append(probe.predict(scale(scored)) == found.task.query_labels)
    (row,) = select(
        found.rows, source="weak", probe="nearest-mean", metric="top-1", control=None, versus=None
    )
    assert row.value == pytest.approx(np.mean(right))


def test_few_draws_or_none_leave_the_control_out_and_say_so(folder: Path) -> None:
    for plan in (replace(PLAN, num_draws=1), replace(PLAN, shots=("all",))):
        found = run(folder, "weak=weak0.npz", "strong=strong0.npz", plan=plan)
        assert select(found.rows, control="permuted-labels") == ()
        assert "permuted labels were not tested: it takes 20 draws" in "\n".join(notes_of(found))


def test_steps_are_averaged(folder: Path, tmp_path: Path, two: Comparison) -> None:
    features = features_of(CLIPS, gap=0.3, seed=0)
    steps = np.stack([features - 1, features + 1], axis=1)
    np.savez(tmp_path / "weak.npz", clip=np.array(CLIPS), features=steps)
    found = compare_files(
        [str(tmp_path / "weak.npz"), f"strong={folder / 'strong0.npz'}"],
        folder / "y.csv",
        plan=PLAN,
    )
    ours = [row.value for row in select(found.rows, source="weak", control=None)]
    assert ours == pytest.approx([r.value for r in select(two.rows, source="weak", control=None)])


@pytest.mark.parametrize(
    ("sources", "plan", "message"),
    [
        (
            ("a=weak0.npz", "b=weak1.npz"),
            replace(PLAN, primary="B"),
            r"--primary 'B': expected one",
        ),
        (
            ("a=weak0.npz,weak1.npz", "b=strong0.npz,strong1.npz,strong2.npz"),
            PLAN,
            "b has 3 files, the primary a has 2; differences are paired seed by seed",
        ),
        (
            ("a=weak0.npz", "b=weak1.npz"),
            replace(PLAN, shots=(13,)),
            "class 'cut' has 12 support clips with features in every source, 13 wanted; ask for",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(
    folder: Path, sources: tuple[str, ...], plan: ComparePlan, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(folder, *sources, plan=plan)


def test_a_kernel_too_large_is_left_out_and_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("comparison", "notes"):
        monkeypatch.setattr(f"taskgrain.tools.compare.{module}.MAX_KERNEL_CLIPS", 30)
    plan = replace(PLAN, probes=("rbf-ridge", "ridge"))
    found = run(folder, "weak=weak0.npz", "strong=strong0.npz", plan=plan)
    answered = {(row.probe, row.shots) for row in found.rows if row.probe is not None}
    assert answered == {("rbf-ridge", 1), ("ridge", 1), ("ridge", "all")}
    assert "rbf-ridge takes at most 30 clips: it has no answer at all" in notes_of(found)
    with pytest.raises(ConfigError, match="--probes rbf-ridge: takes at most 30 clips"):
        run(
            folder,
            "weak=weak0.npz",
            "strong=strong0.npz",
            plan=replace(PLAN, probes=("rbf-ridge",), shots=("all",)),
        )


def test_few_scored_clips_of_a_class_have_no_interval_and_the_reader_is_told(
    folder: Path, tmp_path: Path
) -> None:
    first = sorted(CLIPS)[0]
    scored = [clip for clip in CLIPS if class_of(clip) != class_of(first)][:40]
    splits = {clip: "test" if clip in scored else "train" for clip in CLIPS} | {first: "val"}
    labels = write_labels(tmp_path / "y.csv", CLIPS, splits=splits)
    found = run(folder, "weak=weak0.npz", "strong=strong0.npz", labels=labels)
    notes = notes_of(found)
    assert "1 validation clips were left out: there is a test split" in notes
    assert "no clip is scored of 1 classes: cut" in notes
    few = dict.fromkeys(CLIPS, "train") | dict.fromkeys(scored[:8], "test")
    labels = write_labels(tmp_path / "y.csv", CLIPS, splits=few)
    found = run(folder, "weak=weak0.npz", "strong=strong0.npz", labels=labels)
    assert found.bootstrap is not None
    assert not found.bootstrap.is_sound
    assert all(row.interval != "clips" for row in found.rows)
    assert all(each.p_holm is None for each in found.findings)
    said = "no interval or test over clips: a class has fewer than 5 scored clips"
    assert said in notes_of(found)


def test_features_of_extreme_scale_are_scored_or_named_with_their_source(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = features_of(CLIPS, gap=1.0)
    features[:, 0] = np.float32(1e-45)
    features[0, 0] = np.float32(3e38)
    np.savez(tmp_path / "odd.npz", clip=np.array(CLIPS), features=features)
    sources = [str(folder / "weak0.npz"), str(tmp_path / "odd.npz")]
    plan = replace(PLAN, probes=COMPARED_PROBES)
    found = compare_files(sources, folder / "y.csv", plan=plan)
    assert probes_of(found) == COMPARED_PROBES

    def refuse(
        tested: SubjectFeatures, task: TargetTask, *, plan: ProbePlan
    ) -> tuple[Evaluation, Evaluation]:
        if tested.subject.source == "odd":
            raise ResultError("probe ridge: no solution")
        return evaluate_both(tested, task, plan=plan)

    monkeypatch.setattr("taskgrain.tools.compare.comparison.evaluate_both", refuse)
    with pytest.raises(ResultError, match="odd, seed 0: probe ridge: no solution"):
        compare_files(sources, folder / "y.csv", plan=PLAN)


def test_broken_files_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"absent\.npz: no such file"):
        run(folder, "a=weak0.npz", "b=absent.npz")
    (tmp_path / "y.csv").write_text("a,cut\nb,cut\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"y\.csv: one class"):
        run(folder, "a=weak0.npz", "b=weak1.npz", labels=tmp_path / "y.csv")


@pytest.mark.slow
def test_no_torch_is_loaded(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; "
        "from taskgrain.tools.compare.command import compare; "
        f"compare([{str(folder / 'weak0.npz')!r}, {str(folder / 'strong0.npz')!r}], "
        f"Path({str(folder / 'y.csv')!r}), shots='1,all', draws=2); "
        "assert 'matplotlib' not in sys.modules; "
        f"compare([{str(folder / 'weak0.npz')!r}], Path({str(folder / 'y.csv')!r}), folds='3', "
        f"html=Path({str(folder)!r}) / 'page.html'); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "logistic-regression" in done.stdout
