"""The vocabulary: words to token indices and back.

L tokens a caption: BOS, at most `MAX_TOKENS` tokens including EOS, then PAD.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from taskgrain.labels.template import words_of

PAD, BOS, EOS, UNK = range(4)
SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")
MAX_TOKENS = 14  # words and EOS; the paper's fixed length, BOS not counted


@dataclass(frozen=True)
class Vocabulary:
    """The V words that captions are made of; built from training captions, kept for ever."""

    words: tuple[str, ...]  # without the four specials, alphabetical

    def __len__(self) -> int:
        return len(SPECIALS) + len(self.words)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.words, start=len(SPECIALS))}

    def encode(self, caption: str) -> tuple[int, ...]:
        """Turn a caption into BOS, its words, EOS; a longer one loses its last words, not EOS."""
        words = words_of(caption)[: MAX_TOKENS - 1]
        return (BOS, *(self._index.get(word, UNK) for word in words), EOS)

    def decode(self, tokens: Sequence[int]) -> str:
        """Turn tokens into a caption: up to the first EOS; BOS and PAD say nothing."""
        said: list[str] = []
        for token in tokens:
            if token == EOS:
                break
            if token == UNK:
                said.append(SPECIALS[UNK])
            elif token >= len(SPECIALS):
                said.append(self.words[token - len(SPECIALS)])
        return " ".join(said)


def build_vocabulary(captions: Iterable[str], *, min_count: int = 1) -> Vocabulary:
    """Collect the words seen at least `min_count` times in the training captions."""
    counts = Counter(word for caption in captions for word in words_of(caption))
    return Vocabulary(tuple(sorted(word for word, n in counts.items() if n >= min_count)))
