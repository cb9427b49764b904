from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from taskgrain.report.answer import answer
from taskgrain.report.endpoint_tables import endpoint_table
from taskgrain.report.lookup import Lookup
from taskgrain.report.words import MINUS, Number, plain
from taskgrain.results import ResultRow
from tests.report.conftest import STUDY

Make = Callable[..., ResultRow]
MakeLookup = Callable[..., Lookup]
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
