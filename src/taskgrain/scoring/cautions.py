"""When a caption score means little: said in words beside the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from taskgrain.metrics.bootstrap import FEWEST_CLIPS
from taskgrain.metrics.captions import spoken_words
from taskgrain.metrics.ngrams import MAX_ORDER

MANY = 0.5  # share of the references


def cautions(
    true: Sequence[Sequence[str]],
    *,
    ceiling: Mapping[str, float],
    num_empty: int,
    num_unread: int,
    has_floors: bool,
    has_intervals: bool,
) -> tuple[str, ...]:
    """Say what the scores of some clips cannot show.

    Args:
        true: the references of each clip.
        ceiling: what each clip's first reference scores as a prediction.
        num_empty: predictions without a word.
        num_unread: clips whose references fit no template.
        has_floors: whether captions that look at no clip were scored too.
        has_intervals: whether any interval could be given.
    """
    said = []
    references = [spoken_words(each) for captions in true for each in captions]
    if len(true) == 1:
        said.append("one clip: CIDEr-D is 0 for any caption, and nothing here generalises")
    elif len(set(references)) == 1:
        said.append("all references are the same caption: CIDEr-D is 0 for any caption")
    short = sum(len(words) < MAX_ORDER for words in references) / len(references)
    if short > MANY:
        said.append(
            f"{short:.0%} of the references have fewer than {MAX_ORDER} words: the first reference "
            f"itself scores BLEU-4 {ceiling['bleu-4']:.2f} and CIDEr-D {ceiling['cider-d']:.2f}, "
            "so read exact match instead"
        )
    if num_unread == len(true):
        said.append(
            "no reference fits a template: template and object accuracy cannot be computed; give "
            'references with "template" and "placeholders", or such training captions'
        )
    elif num_unread:
        said.append(
            f"the references of {num_unread} of {len(true)} clips fit no template: they are left "
            "out of template and object accuracy"
        )
    if num_empty:
        said.append(f"{num_empty} of {len(true)} predictions are empty: they count as wrong")
    if not has_floors:
        said.append("no floors: give the training captions to see what scores without looking")
    if not has_intervals:
        said.append(f"no intervals: they need {FEWEST_CLIPS} clips that do not all score the same")
    return tuple(said)
