from __future__ import annotations

import math
import random
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrain.metrics.corpus_scores import TokenPairs, bleu, cider_d, rouge_l
from taskgrain.metrics.tally import Tally

Words = tuple[str, ...]
EQUAL = 1e-9


def split(*captions: str) -> list[Words]:
    return [tuple(caption.split()) for caption in captions]


def pairs_of(said: list[str], true: list[list[str]]) -> TokenPairs:
    return TokenPairs(split(*said), [split(*each) for each in true])


def scores(said: list[str], true: list[list[str]]) -> list[Tally]:
    pairs = pairs_of(said, true)
    return [*bleu(pairs), rouge_l(pairs), cider_d(pairs)]


def random_sets(seed: int) -> tuple[list[Words], list[list[Words]]]:
    chance = random.Random(seed)
    size, vocabulary = chance.choice([1, 2, 3, 10, 40]), chance.choice([2, 5, 30])

    def caption() -> Words:
        return tuple(f"w{chance.randrange(vocabulary)}" for _ in range(chance.randint(0, 12)))

    return (
        [caption() for _ in range(size)],
        [[caption() for _ in range(chance.randint(1, 4))] for _ in range(size)],
    )


def templated_sets() -> tuple[list[Words], list[list[Words]]]:
    chance = random.Random(0)
    objects = ["a cup", "the red box", "pen", "something similar to other things", "box"]
    frames = ["pushing {} from left to right", "putting {} on {}", "{} falling", "tearing {}"]

    def caption(frame: str) -> Words:
        return tuple(frame.format(chance.choice(objects), chance.choice(objects)).split())

    of_clip = [chance.choice(frames) for _ in range(300)]
    said = [caption(frame if chance.random() < 0.6 else chance.choice(frames)) for frame in of_clip]
    return said, [[caption(frame) for _ in range(chance.randint(1, 3))] for frame in of_clip]


def peer(name: str) -> ModuleType:
    module: ModuleType = pytest.importorskip(f"pycocoevalcap.{name}.{name}")
    return module


def spaced_sets() -> tuple[list[Words], list[list[Words]]]:
    """Words as PTB writes a mixed fraction or a telephone number: a no-break space inside."""
    words = ("add", "1\u00a01/2", "1", "1/2", "cups", "100\u00a0200\u00a0300", "200", "flour")
    chance = random.Random(0)

    def caption() -> Words:
        return tuple(chance.choices(words, k=chance.randint(0, 9)))

    return [caption() for _ in range(60)], [[caption(), caption()] for _ in range(60)]


@pytest.mark.parametrize("seed", [*range(25), "templates", "spaces"])
def test_numbers_are_those_of_pycocoevalcap(seed: int | str) -> None:
    made = {"templates": templated_sets, "spaces": spaced_sets}
    said, true = made[seed]() if isinstance(seed, str) else random_sets(seed)
    candidates = {index: [" ".join(each)] for index, each in enumerate(said)}
    references = {index: [" ".join(each) for each in clip] for index, clip in enumerate(true)}
    pairs = TokenPairs(said, true)
    theirs, of_clips = peer("bleu").Bleu(4).compute_score(references, candidates, verbose=0)
    for ours, value, each in zip(bleu(pairs), theirs, of_clips, strict=True):
        assert ours.value == pytest.approx(value, abs=EQUAL)
        np.testing.assert_allclose(ours.of_clips, each, atol=EQUAL, rtol=0)
    value, each = peer("rouge").Rouge().compute_score(references, candidates)
    assert rouge_l(pairs).value == pytest.approx(value, abs=EQUAL)
    np.testing.assert_allclose(rouge_l(pairs).of_clips, each, atol=EQUAL, rtol=0)
    if not any(words for clip in true for words in clip):
        assert cider_d(pairs).value == 0.0  # theirs fails where every reference is empty
        return
    value, each = peer("cider").Cider().compute_score(references, candidates)
    assert cider_d(pairs).value == pytest.approx(value, abs=EQUAL)
    np.testing.assert_allclose(cider_d(pairs).of_clips, each, atol=EQUAL, rtol=0)


def test_scores_are_those_worked_out_by_hand() -> None:
    said, true = ["the cup the"], [["the red cup", "a cup"]]
    one, two, *_, rouge, _ = scores(said, true)
    # the, cup and no second "the"; the closest reference has as many words
    assert one.value == pytest.approx(2 / 3)
    assert two.value == pytest.approx(math.sqrt(2 / 3 * 1e-15 / 2), rel=1e-3)
    # the best precision is 2 / 3 and the best recall 2 / 3
    assert rouge.value == pytest.approx(2 / 3)


def test_of_two_lengths_as_close_the_shorter_is_meant() -> None:
    one, *_ = scores(["a b c"], [["a b", "a b c d"]])
    assert one.counts[0, -1] == 2


def test_a_word_that_every_clip_has_counts_for_nothing_in_cider() -> None:
    true = [["pushing cup"], ["pushing pen"], ["pushing box"]]
    common = scores(["pushing", "pushing", "pushing"], true)[-1]
    assert common.value == 0.0
    rare = scores(["cup", "pen", "box"], true)[-1]
    assert rare.value > 1.0


@pytest.mark.parametrize("true", [[["a red cup"]], [["a red cup"]] * 3])
def test_cider_is_nothing_for_one_clip_and_for_equal_references(true: list[list[str]]) -> None:
    assert scores([each[0] for each in true], true)[-1].value == 0.0


def test_perfect_captions_score_one() -> None:
    true = [["pushing a cup from left"], ["a pen falling like a rock"]]
    *four_and_rouge, cider = scores([each[0] for each in true], true)
    assert [score.value for score in four_and_rouge] == pytest.approx([1.0] * 5)
    assert cider.value == pytest.approx(10.0)


def test_an_empty_caption_scores_nothing_and_lengthens_what_was_to_be_said() -> None:
    true = [["pushing a cup from left"], ["a pen falling like a rock"]]
    alone = scores(["pushing a cup from left"], true[:1])
    both = scores(["pushing a cup from left", ""], true)
    assert [score.of_clips[1] for score in both] == pytest.approx([0.0] * 6, abs=1e-12)
    assert both[0].value < alone[0].value
    assert both[4].value == pytest.approx(alone[4].value / 2)


def test_no_clips_have_no_score() -> None:
    assert all(math.isnan(score.value) for score in scores([], []))


def test_each_clip_needs_a_candidate_and_a_reference() -> None:
    with pytest.raises(ValueError, match="1 candidates for the references of 2"):
        TokenPairs([("a",)], [[("a",)], [("b",)]])
    with pytest.raises(ValueError, match="clip 1 has no reference"):
        TokenPairs([("a",), ("b",)], [[("a",)], []])


CAPTION = st.lists(st.sampled_from("abcd"), max_size=7).map(tuple)
CLIP = st.tuples(CAPTION, st.lists(CAPTION, min_size=1, max_size=3))


@settings(max_examples=25, deadline=None)
@given(st.lists(CLIP, min_size=2, max_size=8), st.data())
def test_bleu_and_rouge_of_parts_add_up_to_those_of_the_whole(
    clips: list[tuple[Words, list[Words]]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(clips)))

    def tallies(part: list[tuple[Words, list[Words]]]) -> list[Tally]:
        pairs = TokenPairs([said for said, _ in part], [true for _, true in part])
        return [*bleu(pairs), rouge_l(pairs)]

    whole = tallies(clips)
    for all_, left, right in zip(whole, tallies(clips[:cut]), tallies(clips[cut:]), strict=True):
        assert (left + right).value == pytest.approx(all_.value, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.lists(CLIP, min_size=1, max_size=8), st.randoms())
def test_the_order_of_clips_and_references_makes_no_difference(
    clips: list[tuple[Words, list[Words]]], chance: random.Random
) -> None:
    def values(part: list[tuple[Words, list[Words]]]) -> list[float]:
        pairs = TokenPairs([said for said, _ in part], [true for _, true in part])
        return [score.value for score in (*bleu(pairs), rouge_l(pairs), cider_d(pairs))]

    shuffled = [(said, chance.sample(true, len(true))) for said, true in clips]
    chance.shuffle(shuffled)
    assert values(shuffled) == pytest.approx(values(clips), abs=EQUAL)


@settings(max_examples=40, deadline=None)
@given(CAPTION, CAPTION)
def test_the_longest_common_subsequence_is_that_of_the_plain_recursion(
    said: Words, true: Words
) -> None:
    def longest(a: Words, b: Words) -> int:
        if not a or not b:
            return 0
        if a[-1] == b[-1]:
            return longest(a[:-1], b[:-1]) + 1
        return max(longest(a[:-1], b), longest(a, b[:-1]))

    score = rouge_l(TokenPairs([said], [[true]])).value
    common = longest(said, true)
    if not said and not true:
        assert score == 1.0
    elif common == 0:
        assert score == 0.0
    else:
        precision, recall = common / len(said), common / len(true)
        assert score == pytest.approx(2.44 * precision * recall / (recall + 1.44 * precision))


def test_a_very_long_caption_beside_short_ones_scores_as_it_should() -> None:
    long = tuple(f"w{n}" for n in range(3000))
    said: list[Words] = [long, ("a",), ()]
    true: list[list[Words]] = [[long], [("a", "b")], [("c",)]]
    assert rouge_l(TokenPairs(said, true)).of_clips[0] == pytest.approx(1.0)


def test_many_captions_are_compared_in_several_tables_and_none_is_lost() -> None:
    short: Words = ("a", "red", "cup")
    long: Words = tuple(f"w{n}" for n in range(1100))
    near: list[Words] = [("a", "cup", "w1")]
    far: list[Words] = [("w5", "x", "w900")]
    said, true = [*[short] * 2100, long], [*[near] * 2100, far]
    found = rouge_l(TokenPairs(said, true)).of_clips
    alone = [rouge_l(TokenPairs([said[n]], [true[n]])).value for n in (0, 2100)]
    assert found.tolist() == pytest.approx([*[alone[0]] * 2100, alone[1]], abs=EQUAL)


def test_tallies_of_different_scores_do_not_add() -> None:
    one, two, *_ = scores(["a"], [["a"]])
    with pytest.raises(ValueError, match="different scores"):
        one + two
