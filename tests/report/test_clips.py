from __future__ import annotations

from taskgrain.report.clips import MAX_VIDEO_BYTES, compare, shelves
from taskgrain.report.run_folder import EBML_MAGIC, Example, Prediction, Ranked


def marked(caption: str, truth: str) -> list[str]:
    return [word.text for word in compare(caption, truth) if word.differs]


def test_words_that_differ_from_the_truth_are_marked_in_place() -> None:
    assert marked("a red cup", "a green cup") == ["red"]


def test_a_true_caption_has_no_marks_whatever_its_case_and_stops() -> None:
    assert marked("Pushing A cup.", "pushing a cup") == []


def test_every_word_of_a_caption_is_kept_in_order() -> None:
    caption = "Pretending to put a red cup onto the the table"
    assert " ".join(word.text for word in compare(caption, "putting a cup")) == caption


def test_without_a_truth_nothing_is_marked() -> None:
    assert marked("a red cup", "") == []


def verdict_of(prediction: Prediction) -> str:
    example = Example("c", "source", "Pushing something", "", None, (prediction,))
    ((card,),) = (shelf.open for shelf in shelves((example,), ()))
    return card.opinions[0].bars[0].verdict


def test_a_class_is_called_right_or_wrong_only_where_the_truth_is_known() -> None:
    classes = (Ranked("Pushing something", 0.9),)

    def said(true_class: str | None) -> Prediction:
        return Prediction("s", 0, classes, "action-group", None, None, true_class)

    assert verdict_of(said("Pushing something")) == "right"
    assert verdict_of(said("Lifting something")) == "wrong"
    assert verdict_of(said(None)) == ""


def test_a_caption_is_held_against_the_truth_in_its_own_form() -> None:
    said = Prediction("s", 0, (), "", "pushing cup", "Pushing cup", None)
    example = Example("c", "source", "x", "Pushing a red cup", None, (said,))
    ((card,),) = (shelf.open for shelf in shelves((example,), ()))
    assert card.opinions[0].is_exact


def test_the_sources_own_clips_come_first_and_long_lists_fold() -> None:
    target = Example("k", "kitchenware", "x", "", None, ())
    own = tuple(Example(f"c{i}", "source", "x", "", None, ()) for i in range(9))
    first, second = shelves((target, *own), ())
    assert [len(first.open), len(first.folded)] == [6, 3]
    assert second.title == "Target: kitchenware"


def test_videos_beyond_the_pages_size_are_left_out() -> None:
    big = EBML_MAGIC + bytes(MAX_VIDEO_BYTES // 2)
    examples = tuple(Example(str(i), "source", "x", "", big, ()) for i in range(3))
    (shelf,) = shelves(examples, ())
    assert [bool(card.uri) for card in shelf.open] == [True, False, False]
