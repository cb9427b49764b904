from __future__ import annotations

import pytest
import torch
from torch import Tensor

from taskgrain.decoding import greedy
from taskgrain.labels.vocabulary import BOS, EOS, PAD

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
