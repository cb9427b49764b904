from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrain.data.json_rows import decode_text
from taskgrain.data.manifest import Problem
from taskgrain.data.tables import cut_lines
from taskgrain.errors import TaxonomyError
from taskgrain.labels.hierarchy import check_nesting, parse_hierarchy

TABLE = """category,verb,kind
Pushing something,push,contact
"Putting something, something and something on the table",put,contact
Waving,wave,gesture
"""
LEVELS = {
    "verb": {
        "Pushing something": "push",
        "Putting something, something and something on the table": "put",
        "Waving": "wave",
    },
    "kind": {
        "Pushing something": "contact",
        "Putting something, something and something on the table": "contact",
        "Waving": "gesture",
    },
}


def parse(text: str) -> dict[str, dict[str, str]]:
    """Parse the text of a table as a dataset's file of levels is read."""
    problems: list[Problem] = []
    lines = list(cut_lines(decode_text(text.encode()), "h.csv", problems))
    if problems:
        raise TaxonomyError(str(problems[0]))
    return parse_hierarchy([(line.number, line.cells) for line in lines], where="h.csv")


def test_a_table_becomes_levels_from_fine_to_coarse() -> None:
    levels = parse(TABLE)
    assert levels == LEVELS
    assert list(levels) == ["verb", "kind"]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + TABLE,
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("\n", "\r"),
        TABLE.replace("\n", "\n\n") + ",,\n  \n",
        TABLE.rstrip("\n"),
        TABLE.replace(",push,", " , push ,").replace("category", "Category"),
        TABLE.replace("Pushing something", "Pushing [something]"),
        TABLE.replace(",", ";").replace("something; something", "something, something"),
    ],
    ids=["bom", "crlf", "cr", "blank lines", "no end", "margins", "brackets", "semicolons"],
)
def test_what_spreadsheets_and_hands_write_is_taken(text: str) -> None:
    assert parse(text) == LEVELS


NAMES = st.text(
    alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="[]\ufeff"),
    min_size=1,
    max_size=8,
).filter(lambda name: name.strip() == name)


@pytest.mark.slow
@given(st.lists(NAMES, min_size=1, max_size=6, unique=True), st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=60, deadline=None)
def test_any_names_come_back_from_what_csv_writes(categories: list[str], line_end: str) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=line_end)
    writer.writerows([["category", "own", "first"], *([name, name, "x"] for name in categories)])
    assert parse(text.getvalue()) == {
        "own": {name: name for name in categories},
        "first": dict.fromkeys(categories, "x"),
    }


@given(st.text(alphabet='category,ab"\n\r\x00;\ufeff ', max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_text_gives_levels_or_says_where_it_is_wrong(text: str) -> None:
    try:
        levels = parse("category,a,b\n" + text)
    except TaxonomyError as error:
        assert str(error).startswith("h.csv:")  # noqa: PT017 (either outcome is right)
    else:
        assert all(name for names in levels.values() for name in names.values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "h.csv:1: is empty; expected a header 'category,LEVEL,LEVEL,...'"),
        ("\n\nverb,kind\n", "h.csv:3: expected a header .* found 'verb,kind'"),
        ("category\nWaving\n", "h.csv:1: expected a header .* found 'category'"),
        ("category,category\n", "h.csv:1: a level cannot be called 'category': that name is taken"),
        ("category,full\n", "h.csv:1: a level cannot be called 'full'"),
        ("category,my verb\n", "h.csv:1: a level cannot be called 'my verb': expected up to 64"),
        ("category,verb,verb\n", "h.csv:1: level 'verb' is named twice"),
        ("category,verb\n", "h.csv:2: no category follows the header"),
        ("category,verb\na,b,c\n", "h.csv:2: 3 cells where the header has 2; .* quotes"),
        ("category,verb\na\n", "h.csv:2: 1 cells where the header has 2"),
        ("category,verb\na,\n", "h.csv:2: no name at verb"),
        ("category,verb\n ,b\n", "h.csv:2: no name at category"),
        ("category,verb\na,b\n\na,c\n", "h.csv:4: category 'a' stands already in line 2"),
        ('category,verb\n"a\nz",b\n"c,d\n', "h.csv:4: not CSV: unexpected end of data"),
    ],
)
def test_a_faulty_table_says_file_line_and_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(TaxonomyError, match=said):
        parse(text)


def test_every_problem_is_named_and_levels_must_nest() -> None:
    text = "category,verb,kind\na,push,contact\nb,push,gesture\nc,,gesture\na,wave,gesture\n"
    with pytest.raises(TaxonomyError) as caught:
        parse(text)
    assert str(caught.value).splitlines() == [
        "h.csv:4: no name at verb",
        "h.csv:5: category 'a' stands already in line 2",
        "h.csv:3: verb 'push' is in kind 'gesture' here, and in 'contact' in line 2",
    ]


def test_levels_of_a_study_file_must_nest_too() -> None:
    check_nesting(LEVELS, where="data.levels")
    check_nesting({}, where="data.levels")
    turned = {"kind": LEVELS["kind"], "verb": LEVELS["verb"]}
    with pytest.raises(
        TaxonomyError,
        match=r"data.levels: kind 'contact' is in verb 'push' with 'Pushing something', but in",
    ):
        check_nesting(turned, where="data.levels")


def test_levels_nest_over_the_whole_ladder() -> None:
    levels = {"a": {"x": "1", "y": "1"}, "b": {"x": "2", "y": "2"}, "c": {"x": "3", "y": "4"}}
    with pytest.raises(TaxonomyError, match="b '2' is in c '3' with 'x', but in '4' with 'y'"):
        check_nesting(levels, where="data.levels")


def test_a_category_that_a_level_misses_is_for_the_taxonomy_to_say() -> None:
    check_nesting({"a": {"x": "1", "y": "1"}, "b": {"x": "2"}}, where="data.levels")
