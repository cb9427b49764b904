"""Simplification: a placeholder's words down to the one that names its object.

Two rules. `last_word` is the paper's; `head_noun` reads a little English, so that "a bottle of
water" is a bottle and not water. Both leave what they gave as it is when they are applied again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from taskgrain.labels.template import words_of

# Cyrillic letters, and the Latin ones that they look like, in the same order.
_CYRILLIC_TWINS = (
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0405\u0406"
    "\u0408\u0430\u0435\u043a\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458\u04bb\u0501"
)
_LATIN_TWINS = "ABEKMHOPCTYXSIJaekopcyxsijhd"
_TO_LATIN = str.maketrans(_CYRILLIC_TWINS, _LATIN_TWINS)
_LATIN_LETTER = re.compile(r"[A-Za-z]")
_CYRILLIC_LETTER = re.compile(r"[\u0400-\u052f]")
_LETTERS = re.compile(r"[^\W_]+")

_BREAK = re.compile(r"[,;:/()\[\]&+]|\s[-\u2013\u2014]\s|\.\s")
_PAUSE = ","  # stands between the words of two phrases


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_DETERMINERS = _set(
    "a an the this that these those my your his her its our their some any no each every all both "
    "another other several many few more most half one two three four five six seven eight nine "
    "ten eleven twelve thirteen fifteen twenty thirty forty fifty hundred dozen"
)
# What begins the description of a noun from behind; participles are known by their endings too.
_DESCRIBING = _set(
    "about above across after against along among around as at before behind below beneath beside "
    "besides between beyond by down for from in inside into like near next of off on onto out "
    "outside over past per through to toward towards under underneath until up upon upside via "
    "with within without away which who whom whose where when while is are was were be been being "
    "has have had cannot can't could would does do did not isn't doesn't don't so because but "
    "filled made kept lying laying standing sitting hanging holding containing having carrying "
    "wearing covering including showing supporting touching stuck tied covered attached placed put"
)
_CONJUNCTIONS = _set("and or")
_ADJECTIVES = _set(
    "red green blue yellow orange purple violet pink brown black white grey gray silver golden "
    "beige turquoise colored coloured colorful colourful dark bright big small large little tiny "
    "huge long short tall high low wide narrow thin thick deep heavy round square flat curved "
    "sharp old new used empty full open opened closed broken whole hot cold warm cool wet dry "
    "dirty clean soft hard stiff flexible smooth rough left right upper lower upright similar same "
    "different identical various single double transparent clear plastic wooden metal certain "
    "unbendable tearable unknown alone available"
)
_NO_NOUNS = _DESCRIBING | _DETERMINERS | _CONJUNCTIONS | {_PAUSE}
_PRONOUNS = _set("something anything nothing everything someone somebody anyone anybody somewhere")
# Words that count, portion or gather give way to what they are of: "a sheet of paper" is paper.
# A container or a part is a thing of its own: "a bottle of water" is a bottle.
_MEASURES = _set(
    "lot lots couple number amount plenty pair pairs kind kinds type types sort sorts variety "
    "piece pieces bit bits slice slices sheet sheets strip strips chunk chunks lump lumps block "
    "blocks bar bars loaf roll rolls scrap scraps crumb crumbs drop drops bunch bunches set sets "
    "stack stacks pile piles heap heaps group groups bundle bundles row rows collection deck "
    "handful handfuls"
)
# What ends like a participle; behind a noun all else is one: "phone charging", "cup covered".
_NO_PARTICIPLES = _set(
    "ring earring string spring thing things king wing swing sling building painting drawing "
    "ceiling clothing pudding wrapping stocking railing bearing bedding bowling casing coating "
    "cutting dressing dumpling earing evening fitting filling flooring frosting icing "
    "lettering lighting lightning lining morning packing parking piping plating "
    "seasoning shaving stuffing topping tubing wedding wiring writing bed seed shed sled weed reed "
    "feed speed breed"
)


def last_word(placeholder: str) -> str:
    """Simplify a placeholder to its last word (the paper's rule): "a small red cup" -> "cup"."""
    words = words_of(placeholder)
    return words[-1] if words else placeholder


@lru_cache(maxsize=16_384)  # the 220,847 clips of Something-Something have some 10,000 of them
def head_noun(placeholder: str) -> str:
    """Simplify a placeholder to the noun that it is about: "a bottle of water" -> "bottle".

    It is the last noun before what describes it from behind ("of water", "with a lid", "containing
    pens", "that is full"); of things joined by "and" the first. What a measure is of stands for it
    ("two pieces of paper" and "a sheet of paper" are paper, "a bunch of keys" keys): a word that
    counts, portions or gathers. A container or a part stands for itself. A plural stays one.
    Letters that only look Latin become Latin. Where no noun is found it is the last adjective or
    the last word; without any word, the placeholder itself.
    """
    words = _words(placeholder)
    noun = otherwise = ""
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if word in _ADJECTIVES:
            otherwise = word
        elif word == "of" and noun in _MEASURES:
            noun, otherwise = "", noun
        elif _is_noun(word, following, is_first=not noun):
            noun = word
            if word in _PRONOUNS:  # "something soft": an adjective follows its pronoun
                break
        elif noun or (otherwise and _ends_adjectives(word, following)):
            break
    said = [word for word in words if word != _PAUSE]
    return noun or otherwise or (said[-1] if said else placeholder)


SIMPLIFICATIONS: dict[str, Callable[[str], str]] = {"last-word": last_word, "head-noun": head_noun}
"""The named rules: each from a placeholder to one word of it."""


def latin(text: str) -> str:
    """Write letters that only look Latin as Latin: of full width, or Cyrillic in a Latin word."""
    if text.isascii():
        return text
    return _LETTERS.sub(lambda match: _latin_word(match[0]), unicodedata.normalize("NFKC", text))


def _latin_word(word: str) -> str:
    written = word.translate(_TO_LATIN)
    is_latin = _LATIN_LETTER.search(word) and not _CYRILLIC_LETTER.search(written)
    return written if is_latin else word


def _words(placeholder: str) -> list[str]:
    """Split into lower-case words, with a pause wherever punctuation parts two phrases."""
    # Again after lower case: it brings letters of its own, which may look Latin too.
    text = latin(latin(placeholder).lower())
    words: list[str] = []
    for phrase in _BREAK.split(text):
        said = words_of(phrase)
        if words and said:
            words.append(_PAUSE)
        words += said
    return words


def _ends_adjectives(word: str, following: str) -> bool:
    """Whether a word shows that the adjectives before it were all: "an orange on the table"."""
    # "red and blue ball" goes on, "orange and apple" does not.
    return word in _DESCRIBING or (word in _CONJUNCTIONS and following not in _ADJECTIVES)


def _is_noun(word: str, following: str, *, is_first: bool) -> bool:
    """Whether a word that is no adjective can be a noun; `is_first` where none came before."""
    if word == "one":  # "the one on the left", but not "one cup" or "one of the cups"
        return not following or (following in _DESCRIBING and following != "of")
    if word in _DETERMINERS or word in _DESCRIBING or word in _CONJUNCTIONS or word == _PAUSE:
        return False
    if word[0].isdigit() or word.endswith("'s"):
        return False
    is_participle = word.endswith(("ing", "ed")) and word not in _NO_PARTICIPLES
    is_compound = bool(following) and following not in _NO_NOUNS  # "phone charging cable"
    return is_first or not is_participle or is_compound
