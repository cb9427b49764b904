from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from taskgrain.decoding import (
    NEVER_SAID,
    SORTED_SCORES,
    BeamSettings,
    beam,
    greedy,
    score_alternatives,
)
from taskgrain.labels.vocabulary import BOS, EOS, PAD
from tests.networks import score_captions

CPU = torch.device("cpu")
VOCABULARY = 9


class Script:
    """Says the tokens written for each clip, one more at each step, and remembers its inputs."""

    def __init__(self, *lines: list[int]) -> None:
        self.lines = lines
        self.fed: list[list[int]] = []

    def __call__(self, token: Tensor, state: int) -> tuple[Tensor, int]:
        self.fed.append(token.tolist())
        logits = torch.zeros(len(self.lines), VOCABULARY)
        for row, line in enumerate(self.lines):
            logits[row, line[min(state, len(line) - 1)]] = 1.0
        return logits, state + 1


def decode(script: Script, max_tokens: int = 14) -> list[list[int]]:
    said = greedy(script, 0, batch_size=len(script.lines), device=CPU, max_tokens=max_tokens)
    return said.tolist()


def test_a_finished_caption_stays_finished() -> None:
    script = Script([4, EOS, 5, 6], [4, 5, 6, EOS])
    assert decode(script) == [[4, EOS, PAD, PAD], [4, 5, 6, EOS]]


def test_each_step_is_fed_only_the_token_said_last() -> None:
    script = Script([4, 5, EOS])
    decode(script)
    assert script.fed == [[BOS], [4], [5]]


def test_decoding_ends_with_the_last_caption() -> None:
    script = Script([EOS, 4], [4, EOS])
    assert decode(script) == [[EOS, PAD], [4, EOS]]
    assert len(script.fed) == 2


@pytest.mark.parametrize("max_tokens", [1, 3, 14])
def test_no_caption_is_longer_than_allowed(max_tokens: int) -> None:
    assert decode(Script([4, 5]), max_tokens) == [[4, *[5] * (max_tokens - 1)]]


@pytest.mark.parametrize("token", [PAD, BOS])
def test_what_stands_around_captions_is_never_said(token: int) -> None:
    said = decode(Script([token]), max_tokens=2)
    assert token not in said[0]


def test_of_equal_tokens_the_first_is_said() -> None:
    def undecided(token: Tensor, state: None) -> tuple[Tensor, None]:
        return torch.zeros(2, VOCABULARY), state

    said = greedy(undecided, None, batch_size=2, device=CPU)
    assert said.tolist() == [[EOS], [EOS]]


def test_a_clip_is_decoded_alike_in_every_batch() -> None:
    lines = [[4, EOS], [5, 6, 7, EOS], [8, 8, EOS]]
    together = decode(Script(*lines))
    for line, said in zip(lines, together, strict=True):
        alone = decode(Script(line))[0]
        assert said == alone + [PAD] * (len(said) - len(alone))


def test_the_logits_are_left_as_they_were() -> None:
    kept = torch.ones(1, VOCABULARY)
    greedy(lambda token, state: (kept, state), None, batch_size=1, device=CPU, max_tokens=1)
    assert torch.equal(kept, torch.ones(1, VOCABULARY))


def test_a_caption_needs_room_for_a_token() -> None:
    with pytest.raises(ValueError, match="max_tokens is 0"):
        decode(Script([4]), max_tokens=0)


class Chain:
    """A model whose next token depends on the last one and on how many there were."""

    def __init__(self, *, clips: int, vocabulary: int, seed: int, levels: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        shape = (clips, 5, vocabulary, vocabulary)
        logits = 2 * torch.randn(shape, generator=generator)
        # A few levels only make many captions equally probable.
        self.logits = (logits * levels).round() / levels if levels else logits
        self.rows = 0

    def start(self) -> Tensor:
        clips = torch.arange(len(self.logits))
        return torch.stack([clips, torch.zeros_like(clips)], dim=1)  # (B, 2): clip, tokens so far

    def __call__(self, token: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        self.rows += len(token)
        logits = self.logits[state[:, 0], state[:, 1].clamp(max=4), token]
        return logits, state + torch.tensor([0, 1])


def rows_of(state: Tensor, rows: Tensor) -> Tensor:
    return state[rows]


def search(model: Chain, width: int, *, length_penalty: float = 0.0, max_tokens: int = 4) -> Tensor:
    return beam(
        model,
        model.start(),
        BeamSettings(width=width, length_penalty=length_penalty, max_tokens=max_tokens),
        reorder=rows_of,
        batch_size=len(model.logits),
        device=CPU,
    )


def trimmed(caption: list[int]) -> list[int]:
    return [token for token in caption if token != PAD]


def every_caption(vocabulary: int, max_tokens: int) -> list[list[int]]:
    sayable = [token for token in range(vocabulary) if token not in (*NEVER_SAID, EOS)]
    ended = [
        [*words, EOS] for length in range(max_tokens) for words in product(sayable, repeat=length)
    ]
    return ended + [list(words) for words in product(sayable, repeat=max_tokens)]


def likelihoods(model: Chain, clip: int, captions: list[list[int]]) -> Tensor:
    longest = max(map(len, captions))
    rows = [[BOS, *caption, *[PAD] * (longest - len(caption))] for caption in captions]
    start = model.start()[clip].expand(len(rows), -1)
    return score_captions(model, start, torch.tensor(rows))


@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_best_of_all_captions(seed: int, length_penalty: float) -> None:
    model = Chain(clips=3, vocabulary=6, seed=seed)
    captions = every_caption(6, 4)
    assert len(captions) == 1 + 3 + 9 + 27 + 81
    found = search(model, 200, length_penalty=length_penalty).tolist()
    for clip in range(3):
        lengths = torch.tensor([len(caption) for caption in captions])
        scores = likelihoods(model, clip, captions) / lengths.double() ** length_penalty
        assert trimmed(found[clip]) == captions[int(scores.argmax())]


def test_the_likelihoods_of_all_captions_sum_to_one() -> None:
    model = Chain(clips=1, vocabulary=6, seed=1)
    assert float(likelihoods(model, 0, every_caption(6, 4)).exp().sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("vocabulary", [7, SORTED_SCORES + 10])
@pytest.mark.parametrize("levels", [0, 1])
def test_a_single_beam_says_what_greedy_says(vocabulary: int, levels: int) -> None:
    model = Chain(clips=3, vocabulary=vocabulary, seed=5, levels=levels)
    model.logits[..., EOS] += 3 if vocabulary > SORTED_SCORES else 0
    said = greedy(model, model.start(), batch_size=3, device=CPU, max_tokens=6)
    assert torch.equal(search(model, 1, max_tokens=6), said)


def test_a_wider_beam_is_never_fed_more_rows_than_it_has() -> None:
    model = Chain(clips=3, vocabulary=6, seed=0)
    search(model, 4, max_tokens=4)
    assert model.rows <= 3 * 4 * 4  # clips, beams, tokens: no prefix is fed again


@pytest.mark.parametrize("width", [2, 5, 40])
def test_a_clip_is_searched_alike_in_every_batch(width: int) -> None:
    model = Chain(clips=4, vocabulary=6, seed=7, levels=1)
    together = search(model, width).tolist()
    for clip in range(4):
        alone = Chain(clips=4, vocabulary=6, seed=7, levels=1)
        alone.logits = alone.logits[clip : clip + 1]
        assert trimmed(search(alone, width).tolist()[0]) == trimmed(together[clip])


def test_picking_the_best_agrees_with_sorting_where_many_are_equal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Chain(clips=6, vocabulary=30, seed=3, levels=1)
    sorted_ = search(model, 5)
    monkeypatch.setattr("taskgrain.decoding.SORTED_SCORES", 0)
    assert torch.equal(search(model, 5), sorted_)


def test_a_length_penalty_brings_longer_captions() -> None:
    model = Chain(clips=20, vocabulary=6, seed=2)
    lengths = [
        int((search(model, 50, length_penalty=penalty) != PAD).sum()) for penalty in (0.0, 1.0)
    ]
    assert lengths[0] < lengths[1]


def test_a_beam_stops_when_every_caption_has_ended() -> None:
    model = Chain(clips=2, vocabulary=6, seed=0)
    model.logits[:, 1:, :, EOS] = 1e4
    model.logits[:, 0, :, EOS] = -1e4
    assert search(model, 2, max_tokens=14).shape == (2, 2)
    assert model.rows == 2 * 2 * 2


def test_no_clips_have_no_captions() -> None:
    model = Chain(clips=1, vocabulary=6, seed=0)
    model.logits = model.logits[:0]
    assert search(model, 3).shape[0] == 0


@pytest.mark.parametrize(("width", "max_tokens"), [(0, 3), (2, 0)])
def test_a_beam_needs_width_and_room(width: int, max_tokens: int) -> None:
    with pytest.raises(ValueError, match="is 0; expected 1 or more"):
        search(Chain(clips=1, vocabulary=6, seed=0), width, max_tokens=max_tokens)


def test_padding_changes_no_likelihood() -> None:
    model = Chain(clips=1, vocabulary=6, seed=0)
    short = likelihoods(model, 0, [[4, EOS]])
    assert likelihoods(model, 0, [[4, EOS], [4, 5, 3, EOS]])[0] == short[0]


ALTERNATIVES = [
    (0, [BOS, 4, 5, EOS]),
    (0, [BOS, 4, 5, 3, EOS]),
    (2, [BOS, 4, 5, EOS]),
    (0, [BOS, 5, EOS]),
    (2, [BOS, EOS]),
]


def score_of_each(model: Chain) -> Tensor:
    rows = [[*caption, *[PAD] * (5 - len(caption))] for _, caption in ALTERNATIVES]
    clips = torch.tensor([clip for clip, _ in ALTERNATIVES])
    return score_alternatives(model, model.start(), torch.tensor(rows), clips, reorder=rows_of)


def test_alternatives_of_clips_are_as_probable_as_scored_alone() -> None:
    found = score_of_each(Chain(clips=3, vocabulary=6, seed=4))
    for row, (clip, caption) in enumerate(ALTERNATIVES):
        alone = likelihoods(Chain(clips=3, vocabulary=6, seed=4), clip, [caption[1:]])
        assert float(found[row].sum()) == pytest.approx(float(alone[0]), abs=1e-12)
        assert (found[row] != 0).sum() == len(caption) - 1  # a token each, nothing at padding


def test_a_beginning_that_alternatives_share_is_computed_once() -> None:
    model = Chain(clips=3, vocabulary=6, seed=4)
    score_of_each(model)
    # BOS of two clips; of clip 0 "4" and "5", of clip 2 "4"; "4 5" of each; "4 5 3" of clip 0.
    assert model.rows == 2 + 3 + 2 + 1


def test_alternatives_need_their_beginning() -> None:
    model = Chain(clips=1, vocabulary=6, seed=4)
    with pytest.raises(ValueError, match="BOS first"):
        score_alternatives(
            model, model.start(), torch.tensor([[4, EOS]]), torch.tensor([0]), reorder=rows_of
        )
