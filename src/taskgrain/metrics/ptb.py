"""Words as coco-caption sees them: the tokens of the Penn Treebank, lower case, no punctuation.

Written from what Stanford's PTBTokenizer 3.4.1 does with captions, so that no Java is needed. Where
it leaves a mark that coco-caption does not drop ("-lrb-" for a bracket, "?!"), so does this. What
stays different is listed in docs/commands.md. The kinds of a token stand in the order in which they
are tried.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

# Words that keep their full stop anywhere, those that keep it only where they begin with a
# capital, and those that keep it before a number.
_ABBREVIATION = (
    "adj|adv|al|apr|assoc|assn|asst|atty|aug|ave|bldg|blvd|bros|capt|cf|cie|cmdr|co|col|comdr|"
    "corp|cpl|ct|dec|dept|dr|drs|esq|est|etc|ext|feb|fri|ft|gen|gov|hon|inc|ind|insp|intl|jan|jr|"
    "jul|jun|lieut|lt|ltd|maj|mar|messrs|mfg|mlle|mme|mo|mon|mr|mrs|ms|msgr|mt|mtg|natl|nov|oct|"
    r"pfc|ph|ph\.d|plc|pres|prof|pvt|rd|rep|reps|rev|rt|sen|sens|sep|sept|seq|sgt|sq|sr|st|ste|"
    "supt|sys|tel|thurs|thu|treas|tue|tues|univ|va|vs|wed|wm|adm|pty|cos|bancorp|invt|"
    "ala|ariz|calif|colo|conn|dak|fla|ga|kans?|ky|md|mich|minn|mont|neb|nev|okla|penn|tenn|vt|"
    "wisc?|wyo"
)
_STATES = ("Az", "Ark", "Del", "Ill", "La", "Mass", "Miss", "Ore", "Pa", "Tex", "Wash")
_CAPITALISED = "|".join(form for name in _STATES for form in (name, name.upper()))
_NUMBERED = "art|ca|figs?|nos?|op|pp|prop"
# Words that begin a sentence, so that a single letter's full stop before them ends one.
_STARTERS = (
    "A|An|The|This|That|These|There|Here|He|She|It|We|They|You|Her|Their|Our|In|At|As|But|If|So|"
    "Then|When|While|What|One|Some|Many|Other|After|Since|However|Now|Last|Once|About|Such|More|Yet"
)

# Characters that the tokenizer does not know: formats and joiners, variation selectors, most
# currencies, CJK punctuation and compatibility forms.
DROPPED_CHARACTERS = re.compile(
    "[\u200b-\u200f\u202a-\u202e\u2043\u2045-\u2051\u2053-\u205e\u2060-\u206f\u203c\u203d"
    "\u20a1-\u20a3\u20a5-\u20ab\u20ad-\u20c0\u20d0-\u20ff\u2152\u215f-\u2189\u2024\u2025\u2027"
    "\u2e80-\u2fff\u3003\u3004\u3007-\u3011\u3013-\u3030\u3036-\u303f\u3099-\u309c\u3190-\u319f"
    "\u3200-\u33ff\ufe00-\ufe6f\ufeff\uffe2-\uffe4\uffe8-\uffff\U00010000-\U0010ffff]"
)

_SUPERSCRIPTS = "\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089"
_FRACTIONS = "\u00bc-\u00be\u2153-\u215e"
_CIRCLED = "\u2460-\u249b\u24ea-\u24ff\u2776-\u2793"
_MARKS = "\u02c2-\u036f" + "".join(  # what combines with a letter, and is none for `re`
    chr(code) for code in range(0x370, 0x1000) if unicodedata.category(chr(code))[0] == "M"
)
_LETTER = rf"[^\W\d_{_SUPERSCRIPTS}{_FRACTIONS}{_CIRCLED}]"
_ALNUM = rf"[^\W_{_SUPERSCRIPTS}{_FRACTIONS}{_CIRCLED}]"
_RUN = rf"(?:{_ALNUM}+(?:[{_MARKS}]++{_ALNUM}*)*|(?:[{_MARKS}]++{_ALNUM}*)+)"
_PART = rf"{_RUN}(?:_{_RUN})*"  # "under_score", but not "double__score"
_HYPHEN = "[-\u2010\u2011]"
_QUOTE = "['\u2019]"
_ANY_QUOTE = "['\u2019\u2018`]"
_HYPHENED = rf"{_PART}(?:{_HYPHEN}(?:(?i:o){_QUOTE})?{_PART})*"
_STROKE = r"\\?/"

_PATH = r"[^\s\"<>|()]+[^\s\"<>|.!?(){},-]"

_ADDRESSES = (
    r"</?[a-zA-Z][^<>\s]*>",
    r"&(?:(?i:amp|lt|gt|quot|apos|nbsp)|[aeiouAEIOU](?:acute|grave|uml)|#\d+);",
    rf"(?i:https?)://{_PATH}",
    rf"www\.(?:[^\s\"<>|().]+\.)+[a-zA-Z]{{2,4}}(?:/{_PATH}|(?!\w))",
    rf"(?:[a-zA-Z0-9][\w-]*\.)+(?:com|net|org|edu)/{_PATH}",
    r"[a-zA-Z0-9][^\s\"<>|()@]*@(?:[^\s\"<>|().]+\.)*[^\s\"<>|().]+",
)
_SMILEYS = (
    r"[<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]](?!\w)",
    r"\([-^x=~<>'][_.]?[-^x=~<>']\)|[-^x=~<>']_[-^x=~<>'](?!\w)",
)
_NUMBERS = (
    # A telephone number with a space or a bracket in it; others are words with hyphens.
    r"\+{0,2}(?=\(|[\d-]*[ \u00a0])"
    r"(?:\(\d{2,3}\)[ \u00a0]?|(?:\d{2,4}[- \u00a0])?\d{2,4}[- \u00a0])"
    r"\d{3,4}[- \u00a0]?\d{3,5}",
    r"\d{1,4}[- \u00a0]\d{1,4}(?:\\?/|\u2044)\d{1,4}",  # a mixed fraction
    r"\d{1,2}[-/]\d{1,2}[-/]\d{2,4}(?!\w)",
    r"\d{1,4}\u2044\d{1,4}",
)
_DECIMALS = r"[-+]?\d*(?:[.,:]\d+)+|[-+]\d+(?!\w)"
_APOSTROPHES = (
    rf"{_QUOTE}[nN]{_QUOTE}|{_QUOTE}[nN](?=\s|$)",
    rf"(?i:{_QUOTE}(?:em|til|cause)(?!\w))|'\d0[sS]|{_QUOTE}\d\d(?=\s|$)",
    rf"(?i:{_QUOTE}t(?=(?:is|was)(?:n{_QUOTE}t)?(?!\w)))",
    rf"(?i:n{_ANY_QUOTE}t){_LETTER}*(?!\w)",
    rf"(?i:{_QUOTE}(?:s|m|d|re|ve|ll)(?!\w))",
    rf"(?i:y{_QUOTE}(?=all(?!\w)|know(?!\w)))",
    rf"(?i:(?:o{_QUOTE}clock|ol{_QUOTE}|ma{_QUOTE}am|c{_QUOTE}mon|ne{_QUOTE}er|e{_QUOTE}er"
    rf"|li{_QUOTE}l|ev{_QUOTE}ry|nat{_QUOTE}l|cap{_QUOTE}n|nor{_QUOTE}easter|hallowe{_QUOTE}en"
    rf"|s{_QUOTE}mores|c{_QUOTE}est|[odln]{_QUOTE}{_LETTER}{{2,}})(?!\w))",
    rf"{_LETTER}+?(?=(?i:n{_ANY_QUOTE}t){_LETTER}*(?!\w))",
)
_STOPS = (  # words with a full stop of their own
    # With a hyphen behind it: "u.s.-based", "1.5-liter", "inc.-owned".
    rf"(?=[\w.,]{{1,40}}{_HYPHEN})(?:(?:{_LETTER}\.){{2,}}|\d+(?:[.,]\d+)+|[a-zA-Z0-9](?:\.[a-zA-Z0-9])+"
    rf"|(?i:{_ABBREVIATION}|{_NUMBERED})\.)(?:{_HYPHEN}{_PART})+",
    rf"{_PART}(?:{_HYPHEN}{_PART})*{_HYPHEN}(?:{_LETTER}\.){{2,}}(?!\w)",
    rf"(?:{_LETTER}\.)+{_LETTER}(?![\w.])|(?:{_LETTER}\.){{2,}}(?!\w)",
    rf"[a-zA-Z]\.(?!{_LETTER})(?!\s+(?:{_STARTERS}|{_STARTERS.upper()})\s)"
    r"(?!\s+</?[a-zA-Z])",
    rf"(?:(?i:{_ABBREVIATION})|{_CAPITALISED})\.(?!{_LETTER})",
    rf"(?i:{_NUMBERED})\.(?=\s*\d)",
)
_WORDS = (
    r"[A-Z]{1,3}\$|[cC]\+\+|[cCfF]#",
    rf"{_LETTER}{_ALNUM}*(?:[.?!]{_LETTER}{_ALNUM}*)+(?:-\w+)*\.(?=[,;:])",
    rf"{_LETTER}{_ALNUM}*(?:[.?!]{_LETTER}{_ALNUM}*)+(?:-\w+)*(?!\w)",  # taken for an address
    r"(?i:w/o(?!\w)|-[lr][rcs]b-)|[A-Z]+&[A-Z]+(?!\w)",
    rf"{_PART}(?:{_HYPHEN}{_PART})*\.(?=[,;:])",
    rf"{_HYPHENED}(?:{_STROKE}{_HYPHENED}){{0,2}}",
)
_MARKS_ALONE = (
    rf"#{_LETTER}+|@[a-zA-Z_]\w*",
    rf"[{_SUPERSCRIPTS}]+",
    r"\.{3,}|[?!]+|-+|``|''|<<|>>|\\\*|\*+|__+|##+|@@+|\S",
)
_PLAIN_WORD = r"[a-zA-Z]++(?=[ \n]|$)"  # most of them; nothing that follows can join it
_KINDS = (
    *(_PLAIN_WORD, *_ADDRESSES, *_NUMBERS, *_SMILEYS, *_APOSTROPHES, *_STOPS),
    *(_DECIMALS, *_WORDS, *_MARKS_ALONE),
)
TOKEN = re.compile("|".join(_KINDS))
"""Finds one token after the other; case matters, and white space is skipped."""


# What coco-caption drops, and every kind of quote and dash that becomes one of it.
_DROPPED = frozenset("'`.?!,:-;\"") | frozenset(("''", "``", "--", "..."))
_DROPPED |= frozenset("\u201c\u201d\u2018\u2019\u201b\u00ab\u00bb\u2039\u203a")
_DROPPED |= frozenset("\u2010\u2011\u2012\u2013\u2014\u2015\u2026")
_WRITTEN = {
    **{"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"},
    **{"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": "''", "&apos;": "'", "&nbsp;": "''"},
    **{"£": "#", "€": "$", "\u00a4": "$", "\u20a0": "$", "¢": "cents"},
    **{"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"},
}
_PARTS = {
    "cannot": ("can", "not"),
    "gonna": ("gon", "na"),
    "gotta": ("got", "ta"),
    "wanna": ("wan", "na"),
    "lemme": ("lem", "me"),
    "gimme": ("gim", "me"),
}
# Letters, and numbers that are no part of a longer one with spaces in it ("1 000 000").
_PLAIN = re.compile(r"(?:[a-zA-Z ]++|[0-9]++(?! [0-9]))*+")
_SOFT_HYPHEN = "\u00ad"
_SPACE_INSIDE = "\u00a0"  # how PTB writes a space within a word
# A caption whose last words depend on what follows it: "plan A." and "no." do.
_LEANING = re.compile(r"(?:^|[^a-zA-Z])[a-zA-Z]{1,4}\.\s*$")
_FIRST_WORD = re.compile(r"\s*\S+(?:\s|$)")


def ptb_words(caption: str, *, following: str = "") -> tuple[str, ...]:
    """Split a caption into words as coco-caption does before it scores.

    Contractions are split ("doesn't" -> "does", "n't"), words with hyphens stay whole, quotes and
    punctuation are dropped, brackets become "-lrb-" and "-rrb-", a tag such as "<unk>" stays one.
    A mixed fraction or a telephone number is one word, with no-break spaces (U+00A0) inside.

    Args:
        caption: of any length; line feeds are spaces.
        following: the caption on the next line of coco-caption's file, which shows whether a last
            "A." ends a sentence.
    """
    # Most captions are letters and spaces alone, which none of the patterns splits.
    if _PLAIN.fullmatch(caption):
        words = caption.lower().split()
        if _PARTS.keys().isdisjoint(words):
            return tuple(words)
    text = _prepared(caption)
    end = len(text)
    # The next caption decides only whether a last full stop is kept; its tokens are not ours.
    if following:
        text = f"{text}\n{_prepared(following)}"
    tokens = (match[0] for match in TOKEN.finditer(text) if match.start() < end)
    return tuple(part for token in tokens for part in _parts(token) if part not in _DROPPED)


def ptb_words_of_all(captions: Iterable[str]) -> list[tuple[str, ...]]:
    """Split captions that coco-caption would write into one file, in this order.

    Only a caption that ends as "plan A." does is split otherwise than by itself: where the next one
    begins with a word such as "The", its full stop ends a sentence and is dropped.
    """
    captions = list(captions)
    return [
        _cached_words(caption, _first_word(following) if _LEANING.search(caption) else "")
        for caption, following in zip(captions, [*captions[1:], ""], strict=False)
    ]


@lru_cache(maxsize=1 << 17)
def _cached_words(caption: str, following: str) -> tuple[str, ...]:
    return ptb_words(caption, following=following)


def _first_word(caption: str) -> str:
    """Return a caption's first word, with a space behind it where there is one."""
    match = _FIRST_WORD.match(caption)
    return match[0] if match else ""


def _prepared(caption: str) -> str:
    """Replace what the tokenizer does not know by spaces; a soft hyphen by nothing."""
    caption = caption.replace("\n", " ")
    if caption.isascii():
        return caption
    return DROPPED_CHARACTERS.sub(" ", caption.replace(_SOFT_HYPHEN, ""))


def _parts(token: str) -> tuple[str, ...]:
    """Write one token as PTB does; some words are two."""
    token = token.lower()
    if token in _PARTS:
        return _PARTS[token]
    if token.startswith("..."):
        return ("...",)
    if token.strip("-") == "":
        return ("--",)
    # PTB writes every suffix with the plain apostrophe, whichever the caption has.
    if token[0] in "'\u2019\u2018nN" and len(token) > 1:  # a suffix: "n't", "'s"
        token = token.replace("\u2019", "'").replace("\u2018", "`")
    if token in _WRITTEN:
        return (_WRITTEN[token],)
    if " " in token or (len(token) > 1 and not token[0].isalnum()):
        token = token.replace(" ", _SPACE_INSIDE).replace("(", "-lrb-").replace(")", "-rrb-")
    return (token,)
