"""How many captions were right: as a whole, in their template, in each object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from taskgrain.labels.template import ParsedCaption

Parse = Callable[[str], ParsedCaption | None]


@dataclass(frozen=True, slots=True)
class CaptionCounts:
    """Counts over clips; they add with `+`.

    An object is right where the prediction names the same words in the same slot, whatever its
    template, so that seeing the object and seeing the action are told apart. A prediction that
    fits no template has neither template nor objects right.
    """

    num_clips: int = 0
    num_exact: int = 0
    num_parsed: int = 0  # clips whose true caption fits a template
    num_templates_right: int = 0  # of those
    num_objects: int = 0  # slots of their true captions
    num_objects_right: int = 0

    @classmethod
    def of(cls, predicted: Sequence[str], true: Sequence[str], *, parse: Parse) -> CaptionCounts:
        """Count captions.

        Args:
            predicted: what was said, one caption a clip.
            true: what is so, in the same order.
            parse: reads a caption's template and objects; None where no template fits.

        Raises:
            ValueError: if there are not as many of one as of the other.
        """
        if len(predicted) != len(true):
            raise ValueError(f"{len(predicted)} captions for {len(true)} clips")
        return sum(
            (_count(said, meant, parse) for said, meant in zip(predicted, true, strict=True)), cls()
        )

    def __add__(self, other: CaptionCounts) -> CaptionCounts:
        return CaptionCounts(
            self.num_clips + other.num_clips,
            self.num_exact + other.num_exact,
            self.num_parsed + other.num_parsed,
            self.num_templates_right + other.num_templates_right,
            self.num_objects + other.num_objects,
            self.num_objects_right + other.num_objects_right,
        )

    @property
    def exact_match(self) -> float:
        """Share of captions right in every word, 0 to 1; NaN without clips."""
        return _share(self.num_exact, self.num_clips)

    @property
    def template_accuracy(self) -> float:
        """Share of templates right; NaN where no true caption fits a template."""
        return _share(self.num_templates_right, self.num_parsed)

    @property
    def object_accuracy(self) -> float:
        """Share of object slots right; NaN where there are none."""
        return _share(self.num_objects_right, self.num_objects)


def _count(said: str, meant: str, parse: Parse) -> CaptionCounts:
    exact = int(said == meant)
    truth, reading = parse(meant), parse(said)
    if truth is None:
        return CaptionCounts(num_clips=1, num_exact=exact)
    objects = () if reading is None else reading.objects
    # Slots beyond the shorter of the two are counted as wrong through num_objects.
    right = sum(a == b for a, b in zip(objects, truth.objects, strict=False))
    return CaptionCounts(
        num_clips=1,
        num_exact=exact,
        num_parsed=1,
        num_templates_right=int(reading is not None and reading.template == truth.template),
        num_objects=len(truth.objects),
        num_objects_right=right,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
