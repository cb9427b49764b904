from __future__ import annotations

from collections.abc import Callable

from taskgrain.config.learning import Source
from taskgrain.report.answer import answer
from taskgrain.report.endpoint_tables import endpoint_table, trend_table
from taskgrain.report.lookup import Lookup
from taskgrain.report.verdict import Verdict
from taskgrain.report.words import MINUS, plain
from taskgrain.results import ResultRow
from tests.report.conftest import READOUTS, STUDY, with_sources

Make = Callable[..., ResultRow]
MakeLookup = Callable[..., Lookup]
FAMILY = (
    STUDY
    + READOUTS
    + '[[family]]\nsource = "joint-full"\nversus = "categories"\ntarget = "kitchenware"\n'
    'probe = "nearest-mean"\nshots = 1\nmetric = "top-1"\nreadout = "lstm-last"\n'
)
OVER = {"seed": None, "interval": "seeds", "p": 0.004, "p_holm": 0.008}
OTHER = {
    "source": "joint-full",
    "versus": "categories",
    "probe": "nearest-mean",
    "shots": 1,
    "metric": "top-1",
    "readout": "lstm-last",
}


def test_every_endpoint_has_its_test_its_correction_and_what_could_be_found(
    make_lookup: MakeLookup, difference: Make
) -> None:
    rows = (
        difference(0.05, seed=0),
        difference(0.05, **OVER),
        difference(0.02, seed=None, metric="detectable-difference", width=None),
        difference(0.01, **{**OVER, **OTHER, "p": 0.3, "p_holm": 0.3}),
        difference(0.09, **{**OTHER, "metric": "detectable-difference-top-1", "width": None}),
    )
    first, second = endpoint_table(make_lookup(*rows, study=FAMILY)).blocks
    (line,) = first.lines
    assert f"categories {MINUS} action-groups: kitchenware, 5-shot" in line.header
    assert [cell.shown for cell in line.cells] == ["+5.0", "better", "0.004", "0.008", "2.0"]
    assert [cell.value for cell in line.cells] == [0.05, None, 0.004, 0.008, 0.02]
    (line,) = second.lines
    assert "1-shot, nearest class mean, top-1 accuracy, LSTM, last step" in line.header
    shown = ["+1.0", "cannot be told apart", "0.3", "0.3", "9.0"]
    assert [cell.shown for cell in line.cells] == shown


def test_one_seed_and_no_family_need_no_table(make_lookup: MakeLookup, difference: Make) -> None:
    assert endpoint_table(make_lookup(difference(0.05))).is_empty
    table = endpoint_table(make_lookup(difference(0.05), study=FAMILY))
    shown = ["+5.0", "better", "", "", ""]
    assert [cell.shown for cell in table.blocks[0].lines[0].cells] == shown
    assert [line.cells[1].shown for line in table.blocks[1].lines] == ["no result"]
    assert "there is no test" in table.caption
    assert "p of the paired" not in table.caption


def test_a_difference_that_the_correction_does_not_leave_is_not_claimed(
    make_lookup: MakeLookup, difference: Make
) -> None:
    each = [difference(0.05, seed=seed) for seed in range(8)]
    row = difference(0.05, **{**OVER, "p_holm": 0.06})
    found = answer(make_lookup(*each, row, study=FAMILY))
    assert found.verdict == Verdict.UNSEPARATED
    assert "p = 0.06, corrected by Holm over 2 endpoints, which is not below 0.05" in plain(
        found.sentence
    )
    found = answer(make_lookup(*each, difference(0.05, **OVER), study=FAMILY))
    assert found.verdict == Verdict.BETTER
    assert "p = 0.008, corrected by Holm over 2 endpoints." in plain(found.sentence)


def test_an_interval_over_more_than_seeds_cannot_overrule_the_test_over_seeds(
    make_lookup: MakeLookup, difference: Make
) -> None:
    crossed = difference(0.05, seed=None, interval="crossed", p=0.01)
    tested = difference(0.05, **{**OVER, "p": 0.2, "p_holm": 0.2}, width=0.09)
    found = answer(make_lookup(crossed, tested))
    assert found.verdict == Verdict.UNSEPARATED
    assert "p = 0.2, which is not below 0.05" in plain(found.sentence)


def test_the_answer_is_read_as_the_primary_endpoint_says(
    make_lookup: MakeLookup, difference: Make
) -> None:
    study = f'{STUDY}readout = "channels-mean"\n{READOUTS}'
    other = difference(0.4)
    assert answer(make_lookup(other, study=study)).verdict == Verdict.NO_ROW
    assert answer(
        make_lookup(other, difference(-0.4, readout="channels-mean"), study=study)
    ).verdict == (Verdict.WORSE)


def test_encoders_at_one_level_are_not_called_finer_than_one_another(
    make_lookup: MakeLookup, difference: Make
) -> None:
    names = ("action-groups", "categories")
    sources = (Source(name=name, classify="category", encoder=name) for name in names)
    lookup = with_sources(make_lookup(difference(0.4)), *sources)
    found = answer(lookup)
    assert found.verdict == Verdict.BETTER
    assert "finer" not in plain(found.sentence)
    assert not any("positive control" in plain(limit) for limit in found.limits)


def test_features_that_other_labels_made_are_no_positive_control(
    make_lookup: MakeLookup, difference: Make
) -> None:
    lookup = make_lookup(difference(0.4))
    frozen = Source(name="action-groups", encoder="resnet18")
    published = with_sources(lookup, frozen, Source(name="categories", classify="category"))
    for each, is_control in ((lookup, True), (published, False)):
        said = [plain(limit) for limit in answer(each).limits]
        assert any("positive control" in limit for limit in said) is is_control


def test_the_trend_over_seeds_is_shown_before_any_seeds_own(
    make_lookup: MakeLookup, row: Make
) -> None:
    slope = {"source": None, "metric": "trend"}
    over = row(0.02, **slope, seed=None, interval="seeds", p=0.01)
    rows = (row(0.5), row(0.01, **slope, width=None), over, row(0.9, **slope, readout="other"))
    table = trend_table(make_lookup(*rows))
    line, tested = table.blocks[0].lines
    assert (line.header, [cell.row for cell in line.cells]) == ("logistic regression", [over])
    assert line.cells[0].shown == "+2.0"
    assert (tested.header, tested.cells[0].value) == ("p, logistic regression", 0.01)
    assert trend_table(make_lookup(row(0.5))).is_empty
