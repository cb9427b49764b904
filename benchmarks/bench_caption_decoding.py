"""Greedy decoding in a batch: carrying the state against recomputing every prefix, in one run.

The same caption decoder says the same captions both ways, on one thread.
"""

from __future__ import annotations

from functools import partial

import torch
from benchmarks.table import Row, main_of
from benchmarks.timing import best_seconds
from torch import Tensor

from taskgrain.decoding import BeamSettings, beam, greedy
from taskgrain.labels.vocabulary import BOS, EOS, MAX_TOKENS
from taskgrain.models.decoder import CaptionDecoder, reorder

CLIPS, STEPS, WIDTH, VOCABULARY, ROUNDS, WANTED = 64, 12, 256, 2000, 7, 3.0


def make_decoder() -> CaptionDecoder:
    torch.manual_seed(0)
    decoder = CaptionDecoder(
        WIDTH, vocabulary_size=VOCABULARY, word_width=128, lstm_width=256
    ).eval()
    with torch.no_grad():
        decoder.out.bias[EOS] = -1e4  # the longest captions: the worst case of both
    return decoder


def recomputing(decoder: CaptionDecoder, features: Tensor) -> Tensor:
    """Feed the whole prefix for every token, as a decoder without a state has to."""
    tokens = torch.full((len(features), 1), BOS)
    padding = torch.zeros((len(features), 1), dtype=torch.long)
    for _ in range(MAX_TOKENS):
        logits = decoder(features, torch.cat([tokens, padding], dim=1))[:, -1].clone()
        logits[:, [0, 1]] = float("-inf")
        tokens = torch.cat([tokens, logits.argmax(1, keepdim=True)], dim=1)
    return tokens[:, 1:]


def carrying(decoder: CaptionDecoder, features: Tensor) -> Tensor:
    start = decoder.start(features)
    return greedy(decoder.step, start, batch_size=len(features), device=features.device)


def searching(decoder: CaptionDecoder, features: Tensor) -> Tensor:
    return beam(
        decoder.step,
        decoder.start(features),
        BeamSettings(width=5),
        reorder=reorder,
        batch_size=len(features),
        device=features.device,
    )


@torch.inference_mode()
def measure(small: bool) -> list[Row]:
    torch.set_num_threads(1)
    decoder = make_decoder()
    features = torch.randn(8 if small else CLIPS, STEPS, WIDTH)
    assert torch.equal(carrying(decoder, features), recomputing(decoder, features))
    ways = {"ours": carrying, "peer": recomputing, "beam": searching}
    best = best_seconds(
        {name: partial(decode, decoder, features) for name, decode in ways.items()},
        rounds=1 if small else ROUNDS,
    )
    return [
        Row(
            f"greedy captions of {len(features)} clips, {MAX_TOKENS} tokens",
            best["ours"],
            "recomputing prefixes",
            best["peer"],
            wanted=WANTED,
            note=f"beam of 5: {best['beam']:.2g} s",
        )
    ]


if __name__ == "__main__":
    main_of(measure, __doc__)
