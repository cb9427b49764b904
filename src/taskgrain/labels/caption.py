"""The forms of a caption: its template alone, with simplified objects, or in full.

Two rules simplify an object to one word. `last_word` is the paper's; `head_noun` reads a little
English, so that "a bottle of water" is a bottle and not water. Applying either rule to its own
result changes nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

from taskgrain.labels.template import fill, placeholder_count, strip_brackets, words_of

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
_APOSTROPHES = str.maketrans(dict.fromkeys("`\u00b4\u2018\u2019\u02bc", "'"))
_INITIALS = re.compile(r"(?<![^\W_])[^\W\d_](?:\.[^\W\d_])+(?![^\W_])\.?")  # "t.v."
_SHORTENED = re.compile(r"\b(mrs?|ms|drs?|prof|st|mt|jr|sr|nos?|vs|inc|co|ltd|max|min)\.")
_HYPHENED = re.compile(r"(?<![^\W_])[^\W_]++(?:'[^\W_]++)*+(?:[-\u2010\u2011][^\W_]++)++")
_HYPHEN = re.compile("[-\u2010\u2011]")


def word_set(words: str) -> frozenset[str]:
    """Return the words of a text, which spaces part."""
    return frozenset(words.split())


_DETERMINERS = word_set(
    "a an the this that these those my your his her its our their some any no each every all both "
    "another other several many few more most half one two three four five six seven eight nine "
    "ten eleven twelve thirteen fifteen twenty thirty forty fifty hundred dozen"
)
# What begins the description of a noun from behind; participles are known by their endings too.
_DESCRIBING = word_set(
    "about above across after against along among around as at before behind below beneath beside "
    "besides between beyond by down for from in inside into like near next of off on onto out "
    "outside over past per through to toward towards under underneath until up upon upside via "
    "with within without away which who whom whose where when while is are was were be been being "
    "has have had cannot can't could would does do did not isn't doesn't don't so because but "
    "filled made kept lying laying standing sitting hanging holding containing having carrying "
    "wearing covering including showing supporting touching stuck tied covered attached placed put"
)
_CONJUNCTIONS = word_set("and or")
_ADJECTIVES = word_set(
    "red green blue yellow orange purple violet pink brown black white grey gray silver golden "
    "beige turquoise colored coloured colorful colourful dark bright big small large little tiny "
    "huge long short tall high low wide narrow thin thick deep heavy round square flat curved "
    "sharp old new used empty full open opened closed broken whole hot cold warm cool wet dry "
    "dirty clean soft hard stiff flexible smooth rough left right upper lower upright similar same "
    "different identical various single double transparent clear plastic wooden metal certain "
    "unbendable tearable unknown alone available"
)
_NO_NOUNS = _DESCRIBING | _DETERMINERS | _CONJUNCTIONS | {_PAUSE}
_PRONOUNS = word_set(
    "something anything nothing everything someone somebody anyone anybody somewhere"
)
# Words that count, portion or gather give way to what they are of: "a sheet of paper" is paper.
# A container or a part is a thing of its own: "a bottle of water" is a bottle.
_MEASURES = word_set(
    "lot lots couple number amount plenty pair pairs kind kinds type types sort sorts variety "
    "piece pieces bit bits slice slices sheet sheets strip strips chunk chunks lump lumps block "
    "blocks bar bars loaf roll rolls scrap scraps crumb crumbs drop drops bunch bunches set sets "
    "stack stacks pile piles heap heaps group groups bundle bundles row rows collection deck "
    "handful handfuls"
)
# What ends like a participle; behind a noun all else is one: "phone charging", "cup covered".
_NO_PARTICIPLES = word_set(
    "ring earring string spring thing things king wing swing sling building painting drawing "
    "ceiling clothing pudding wrapping stocking railing bearing bedding bowling casing coating "
    "cutting dressing dumpling earing evening fitting filling flooring frosting icing "
    "lettering lighting lightning lining morning packing parking piping plating "
    "seasoning shaving stuffing topping tubing wedding wiring writing bed seed shed sled weed reed "
    "feed speed breed "
    "backing batting beading binding braiding bunting cabling cladding clipping coupling crossing "
    "decking edging engraving etching fencing footing framing grating herring housing knitting "
    "lacing landing matting molding moulding mounting netting opening packaging padding paving "
    "peeling planting plumbing printing quilting rigging roofing seating setting shelving siding "
    "skirting stitching strapping tiling tracing trimming webbing weighting darling duckling "
    "gosling offspring plaything sapling seedling sibling starling tweed need deed moped biped"
)
# What ends so is a thing too: "drawstring", "keyring", "flatbed", "birdseed".
_THING_ENDINGS = ("string", "keyring", "bed", "seed", "shed", "sled", "weed", "reed")
# What begins no action, though a thing may follow: "something the size of a cup".
_NO_ACTIONS = _PRONOUNS | word_set("thing string ring king spring wing earring")
_SWITCHING = (["turning", "on"], ["switching", "on"], ["putting", "on"])
_PARTICLES = word_set("up down out off over apart together away")
# What is a verb before a particle and a thing: "pop up book", "pull out drawer".
_VERBS = word_set(
    "pop pull push fold wind roll step stand sit make clip plug build built lift pick pin punch "
    "press lay take tear cut see walk wrap pump check sign blow stick screw snap slip turn flip"
)


def last_word(placeholder: str) -> str:
    """Simplify a placeholder to its last word (the paper's rule): "a small red cup" -> "cup"."""
    words = words_of(placeholder)
    return words[-1] if words else placeholder


# The last word alone is wrong for 39 of 200 phrases of our own, this rule for none of them, and for
# 4 of 50 that were written afterwards (docs/log.md, "Benchmarks").
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
    start = _end_of_action(words)
    noun = otherwise = ""
    for word, following in zip(words[start:], [*words[start + 1 :], ""], strict=False):
        if word in _ADJECTIVES:
            otherwise = word
        elif word == "of" and noun in _MEASURES:
            noun, otherwise = "", noun
        elif word[0].isdigit():  # "size 8 boots", "iphone 6"
            continue
        elif _is_noun(word, following, is_first=not noun):
            noun = word
            if word in _PRONOUNS:  # "something soft": an adjective follows its pronoun
                break
        elif (noun in _VERBS or noun.endswith("ed")) and word in _PARTICLES and following:
            if following in _NO_NOUNS:
                break
            continue  # "pop up book", "folded up newspaper"
        elif noun or (otherwise and _ends_adjectives(word, following)):
            break
    spoken = [word for word in words if word != _PAUSE]
    return noun or otherwise or (spoken[-1] if spoken else placeholder)


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
    text = latin(latin(placeholder).lower()).translate(_APOSTROPHES)
    if "." in text:
        text = _INITIALS.sub(lambda match: match[0].replace(".", ""), text)
        text = _SHORTENED.sub(r"\1", text)
    text = _HYPHENED.sub(_parts_of_a_compound, text)
    words: list[str] = []
    for phrase in _BREAK.split(text):
        spoken = words_of(phrase)
        if words and spoken:
            words.append(_PAUSE)
        words += spoken
    return words


def _parts_of_a_compound(match: re.Match[str]) -> str:
    """Write a word with hyphens as those of its parts that can name it: "pop-up" as "pop"."""
    parts = _HYPHEN.split(match[0])
    while len(parts) > 1 and parts[0] in _NO_NOUNS:  # "over-ear", "two-sided"
        parts.pop(0)
    end = next((n for n, part in enumerate(parts) if n and part in _NO_NOUNS), len(parts))
    return " ".join(parts[:end])  # "mother-in-law" is a mother


def _end_of_action(words: Sequence[str]) -> int:
    """Count the words of an action that stands before its thing: 1 in "spinning a key"."""
    if len(words) < 2 or not words[0].endswith("ing") or words[0] in _NO_ACTIONS:
        return 0
    has_particle = words[1] in _PARTICLES or words[:2] in _SWITCHING
    end = 2 if has_particle and len(words) > 2 else 1
    return end if words[end] in _DETERMINERS else 0


def _ends_adjectives(word: str, following: str) -> bool:
    """Whether a word shows that the adjectives before it were all: "an orange on the table"."""
    # "red and blue ball" goes on, "orange and apple" does not.
    return word in _DESCRIBING or (word in _CONJUNCTIONS and following not in _ADJECTIVES)


def _is_noun(word: str, following: str, *, is_first: bool) -> bool:
    """Whether a word that is no adjective can be a noun; `is_first` where none came before."""
    if word == "one":  # "the one on the left", but not "one cup" or "one of the cups"
        return not following or (following in _DESCRIBING and following != "of")
    if word == "covering" and not following and not is_first:  # "floor covering"
        return True
    if word in _NO_NOUNS or word.endswith("'s"):
        return False
    if word.endswith("ing") and not is_first and following in _DETERMINERS:
        return word in _NO_ACTIONS  # "a person opening a door"
    is_thing = word in _NO_PARTICIPLES or word.endswith(_THING_ENDINGS)
    is_participle = word.endswith(("ing", "ed")) and not is_thing
    is_compound = bool(following) and following not in _NO_NOUNS  # "phone charging cable"
    return is_first or not is_participle or is_compound


CaptionForm = Literal["template", "simplified", "simplified-head-noun", "full"]
CAPTION_FORMS: tuple[CaptionForm, ...] = ("template", "simplified", "simplified-head-noun", "full")
_RULES: dict[CaptionForm, Callable[[str], str]] = {
    "simplified": last_word,
    "simplified-head-noun": head_noun,
}


def caption_of(template: str, placeholders: Sequence[str], form: CaptionForm) -> str:
    """Write a clip's caption in one of the forms, lower case.

    Args:
        template: with brackets, "Pushing [something]".
        placeholders: what fills each bracket.
        form: "template" leaves the placeholders' own words out ("pushing something"),
            "simplified" keeps the last word of each (the paper's rule), "simplified-head-noun" the
            noun that each is about, "full" all of them.

    Raises:
        ValueError: if the template has another number of brackets ("template" asks for none).
    """
    if form == "template":
        return strip_brackets(template).lower()
    return fill(template, objects_of(placeholders, form))


def objects_of(placeholders: Sequence[str], form: CaptionForm) -> tuple[str, ...]:
    """Write the objects of a caption in one of the forms; () for "template"."""
    if form == "template":
        return ()
    rule = _RULES.get(form)
    return tuple(placeholders) if rule is None else tuple(map(rule, placeholders))


def captions_as(
    form: CaptionForm, template: str, placeholders: Sequence[str], captions: Sequence[str]
) -> tuple[str, ...]:
    """Write all captions of a clip in a form; the annotators' own words where it is full.

    Raises:
        ValueError: as `caption_of`.
    """
    return tuple(captions) if form == "full" else (caption_of(template, placeholders, form),)


def is_free(template: str, caption: str) -> bool:
    """Whether a clip's caption is a sentence of its own: its template has no brackets to fill.

    Such a caption has the form "full" alone; its category is no part of its words.
    """
    return not placeholder_count(template) and words_of(caption) != words_of(template)
