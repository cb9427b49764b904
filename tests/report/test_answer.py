from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from taskgrain.report.answer import answer, summarise
from taskgrain.report.endpoint_tables import endpoint_table
from taskgrain.report.lookup import Lookup
from taskgrain.report.verdict import Verdict
from taskgrain.report.words import MINUS, Number, plain
from taskgrain.results import ResultRow
from tests.report.conftest import STUDY, RunMaker

Make = Callable[..., ResultRow]
MakeLookup = Callable[..., Lookup]


@pytest.mark.parametrize(
    ("value", "verdict", "words"),
    [
        (0.05, Verdict.BETTER, "finer labels, “categories”, gave features that transfer better"),
        (-0.05, Verdict.WORSE, "finer labels, “categories”, gave features that transfer worse"),
        (0.01, Verdict.UNSEPARATED, "cannot be told apart"),
        (-0.01, Verdict.UNSEPARATED, "the interval includes 0"),
        (0.03, Verdict.UNSEPARATED, "cannot be told apart"),
    ],
)
def test_the_verdict_follows_the_interval_of_the_difference(
    make_lookup: MakeLookup, difference: Make, value: float, verdict: Verdict, words: str
) -> None:
    found = answer(make_lookup(difference(value)))
    assert found.verdict == verdict
    assert words in plain(found.sentence)


def test_the_sentence_prints_the_rows_numbers_in_percent_and_points(
    make_lookup: MakeLookup, row: Make, difference: Make
) -> None:
    rows = (row(0.471), row(0.42, source="action-groups"), difference(0.051))
    sentence = plain(answer(make_lookup(*rows)).sentence)
    assert "47.1\N{NO-BREAK SPACE}% against 42.0\N{NO-BREAK SPACE}%" in sentence
    assert "+5.1 percentage points (95 % interval +2.1 to +8.1, over test clips" in sentence


def test_every_number_of_the_sentence_is_a_rows_number(
    make_lookup: MakeLookup, row: Make, difference: Make
) -> None:
    rows = (row(0.471), row(0.42, source="action-groups"), difference(0.051))
    numbers = [part for part in answer(make_lookup(*rows)).sentence if isinstance(part, Number)]
    known = {each for made in rows for each in (made.value, made.low, made.high)}
    assert len(numbers) == 5
    assert {number.value for number in numbers} <= known


def test_a_difference_without_an_interval_claims_nothing(
    make_lookup: MakeLookup, difference: Make
) -> None:
    found = answer(make_lookup(difference(0.4, width=None)))
    assert found.verdict == Verdict.NO_INTERVAL
    assert "nothing is claimed" in plain(found.sentence)


def test_a_run_without_the_primary_row_says_so(make_lookup: MakeLookup, row: Make) -> None:
    found = answer(make_lookup(row(0.4)))
    assert found.verdict == Verdict.NO_ROW
    assert "No answer yet" in plain(found.sentence)


def test_a_run_without_a_study_file_gets_no_single_answer(
    make_lookup: MakeLookup, difference: Make
) -> None:
    found = answer(make_lookup(difference(0.4), study=None))
    assert found.verdict == Verdict.NO_ROW
    assert "no primary endpoint" in plain(found.sentence)


@pytest.mark.parametrize(
    "column",
    [
        {"target": "kitchenware/motion"},
        {"probe": "nearest-mean"},
        {"shots": 1},
        {"metric": "top-1"},
        {"versus": "captions-full"},
        {"source": "joint-full"},
        {"control": "permuted-labels"},
    ],
)
def test_rows_beside_the_primary_endpoint_do_not_answer(
    make_lookup: MakeLookup, difference: Make, column: dict[str, object]
) -> None:
    assert answer(make_lookup(difference(0.4, **column))).verdict == Verdict.NO_ROW


def test_fewer_than_eight_seeds_are_a_preview_and_not_a_claim(
    make_lookup: MakeLookup, difference: Make
) -> None:
    found = answer(make_lookup(difference(0.4)))
    assert found.is_preview
    assert "one drawn world, one seed: a preview; not a claim" in plain(found.limits[0])


def test_a_row_over_eight_seeds_decides_and_is_no_preview(
    make_lookup: MakeLookup, difference: Make
) -> None:
    each = [difference(-0.4, seed=seed) for seed in range(8)]
    over = difference(0.2, seed=None, interval="seeds")
    found = answer(make_lookup(*each, over))
    assert found.verdict == Verdict.BETTER
    assert not found.is_preview
    assert "over encoder seeds" in plain(found.sentence)


def test_eight_seeds_without_an_interval_over_seeds_stay_a_preview(
    make_lookup: MakeLookup, difference: Make
) -> None:
    found = answer(make_lookup(*(difference(0.4, seed=seed) for seed in range(8))))
    assert found.is_preview
    assert "no interval over them" in plain(found.limits[0])


def test_seeds_that_disagree_cannot_be_told_apart(
    make_lookup: MakeLookup, difference: Make
) -> None:
    found = answer(make_lookup(difference(0.4, seed=0), difference(-0.4, seed=1)))
    assert found.verdict == Verdict.UNSEPARATED
    assert "seed 0: +40.0" in plain(found.sentence)
    assert f"seed 1: {MINUS}40.0" in plain(found.sentence)


def test_finer_is_said_of_classification_levels_only(
    make_lookup: MakeLookup, difference: Make
) -> None:
    lookup = make_lookup(difference(0.4))
    captions = difference(0.4, source="captions-full")
    text = STUDY.replace('source = "categories"', 'source = "captions-full"')
    found = answer(make_lookup(captions, study=text))
    assert found.verdict == Verdict.BETTER
    assert "finer" not in plain(found.sentence)
    assert "finer" in plain(answer(lookup).sentence)


def test_only_the_kitchenware_world_is_called_aligned(
    make_lookup: MakeLookup, difference: Make
) -> None:
    own = STUDY.replace('world = "kitchenware"', 'root = "clips"')
    drawn = answer(make_lookup(difference(0.4)))
    filmed = answer(make_lookup(difference(0.4), study=own))
    assert any("positive control" in plain(limit) for limit in drawn.limits)
    assert not any("positive control" in plain(limit) for limit in filmed.limits)
    assert "one target data set" in plain(filmed.limits[0])


INNER = {"width": 0.015, "low_90": -0.01, "high_90": 0.012}


@pytest.mark.parametrize(
    ("value", "columns", "outcome"),
    [
        (0.4, {}, "a positive control: it came out."),
        (-0.4, {}, "finer labels made it worse, so it failed."),
        (0.001, INNER, "finer labels made no difference, so it failed."),
        (0.01, {}, "it is undecided."),
        (0.4, {"width": None}, "it is undecided."),
    ],
)
def test_what_is_said_of_a_positive_control_follows_its_outcome(
    make_lookup: MakeLookup,
    difference: Make,
    value: float,
    columns: dict[str, object],
    outcome: str,
) -> None:
    limits = answer(make_lookup(difference(value, **columns))).limits
    assert plain(limits[-1]).endswith(outcome)
    assert len(limits) == 2


def test_a_90_percent_interval_within_the_margin_is_no_difference(
    make_lookup: MakeLookup, difference: Make
) -> None:
    found = answer(make_lookup(difference(0.001, **INNER)))
    assert found.verdict == Verdict.NO_DIFFERENCE
    said = plain(found.sentence)
    assert "“categories” and “action-groups”, of these encoders, transfer equally well on" in said
    assert f"its 90 % interval, {MINUS}1.0 to +1.2, lies within the margin of 2 points" in said


@pytest.mark.parametrize(
    ("low_90", "high_90"), [(-0.02, 0.012), (-0.01, 0.02), (-0.021, 0.01), (None, None)]
)
def test_an_interval_that_reaches_the_margin_shows_nothing(
    make_lookup: MakeLookup, difference: Make, low_90: float | None, high_90: float | None
) -> None:
    row = difference(0.001, width=0.03, low_90=low_90, high_90=high_90)
    assert answer(make_lookup(row)).verdict == Verdict.UNSEPARATED


def test_the_margin_is_the_studys_own(make_lookup: MakeLookup, difference: Make) -> None:
    row = difference(0.001, **INNER)
    strict = answer(make_lookup(row, study="margin = 1.1\n" + STUDY))
    assert strict.verdict == Verdict.UNSEPARATED
    wide = answer(make_lookup(row, study="margin = 1.3\n" + STUDY))
    assert wide.verdict == Verdict.NO_DIFFERENCE
    assert "within the margin of 1.3 points" in plain(wide.sentence)


def test_a_small_difference_that_is_there_is_called_small(
    make_lookup: MakeLookup, difference: Make
) -> None:
    found = answer(make_lookup(difference(0.008, width=0.005, low_90=0.004, high_90=0.012)))
    assert found.verdict == Verdict.BETTER
    assert "it is small: its 90 % interval, +0.4 to +1.2, lies within" in plain(found.sentence)


def test_no_difference_has_to_hold_over_the_seeds_too(
    make_lookup: MakeLookup, difference: Make
) -> None:
    crossed = difference(0.001, seed=None, interval="crossed", **INNER)
    wide: dict[str, object] = {"width": 0.06, "low_90": -0.03, "high_90": 0.04}
    over: dict[str, object] = {"seed": None, "interval": "seeds", "p": 0.5, "p_holm": 0.5}
    found = answer(make_lookup(crossed, difference(0.001, **over, **wide)))
    assert found.verdict == Verdict.UNSEPARATED
    found = answer(make_lookup(crossed, difference(0.001, **over, **INNER)))
    assert found.verdict == Verdict.NO_DIFFERENCE
    assert "“action-groups” transfer equally well" in plain(found.sentence)


def test_every_seed_has_to_lie_within_the_margin(make_lookup: MakeLookup, difference: Make) -> None:
    inside = difference(0.001, seed=0, **INNER)
    outside = difference(0.001, seed=1, width=0.03, low_90=-0.025, high_90=0.02)
    assert answer(make_lookup(inside, outside)).verdict == Verdict.UNSEPARATED
    both = answer(make_lookup(inside, difference(0.002, seed=1, **INNER)))
    assert both.verdict == Verdict.NO_DIFFERENCE


def test_an_answer_beside_a_failed_control_may_not_be_used(
    make_lookup: MakeLookup, difference: Make, control: Make
) -> None:
    leak = control("permuted-labels", 0.4, p=1e-9)
    found = answer(make_lookup(difference(0.4, seed=None, interval="seeds"), leak))
    assert found.is_preview
    assert "may not be used" in plain(found.limits[0])


def test_a_probe_that_failed_at_the_primary_endpoint_is_no_result(
    make_lookup: MakeLookup, difference: Make, failed_row: Make
) -> None:
    # The seed that has a difference does not answer for the one that has none.
    rows = (
        difference(0.05, seed=0),
        failed_row(versus="action-groups", seed=1, problem="seed one broke"),
        failed_row(versus="action-groups", seed=None),
    )
    found = answer(make_lookup(*rows))
    assert found.verdict == Verdict.NO_ROW
    sentence = plain(found.sentence)
    assert sentence.startswith("No result: the probe failed at the primary endpoint, “categories”")
    assert sentence.endswith("categories, seed 0: <b>it broke</b>")
    assert not any(isinstance(part, Number) for part in found.sentence)


def test_an_alarm_stands_before_the_answer(tmp_path: Path, difference: Make, control: Make) -> None:
    leak = control("permuted-labels", 0.4, source="categories", p=1e-9, interval="draws")
    run = RunMaker(tmp_path / "run", rows=[difference(0.4), leak]).write()
    said = summarise(run)
    assert said.startswith("ALARM. The control with shuffled target labels scores above chance")
    assert "features of “categories” reach 40.0" in said.splitlines()[0]
    assert "do not use the numbers of this run" in said.splitlines()[0]
    assert "gave features that transfer better" in said.splitlines()[2]


def test_without_an_alarm_the_answer_comes_first(
    tmp_path: Path, difference: Make, control: Make
) -> None:
    sound = control("permuted-labels", 0.08, source="categories", p=0.4, interval="draws")
    run = RunMaker(tmp_path / "run", rows=[difference(0.4), sound]).write()
    assert summarise(run).startswith("Training on the finer labels, “categories”,")
    assert "ALARM" not in summarise(run)


BOTH_LOOKS = STUDY.replace(
    "[primary]", '[[targets]]\nname = "far"\nworld = "kitchenware-far"\n[primary]'
)
LOOK = BOTH_LOOKS + (
    '[[family]]\nsource = "categories"\nversus = "action-groups"\ntarget = "kitchenware"\n'
    'minus_target = "far"\nprobe = "logistic-regression"\nshots = 5\nmetric = "mean-per-class"\n'
)
OVER = {"seed": None, "interval": "seeds", "p": 0.004}
BETWEEN = {"target": "kitchenware minus far"}


def test_the_front_page_carries_every_target_with_its_interval(
    make_lookup: MakeLookup, difference: Make
) -> None:
    rows = (difference(0.015, width=0.008), difference(-0.004, target="far", width=0.009))
    said = plain(answer(make_lookup(*rows, study=BOTH_LOOKS)).everywhere)
    assert said == (
        "In a drawn world (3,000 clips, 1 seed), “categories” in place of “action-groups” changed "
        "5-shot accuracy by +1.5 points (+0.7 to +2.3) on kitchenware, which asks for what the "
        f"finer labels say, and by {MINUS}0.4 ({MINUS}1.3 to +0.5) on far, which asks for the same "
        "in another look (95 % intervals over test clips, these encoders held fixed). "
        "Nothing was measured on Something-Something."
    )


@pytest.mark.parametrize("parameters", [297_920, None])
def test_a_sealed_study_says_how_large_its_encoder_is_and_which_seal_it_is(
    make_lookup: MakeLookup, difference: Make, parameters: int | None
) -> None:
    each = [difference(0.015, seed=seed) for seed in range(8)]
    far = difference(-0.004, target="far", width=0.009)
    made = make_lookup(*each, far, study=BOTH_LOOKS)
    sealed = replace(made.run, parameters=parameters, seal="1 of 2")
    said = plain(answer(Lookup(sealed)).everywhere)
    size = "297,920 parameters, " if parameters else ""
    assert said.startswith(f"In a drawn world ({size}3,000 clips, 8 seeds, seal 1 of 2), “cat")
    # With one target alone the limits are all that is left to say it.
    alone = make_lookup(*each, difference(0.015, **OVER))
    (limit, _) = answer(Lookup(replace(alone.run, seal="1 of 2"))).limits
    assert "(3,000 clips, 8 seeds, seal 1 of 2)" in plain(limit)
    (limit, _) = answer(alone).limits
    assert "seal" not in plain(limit)


def test_what_no_source_learned_is_called_so(make_lookup: MakeLookup, difference: Make) -> None:
    study = (
        BOTH_LOOKS + '\n[[targets]]\nname = "novel"\nnovel = true\n[data.hold_out]\ngroups = 2\n'
    )
    rows = (difference(0.015, width=0.008), difference(0.004, target="novel", width=0.009))
    said = plain(answer(make_lookup(*rows, study=study)).everywhere)
    assert "on novel, whose categories no source learned (95 %" in said


def test_every_number_of_it_is_a_rows_number(make_lookup: MakeLookup, difference: Make) -> None:
    rows = (difference(0.015), difference(-0.004, target="far"))
    found = answer(make_lookup(*rows, study=BOTH_LOOKS)).everywhere
    numbers = [part.value for part in found if isinstance(part, Number)]
    assert numbers == [n for row in rows for n in (row.value, row.low, row.high)]


def test_the_difference_between_the_looks_stands_beside_them(
    make_lookup: MakeLookup, difference: Make
) -> None:
    each = [difference(0.02, seed=seed) for seed in range(8)]
    far = [difference(-0.01, seed=seed, target="far") for seed in range(8)]
    over = (difference(0.02, **OVER), difference(-0.01, target="far", **OVER))
    between = difference(0.03, **OVER, **BETWEEN, p_holm=0.008, width=0.02)
    lookup = make_lookup(*each, *far, *over, between, study=LOOK)
    said = plain(answer(lookup).everywhere)
    assert (
        "The gain on kitchenware minus the gain on far is +3.0 points (+1.0 to +5.0), "
        "over encoder seeds."
    ) in said
    first, second, third = endpoint_table(lookup).blocks
    assert [line.cells[0].shown for line in first.lines] == ["+2.0"]
    (line,) = second.lines
    assert "gain on kitchenware minus gain on far, 5-shot" in line.header
    assert [cell.shown for cell in line.cells] == ["+3.0", "better", "0.004", "0.008", ""]
    assert "secondary" in third.title
    assert [line.header for line in third.lines] == [f"categories {MINUS} action-groups: far"]
    assert [cell.shown for cell in third.lines[0].cells] == [f"{MINUS}1.0", "", "0.004", "", ""]


def test_a_difference_between_targets_is_no_target(
    make_lookup: MakeLookup, difference: Make
) -> None:
    lookup = make_lookup(difference(0.02), difference(0.03, **BETWEEN), study=LOOK)
    assert lookup.targets == ("kitchenware",)


def test_one_target_needs_no_second_sentence(make_lookup: MakeLookup, difference: Make) -> None:
    assert answer(make_lookup(difference(0.4))).everywhere == ()
    alone = make_lookup(difference(0.4), study=BOTH_LOOKS)  # the other has no row yet
    assert answer(alone).everywhere == ()
    assert endpoint_table(alone).is_empty


def test_nothing_is_said_of_worlds_where_the_clips_are_the_users_own(
    make_lookup: MakeLookup, difference: Make
) -> None:
    own = BOTH_LOOKS.replace('world = "tabletop"', 'root = "clips"')
    own = own.replace('world = "kitchenware-far"', 'root = "other"')
    rows = (difference(0.015), difference(-0.004, target="far"))
    said = plain(answer(make_lookup(*rows, study=own)).everywhere)
    assert said.startswith("On these clips (1 seed), “categories”")
    assert "Something-Something" not in said
    assert "on far (95 % intervals" in said


JOINT = STUDY + (
    '[[family]]\nsource = "joint-full"\nversus = ["categories", "captions-full"]\n'
    'target = "kitchenware"\nprobe = "logistic-regression"\nshots = 5\n'
    'metric = "mean-per-class"\n'
)
SEEDS = {"source": "joint-full", "seed": None, "interval": "seeds"}
EACH = "categories and captions-full"


def joint_rows(difference: Make, captions: float, p_holm: float) -> tuple[ResultRow, ...]:
    return (
        difference(0.05),
        difference(0.05, **SEEDS, versus="categories", p=0.001),
        difference(captions, **SEEDS, versus="captions-full", p=0.01, width=0.015),
        difference(captions, **SEEDS, versus=EACH, p=0.01, p_holm=p_holm, width=0.015),
    )


def verdict_of(lookup: Lookup) -> str:
    line = endpoint_table(lookup).blocks[1].lines[0]
    return line.cells[1].shown


def test_a_claim_against_each_shows_the_smallest_difference_and_every_one(
    make_lookup: MakeLookup, difference: Make
) -> None:
    lookup = make_lookup(*joint_rows(difference, 0.02, 0.02), study=JOINT)
    table = endpoint_table(lookup)
    joint, first, second = table.blocks[1].lines
    assert joint.header.startswith(f"joint-full {MINUS} each of {EACH}: kitchenware, 5-shot")
    assert [cell.shown for cell in joint.cells] == ["+2.0", "better", "0.01", "0.02", ""]
    assert first.header == f"joint-full {MINUS} categories: kitchenware"
    assert [cell.shown for cell in first.cells] == ["+5.0", "", "0.001", "", ""]
    assert [cell.shown for cell in second.cells] == ["+2.0", "", "0.01", "", ""]
    assert "the smallest of the differences and the largest p" in table.caption
    assert {versus for _, versus in lookup.pairs()} == {
        "action-groups",
        "captions-full",
        "categories",
    }


def test_above_one_of_them_is_not_above_each(make_lookup: MakeLookup, difference: Make) -> None:
    rows = joint_rows(difference, 0.01, 0.02)
    assert verdict_of(make_lookup(*rows, study=JOINT)) == "not shown above each"
    rows = joint_rows(difference, -0.04, 1.0)
    assert verdict_of(make_lookup(*rows, study=JOINT)) == "not shown above each"
    rows = joint_rows(difference, 0.02, 0.06)
    assert verdict_of(make_lookup(*rows, study=JOINT)) == "not shown above each"
    assert verdict_of(make_lookup(*rows[:2], study=JOINT)) == "no result"


def test_with_one_seed_each_interval_decides(make_lookup: MakeLookup, difference: Make) -> None:
    rows = [
        difference(0.05, source="joint-full", versus="categories"),
        difference(0.04, source="joint-full", versus="captions-full"),
    ]
    assert verdict_of(make_lookup(*rows, study=JOINT)) == "better"
    rows[1] = difference(0.02, source="joint-full", versus="captions-full")
    assert verdict_of(make_lookup(*rows, study=JOINT)) == "not shown above each"
