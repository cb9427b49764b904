"""What scores without looking at a clip: the captions that every score is printed beside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b

from taskgrain.labels.simplify import last_word
from taskgrain.labels.template import fill
from taskgrain.metrics.captions import spoken_words
from taskgrain.scoring.caption_files import ReferenceClip

Clips = Mapping[str, ReferenceClip]


def floor_captions(references: Clips, training: Clips, *, seed: int) -> dict[str, list[str]]:
    """Say captions of every clip from the training annotations alone.

    Args:
        references: the clips that are scored.
        training: the clips that were learned from.
        seed: of the random captions; each depends on it and on the clip's id, on nothing else.

    Returns:
        By the floor's name, one caption a clip in the order of the references:
        "commonest-caption"; and, where both files say templates, "commonest-word", the true
        template with every placeholder filled by the word that most training placeholders end in,
        and "same-category", a random training caption of the same category. A clip without a
        template, or with one that training lacks, gets the commonest caption there.
    """
    commonest = _commonest([clip.captions[0] for clip in training.values()])
    floors = {"commonest-caption": [commonest] * len(references)}
    of_template: dict[str, list[str]] = {}
    for clip in training.values():
        if clip.template is not None:
            of_template.setdefault(clip.template, []).append(clip.captions[0])
    placeholders = [word for clip in training.values() for word in clip.placeholders]
    if not placeholders or not any(clip.template for clip in references.values()):
        return floors
    word = _commonest([last_word(placeholder) for placeholder in placeholders])
    floors["commonest-word"] = [
        commonest if clip.template is None else fill(clip.template, [word] * len(clip.placeholders))
        for clip in references.values()
    ]
    floors["same-category"] = [
        _drawn(of_template.get(clip.template or "", [commonest]), clip_id, seed)
        for clip_id, clip in references.items()
    ]
    return floors


def training_unknown_rate(references: Clips, training: Clips) -> float:
    """Share of the references' words that no training caption holds; NaN without a word."""
    known = {
        word
        for clip in training.values()
        for caption in clip.captions
        for word in spoken_words(caption)
    }
    words = [
        word
        for clip in references.values()
        for caption in clip.captions
        for word in spoken_words(caption)
    ]
    return sum(word not in known for word in words) / len(words) if words else float("nan")


def _commonest(texts: Sequence[str]) -> str:
    """Give the most frequent text, letters' case apart; of equals the first by alphabet."""
    counts = Counter(text.lower() for text in texts)
    return min(counts, key=lambda text: (-counts[text], text))


def _drawn(captions: Sequence[str], clip_id: str, seed: int) -> str:
    digest = blake2b(f"{seed}\0{clip_id}".encode(), digest_size=8).digest()
    return captions[int.from_bytes(digest) % len(captions)]
