from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrain.errors import TaxonomyError
from taskgrain.labels.ssv2 import BRACKETED
from taskgrain.labels.symmetry import (
    SSV2_MIRROR,
    MirroredLabel,
    check_mirror_table,
    mirror,
)
from taskgrain.labels.template import fill, placeholder_count, strip_brackets
from tests.making import PUSH

HOLD = "Holding [something]"
PERMITTED = sorted(SSV2_MIRROR)
GESTURES = {
    "Turning Hand Clockwise": "Turning Hand Counterclockwise",
    "Turning Hand Counterclockwise": "Turning Hand Clockwise",
    "wave_left": "wave_right",
    "wave_right": "wave_left",
    "SwipeLeft": "SwipeRight",
    "SwipeRight": "SwipeLeft",
    "Nod": "Nod",
}


def test_mirroring_rewrites_category_placeholders_and_caption() -> None:
    caption = "Pushing my left shoe from left to right"
    assert mirror(PUSH, ["my left shoe"], [caption], SSV2_MIRROR) == MirroredLabel(
        "Pushing [something] from right to left",
        ("my right shoe",),
        ("Pushing my right shoe from right to left",),
    )


def test_every_caption_of_a_clip_is_mirrored() -> None:
    captions = ["a cup is pushed", "A cup goes from LEFT to Right!", "the cup moves left to right"]
    image = mirror(PUSH, ["a cup"], captions, SSV2_MIRROR)
    assert image is not None
    assert image.captions == (
        "a cup is pushed",
        "A cup goes from RIGHT to Left!",
        "the cup moves right to left",
    )


def test_a_kept_category_still_has_its_words_mirrored() -> None:
    image = mirror(HOLD, ["my left hand"], ["holding my left hand"], SSV2_MIRROR)
    assert image == MirroredLabel(HOLD, ("my right hand",), ("holding my right hand",))


def test_every_permitted_template_is_mirrored_to_the_category_of_its_table() -> None:
    assert len(PERMITTED) == 172
    for category in PERMITTED:
        template = BRACKETED[category]
        objects = ["a red cup"] * placeholder_count(template)
        image = mirror(template, objects, [fill(template, objects)], SSV2_MIRROR)
        assert image is not None, category
        assert image.template == BRACKETED[SSV2_MIRROR[category]]
        assert image.captions == (fill(image.template, objects),)


OBJECTS = st.sampled_from(
    ["a cup", "My Left hand", "the RIGHT shoe", "leftmost box", "LeFT sock", "left over pizza", "_"]
)
WORDS = st.sampled_from(
    [
        *("left", "right", "Left", "RIGHT", "rIght", "from", "to", "the", "hand", "side", "and"),
        *("out", "over", "clockwise", "cup", "pushing", ",", "-", "he", "moves", "turning", "very"),
    ]
)
FREE = st.lists(WORDS, max_size=8).map(" ".join)


@pytest.mark.slow
@given(st.sampled_from(PERMITTED), st.data())
@settings(max_examples=150, deadline=None)
def test_mirroring_twice_is_the_identity(category: str, data: st.DataObject) -> None:
    template = BRACKETED[category]
    objects = tuple(data.draw(OBJECTS) for _ in range(placeholder_count(template)))
    own = fill(template, objects)
    captions = (own, own.capitalize(), own.upper() + "!", *data.draw(st.lists(FREE, max_size=1)))
    captions = tuple(data.draw(st.lists(st.sampled_from(captions), max_size=3)))
    image = mirror(template, objects, captions, SSV2_MIRROR)
    if image is None:
        return
    back = mirror(image.template, image.placeholders, image.captions, SSV2_MIRROR)
    assert back == MirroredLabel(template, objects, captions)


@given(st.sampled_from(sorted(GESTURES)), st.lists(FREE, max_size=2))
@settings(max_examples=60, deadline=None)
def test_so_it_is_with_a_table_of_one_s_own(category: str, captions: list[str]) -> None:
    image = mirror(category, (), captions, GESTURES)
    if image is not None:
        assert image.template == GESTURES[category]
        back = mirror(image.template, (), image.captions, GESTURES)
        assert back == MirroredLabel(category, (), tuple(captions))


@pytest.mark.parametrize(
    ("template", "placeholders", "caption"),
    [
        ("Digging [something] out of [something]", ["a", "b"], "digging a out of b"),
        ("Waving", [], "waving"),
        (HOLD, ["left over pizza"], "holding left over pizza"),
        (HOLD, ["a right angle"], "holding a right angle"),
        (HOLD, ["a cup"], "turning a cup clockwise"),
        (PUSH, ["a cup"], "a cup goes from right to left"),
        (PUSH, ["a cup"], "a cup goes to the left"),
        (PUSH, ["a cup"], "a cup is pushed from left to right and from right to left"),
        (PUSH, ["a lEft shoe"], "pushing a left shoe from left to right"),
    ],
)
def test_what_cannot_be_known_is_not_mirrored(
    template: str, placeholders: list[str], caption: str
) -> None:
    assert mirror(template, placeholders, [caption], SSV2_MIRROR) is None


def test_a_table_of_one_s_own_knows_what_words_alone_do_not() -> None:
    image = mirror("Turning Hand Clockwise", [], ["turning hand clockwise"], GESTURES)
    assert image == MirroredLabel(
        "Turning Hand Counterclockwise", (), ("turning hand counterclockwise",)
    )
    assert mirror("Turning Hand Clockwise", [], ["it turns clockwise"], GESTURES) is None
    image = mirror("wave_left", [], ["wave left"], GESTURES)
    assert image == MirroredLabel("wave_right", (), ("wave right",))


CLOCKWISE = "Turning [something] clockwise"
ANTICLOCKWISE = "Turning [thing] anticlockwise"
TURNS = {
    strip_brackets(CLOCKWISE): strip_brackets(ANTICLOCKWISE),
    strip_brackets(ANTICLOCKWISE): strip_brackets(CLOCKWISE),
}
TEMPLATES = {strip_brackets(each): each for each in (CLOCKWISE, ANTICLOCKWISE)}


def turned(template: str, *placeholders: str, caption: str) -> MirroredLabel | None:
    image = mirror(template, placeholders, [caption], TURNS, templates=TEMPLATES)
    if image is not None:
        again = mirror(
            image.template, image.placeholders, image.captions, TURNS, templates=TEMPLATES
        )
        assert again == MirroredLabel(template, placeholders, (caption,))
    return image


def test_a_template_that_the_table_alone_knows_has_the_brackets_of_the_dataset() -> None:
    said = "Turning my left shoe clockwise."
    assert turned(CLOCKWISE, "my left shoe", caption=said) == MirroredLabel(
        ANTICLOCKWISE, ("my right shoe",), ("Turning my right shoe anticlockwise.",)
    )
    assert turned(CLOCKWISE, "a cup", caption="a cup turns clockwise") is None
    assert mirror(CLOCKWISE, ["a cup"], [], TURNS) is None


def test_placeholders_whose_order_is_unknown_are_not_mirrored() -> None:
    one, other = "Passing [cup] clockwise past [box]", "Passing [box] counterclockwise past [cup]"
    table = {strip_brackets(one): strip_brackets(other), strip_brackets(other): strip_brackets(one)}
    templates = {strip_brackets(each): each for each in (one, other)}
    assert mirror(one, ["a", "b"], [], table, templates=templates) is None
    same = "Passing [cup] counterclockwise past [box]"
    table = {strip_brackets(one): strip_brackets(same), strip_brackets(same): strip_brackets(one)}
    templates = {strip_brackets(each): each for each in (one, same)}
    image = mirror(one, ["a", "b"], [], table, templates=templates)
    assert image == MirroredLabel(same, ("a", "b"), ())


def test_plain_sentences_are_mirrored_and_come_back() -> None:
    captions = (
        "he swipes left",
        "Moves to the LEFT very fast",
        "a man on the left throws the ball to the man on the right",
    )
    image = mirror("Nod", [], captions, {"Nod": "Nod"})
    assert image is not None
    assert image.captions == (
        "he swipes right",
        "Moves to the RIGHT very fast",
        "a man on the right throws the ball to the man on the left",
    )
    assert mirror("Nod", [], image.captions, {"Nod": "Nod"}) == MirroredLabel("Nod", (), captions)


@pytest.mark.parametrize("category", ["Wave left", "Turn clockwise"])
def test_a_category_with_a_side_is_not_its_own_image(category: str) -> None:
    assert mirror(category, [], [], {category: category}) is None


def test_a_template_with_other_placeholders_is_refused() -> None:
    with pytest.raises(ValueError, match="has 1 placeholders, got 2"):
        mirror(HOLD, ["a", "b"], [], SSV2_MIRROR)


def test_the_packaged_and_a_proper_table_pass() -> None:
    check_mirror_table(SSV2_MIRROR, where="ssv2")
    check_mirror_table(GESTURES, where="mine.toml: data.mirror")
    check_mirror_table({}, where="mine.toml: data.mirror")


def test_a_table_that_is_no_involution_names_each_category() -> None:
    table = {"Left": "Right", "Right": "Right", "Wave up": "Wave dwn", "Wave down": "Wave down"}
    with pytest.raises(TaxonomyError) as caught:
        check_mirror_table(table, where="data.mirror")
    assert str(caught.value).splitlines() == [
        "data.mirror: 'Left' is mirrored to 'Right', but that is mirrored to 'Right'; expected "
        "'Right' = 'Left'",
        "data.mirror: 'Wave up' is mirrored to 'Wave dwn', but the table does not have that; did "
        "you mean 'Wave down'?; expected 'Wave dwn' = 'Wave up'",
    ]
