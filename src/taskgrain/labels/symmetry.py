"""A clip's label under mirroring.

Mirroring swaps left and right in the category *and* in the words of its caption; it is refused
where the mirror image of a word cannot be known. Mirroring twice gives the label back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from taskgrain.errors import MAX_PROBLEMS_SHOWN, TaxonomyError, list_problems, nearest
from taskgrain.labels.directions import (
    has_unknown_word,
    is_understood,
    other_side,
    replace_words,
    sides_of,
    swap_sides,
)
from taskgrain.labels.ssv2 import load_packaged, strings
from taskgrain.labels.template import (
    fill,
    fixed_parts,
    placeholder_names,
    strip_brackets,
    word_spans,
    words_of,
)


def _packaged() -> Mapping[str, str]:
    """Read the packaged table: the categories that change, and those that stay as they are."""
    packaged = load_packaged("mirror.json")
    kept = packaged["keep"]
    assert isinstance(kept, list)
    return MappingProxyType(
        {**strings(packaged["swap"]), **{str(name): str(name) for name in kept}}
    )


SSV2_MIRROR: Mapping[str, str] = _packaged()
"""Category -> category of its mirror image, mostly itself; two categories have none."""


@dataclass(frozen=True, slots=True)
class MirroredLabel:
    """What the mirror image of a clip is called."""

    template: str  # with brackets
    placeholders: tuple[str, ...]
    captions: tuple[str, ...]


# Clips that were mirrored under their old label cost earlier systems accuracy, and none of them
# rewrote a caption. So template, objects and captions change together, and a label that is not
# surely understood is not mirrored at all.
def mirror(
    template: str,
    placeholders: Sequence[str],
    captions: Sequence[str],
    table: Mapping[str, str],
    *,
    templates: Mapping[str, str] | None = None,
) -> MirroredLabel | None:
    """Label the mirror image of a clip; None where its label cannot be known.

    Left becomes right in the template, the placeholders and the captions, in every word made of
    them ("leftmost", "rightwards", "left-hand"), and keeps its case. It is refused for a category
    that the table lacks, for words whose image is unknown ("clockwise", "left over", "right
    angle", a "left" that may be a verb), and for a caption that contradicts its template. Words
    are read as English. Mirroring what it gives returns what it was given.

    Args:
        template: with brackets, "Pushing [something] from left to right".
        placeholders: what fills each bracket.
        captions: as they were annotated, any number.
        table: category -> category of its mirror image; see `check_mirror_table`.
        templates: category -> its template, for images that the table alone knows ("Turning
            [something] clockwise" -> "Turning [something] anticlockwise"): they are refused where
            it has brackets and this lacks it. The placeholders keep their order; of the captions
            those in the words of the template can be mirrored then.

    Raises:
        ValueError: if the template has another number of brackets.
    """
    label = MirroredLabel(template, tuple(placeholders), tuple(captions))
    image = _image(label, table, templates or {})
    # What does not come back was not understood: odd case, a table that is no involution.
    if image is None or _image(image, table, templates or {}) != label:
        return None
    return image


def check_mirror_table(table: Mapping[str, str], *, where: str) -> None:
    """Check a mirror table of the user's own: category -> category.

    Args:
        table: a category that mirroring leaves as it is is its own image.
        where: the file or setting it comes from, for the text of an error.

    Raises:
        TaxonomyError: naming every category whose image is not mirrored back to it, up to ten.
    """
    problems: list[str] = []
    for category, image in table.items():
        back = table.get(image)
        if back == category:
            continue
        if back is not None:
            fault = f"that is mirrored to {back!r}"
        else:  # looking for the nearest name takes milliseconds, and ten problems are shown
            close = nearest(image, table) if len(problems) < MAX_PROBLEMS_SHOWN else ""
            fault = f"the table does not have that{close}"
        problems.append(
            f"{where}: {category!r} is mirrored to {image!r}, but {fault}; expected "
            f"{image!r} = {category!r}"
        )
    if problems:
        raise TaxonomyError(list_problems(problems))


def _image(
    label: MirroredLabel, table: Mapping[str, str], templates: Mapping[str, str]
) -> MirroredLabel | None:
    category = strip_brackets(label.template)
    target = table.get(category)
    if target is None:
        return None
    template = _towards(label.template, category, target, templates.get(target, target))
    if template is None:
        return None
    placeholders: list[str] = []
    for placeholder in label.placeholders:
        if not is_understood(placeholder):
            return None
        placeholders.append(swap_sides(placeholder))
    before, after = fill(label.template, label.placeholders), fill(template, placeholders)
    captions: list[str] = []
    for caption in label.captions:
        if caption == before:
            captions.append(after)
            continue
        mirrored = _caption_image(caption, (before, after), (label.template, template))
        if mirrored is None:
            return None
        captions.append(mirrored)
    return MirroredLabel(template, tuple(placeholders), tuple(captions))


@lru_cache(maxsize=1024)
def _towards(template: str, category: str, target: str, target_template: str) -> str | None:
    """Write the template of the category `target`; None where that is not known.

    `target_template` is its template in the dataset; by the table alone, the category.
    """
    if target == category and has_unknown_word(words_of(category)):
        return None
    swapped = swap_sides(template)
    if strip_brackets(swapped) == target:
        return swapped
    if target == category:
        return None  # "left" that stays left
    names, others = placeholder_names(template), placeholder_names(target_template)
    # One placeholder is the other; of several only equal names tell that their order is kept.
    is_same = len(names) == len(others) and (len(names) <= 1 or names == others)
    return target_template if is_same else None


Pair = tuple[str, str]  # a text before and after mirroring


def _caption_image(caption: str, filled: Pair, templates: Pair) -> str | None:
    """Mirror one caption, given its template, filled and with brackets."""
    old, new, words = words_of(filled[0]), words_of(filled[1]), words_of(caption)
    # Word for word the filled template: each word of the image takes the place of its own.
    if words == old:  # but for its case and punctuation
        is_in_step = len(old) == len(new) == len(word_spans(caption))
        return replace_words(caption, new) if is_in_step else None
    return swap_sides(caption) if _is_free_but_clear(caption, sides_of(old), templates) else None


def _is_free_but_clear(caption: str, filled_sides: Sequence[str], templates: Pair) -> bool:
    """Whether a caption in other words than its template's says the same of left and right.

    `filled_sides` are those that the filled template says, placeholders included.
    """
    # A word by which the template and its image differ is a side ("left"), or known to the table
    # alone ("clockwise"); only sides can be mirrored in other words than the template's.
    words = words_of(caption)
    own, of_image = map(_own_words, templates)
    changed = {*own} ^ {*of_image}
    if any(word in changed and not sides_of([word]) for word in words):
        return False  # a word that only the table knows how to mirror
    sides, own_sides = sides_of(words), sides_of(own)
    if own_sides and sides and sides != filled_sides:
        # The caption names other sides than the filled template. It is kept where it holds the
        # template's own and not the reverse: otherwise one of the two is an annotator's slip.
        opposite = tuple(map(other_side, own_sides))
        if not _contains(sides, own_sides) or _contains(sides, opposite):
            return False
    return is_understood(caption)


def _own_words(template: str) -> tuple[str, ...]:
    return tuple(word for part in fixed_parts(template) for word in words_of(part))


def _contains(sequence: Sequence[str], run: Sequence[str]) -> bool:
    length = len(run)
    return any(
        tuple(sequence[start : start + length]) == tuple(run)
        for start in range(len(sequence) - length + 1)
    )
