"""Score captions: the numbers, their intervals, the floors beside them, and when they mislead."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from taskgrain.labels.caption import CaptionForm
from taskgrain.metrics.captions import caption_tallies, count_clips, spoken_words
from taskgrain.metrics.corpus_scores import MAX_ORDER, TokenPairs, bleu, cider_d, rouge_l
from taskgrain.metrics.references import (
    CaptionReader,
    ReferenceClip,
    at_form,
    floor_captions,
    training_unknown_rate,
)
from taskgrain.metrics.tally import FEWEST_CLIPS, Tally, clip_intervals
from taskgrain.statistics.intervals import Interval
from taskgrain.tools.score.caption_files import read_predictions, read_references
from taskgrain.tools.score.meteor import Meteor

Tokenizer = Literal["ptb", "words"]


def _treebank_words(captions: Sequence[str]) -> Sequence[tuple[str, ...]]:
    from taskgrain.metrics.ptb import ptb_words_of_all  # its patterns take 50 ms to compile

    return ptb_words_of_all(captions)


TOKENIZERS: Mapping[Tokenizer, Callable[[Sequence[str]], Sequence[tuple[str, ...]]]] = {
    "ptb": _treebank_words,
    "words": lambda captions: list(map(spoken_words, captions)),
}
"""How the captions of one file, in their order, become words."""
CEILING = "first-reference"
METEOR = "meteor"
MANY = 0.5  # share of short references above which a warning is given


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """How captions are compared.

    `tokenizer` makes the words of BLEU, ROUGE-L, CIDEr-D and METEOR: as coco-caption does, or as a
    vocabulary does. `form` is the grain that predictions and references are brought to first.
    `seed` is of the resamples and of the random floor.
    """

    tokenizer: Tokenizer = "ptb"
    form: CaptionForm = "full"
    meteor: bool = False
    meteor_jar: Path | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of some captions with intervals and floors; NaN where nothing could be counted."""

    values: Mapping[str, float]  # by score
    intervals: Mapping[str, Interval | None]  # by score; None where it would mislead
    floors: Mapping[str, Mapping[str, float]]  # by floor, by score
    n: int  # clips
    num_empty: int  # predictions without a word; they count as wrong
    references_per_clip: float
    mean_length: float  # words
    mean_reference_length: float
    training_unknown_rate: float  # share of the references' words that training lacks
    settings: ScoreSettings
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Write as what `json.dumps` takes; NaN becomes None."""
        return {
            **_finite(self.values),
            METEOR: _finite(self.values).get(METEOR),
            "n": self.n,
            "empty": self.num_empty,
            "references-per-clip": self.references_per_clip,
            "mean-length": self.mean_length,
            "mean-reference-length": self.mean_reference_length,
            "reference-unknown-rate": _finite({"": self.training_unknown_rate})[""],
            "tokenizer": self.settings.tokenizer,
            "form": self.settings.form,
            "idf": "the references that are scored",
            "floors": {name: _finite(values) for name, values in self.floors.items()},
            "intervals": {
                name: None if interval is None else [interval.low, interval.high]
                for name, interval in self.intervals.items()
            },
            "interval-kind": "clips",
            "warnings": list(self.warnings),
        }


def score_files(
    predictions: Path,
    references: Path,
    *,
    training: Path | None = None,
    settings: ScoreSettings | None = None,
) -> Scores:
    """Score the captions of one file against those of another; see `caption_files`.

    Args:
        predictions: one caption for every clip that has references.
        references: the true captions.
        training: the captions that were learned from: for the floors and for unknown words.
        settings: how captions are compared.

    Raises:
        ManifestError: if references or training captions cannot be read.
        ResultError: if predictions cannot be read, or METEOR cannot run.
    """
    true = read_references(references)
    predicted = read_predictions(predictions, true)
    learned = None if training is None else read_references(training)
    return score_clips(list(predicted.values()), true, training=learned, settings=settings)


def score_clips(
    predicted: Sequence[str],
    references: Mapping[str, ReferenceClip],
    *,
    training: Mapping[str, ReferenceClip] | None = None,
    settings: ScoreSettings | None = None,
) -> Scores:
    """Score one caption a clip, in the order of the references; see `score_files`."""
    settings = settings or ScoreSettings()
    training = training or {}
    reader = CaptionReader([*references.values(), *training.values()])
    scorer = _Scorer(reader, list(references.values()), settings)
    true = scorer.true
    floors = floor_captions(references, training, seed=settings.seed) if training else {}
    # Predictions, floors and the ceiling are scored by one road; "" is none of the floors' names.
    everything = {
        "": predicted,
        **floors,
        CEILING: [clip.captions[0] for clip in references.values()],
    }
    tallies = {name: scorer.tally(captions) for name, captions in everything.items()}
    values = {name: {key: each.value for key, each in of.items()} for name, of in tallies.items()}
    if settings.meteor:
        for name, score in scorer.meteor(everything).items():
            values[name][METEOR] = score
    words = [spoken_words(caption) for caption in predicted]
    reference_words = [len(spoken_words(each)) for captions in true for each in captions]
    scores = Scores(
        values=values.pop(""),
        intervals=clip_intervals(tallies[""], seed=settings.seed),
        floors=values,
        n=len(true),
        num_empty=sum(not each for each in words),
        references_per_clip=len(reference_words) / len(true),
        mean_length=sum(map(len, words)) / len(words),
        mean_reference_length=sum(reference_words) / len(reference_words),
        training_unknown_rate=training_unknown_rate(references, training) if training else math.nan,
        settings=settings,
    )
    num_unread = sum(all(reader(each) is None for each in captions) for captions in true)
    warnings = cautions(
        true,
        ceiling=scores.floors[CEILING],
        num_empty=scores.num_empty,
        num_unread=num_unread,
        has_floors=len(scores.floors) > 1,
        has_intervals=any(scores.intervals.values()),
    )
    return replace(scores, warnings=warnings)


class _Scorer:
    """Scores captions of the same clips, several times."""

    def __init__(
        self, reader: CaptionReader, references: Sequence[ReferenceClip], settings: ScoreSettings
    ) -> None:
        self._reader = reader
        self._references = references
        self._form: CaptionForm = settings.form
        self._settings = settings
        self._split = TOKENIZERS[settings.tokenizer]
        meanings = [reader.meaning(clip) for clip in references]
        self._meant = [meaning and at_form(meaning, self._form) for meaning in meanings]
        self.true = [
            (
                reader.project(clip.captions[0], self._form, meaning),
                *(reader.project(each, self._form) for each in clip.captions[1:]),
            )
            for clip, meaning in zip(references, meanings, strict=True)
        ]
        # All at once, as coco-caption does: whether a last full stop stays depends on the caption
        # that comes next in the file.
        words = iter(self._split([each for captions in self.true for each in captions]))
        self._tokens = [[next(words) for _ in captions] for captions in self.true]

    def tally(self, predicted: Sequence[str]) -> dict[str, Tally]:
        """Tally every score but METEOR."""
        predicted = self._projected(predicted)
        counted = caption_tallies(
            count_clips(predicted, self.true, parse=self._reader, meant=self._meant)
        )
        pairs = TokenPairs(self._split(predicted), self._tokens)
        four = {f"bleu-{order}": tally for order, tally in enumerate(bleu(pairs), start=1)}
        return {**counted, **four, "rouge-l": rouge_l(pairs), "cider-d": cider_d(pairs)}

    def meteor(self, captions_of: Mapping[str, Sequence[str]]) -> dict[str, float]:
        """Compute METEOR of several sets of captions."""
        with Meteor(self._settings.meteor_jar) as meteor:
            return {
                name: meteor.score(self._split(self._projected(captions)), self._tokens)
                for name, captions in captions_of.items()
            }

    def _projected(self, predicted: Sequence[str]) -> list[str]:
        return [
            self._project(caption, clip, true)
            for caption, clip, true in zip(predicted, self._references, self.true, strict=True)
        ]

    def _project(self, caption: str, clip: ReferenceClip, true: Sequence[str]) -> str:
        """Bring a prediction to the form, exactly as a reference of the same words was brought."""
        if self._form == "full":
            return caption
        words = spoken_words(caption)
        for each, projected in zip(clip.captions, true, strict=True):
            if spoken_words(each) == words:
                return projected
        return self._reader.project(caption, self._form)


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def cautions(
    true: Sequence[Sequence[str]],
    *,
    ceiling: Mapping[str, float],
    num_empty: int,
    num_unread: int,
    has_floors: bool,
    has_intervals: bool,
) -> tuple[str, ...]:
    """Return warnings: what the scores of some clips cannot show.

    Args:
        true: the references of each clip.
        ceiling: what each clip's first reference scores as a prediction.
        num_empty: predictions without a word.
        num_unread: clips whose references fit no template.
        has_floors: whether captions that look at no clip were scored too.
        has_intervals: whether any interval could be given.
    """
    warnings = []
    references = [spoken_words(each) for captions in true for each in captions]
    # The idf of an n-gram is log(clips / clips that have it), which is 0 for one clip or caption.
    if len(true) == 1:
        warnings.append("one clip: CIDEr-D is 0 for any caption, and nothing here generalises")
    elif len(set(references)) == 1:
        warnings.append("all references are the same caption: CIDEr-D is 0 for any caption")
    # A caption of three words has no four in a row: said back perfectly it scores BLEU-4 .03.
    short = sum(len(words) < MAX_ORDER for words in references) / len(references)
    if short > MANY:
        warnings.append(
            f"{short:.0%} of the references have fewer than {MAX_ORDER} words: the first reference "
            f"itself scores BLEU-4 {ceiling['bleu-4']:.2f} and CIDEr-D {ceiling['cider-d']:.2f}, "
            "so read exact match instead"
        )
    if num_unread == len(true):
        warnings.append(
            "no reference fits a template: template and object accuracy cannot be computed; give "
            'references with "template" and "placeholders", or such training captions'
        )
    elif num_unread:
        warnings.append(
            f"the references of {num_unread} of {len(true)} clips fit no template: they are left "
            "out of template and object accuracy"
        )
    if num_empty:
        warnings.append(f"{num_empty} of {len(true)} predictions are empty: they count as wrong")
    if not has_floors:
        warnings.append("no floors: give the training captions to see what scores without looking")
    if not has_intervals:
        warnings.append(
            f"no intervals: they need {FEWEST_CLIPS} clips that do not all score the same"
        )
    return tuple(warnings)
