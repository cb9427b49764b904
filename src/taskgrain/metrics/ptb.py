"""Words as coco-caption sees them: the tokens of the Penn Treebank, lower case, no punctuation.

Written from what Stanford's PTBTokenizer 3.4.1 does with captions, so that no Java is needed. Where
it leaves a mark that coco-caption does not drop ("-lrb-" for a bracket, "?!"), so does this.
Smileys and telephone numbers are not known.
"""

from __future__ import annotations

import re

# What coco-caption drops, and every kind of quote and dash that becomes one of it.
_DROPPED = frozenset("'`.?!,:-;\"") | frozenset(("''", "``", "--", "..."))
_DROPPED |= frozenset(
    "\u201c\u201d\u2018\u2019\u201a\u201e\u00ab\u00bb\u2039\u203a\u2013\u2014\u2026"
)
_WRITTEN = {
    **{"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"},
    **{"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": "''", "&apos;": "'", "&nbsp;": "''"},
    **{"£": "#", "€": "$", "½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"},
}
_PARTS = {
    "cannot": ("can", "not"),
    "gonna": ("gon", "na"),
    "gotta": ("got", "ta"),
    "wanna": ("wan", "na"),
    "lemme": ("lem", "me"),
    "gimme": ("gim", "me"),
}
_PLAIN = re.compile(r"[a-zA-Z0-9 ]*")

# Words that keep their full stop anywhere, and those that keep it before a number.
_ABBREVIATION = (
    r"mr|mrs|ms|dr|prof|jr|sr|st|ave|blvd|rd|inc|co|corp|ltd|etc|vs|dept|est|cf|al|ft|"
    r"mo|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|mon|tue|tues|wed|thu|thurs|"
    r"fri|gen|col|maj|capt|lt|sgt|gov|sen|rep|rev|hon|pres|messrs|mme|mlle|ph\.d|ext|"
    r"tel|sq|bldg|mt|assn|bros|cie|intl|univ|adm|esq"
)
_NUMBERED = "nos?|pp|figs?|op|ca"

_LETTER = r"[^\W\d_]"
_APOSTROPHE = "['\u2019]"
_SUFFIX = rf"{_APOSTROPHE}(?:s|m|d|re|ve|ll)(?!\w)"
_WITH_APOSTROPHE = (
    rf"(?:o{_APOSTROPHE}clock|ol{_APOSTROPHE}|ma{_APOSTROPHE}am|c{_APOSTROPHE}mon|ne{_APOSTROPHE}er"
    rf"|e{_APOSTROPHE}er|li{_APOSTROPHE}l|ev{_APOSTROPHE}ry|nat{_APOSTROPHE}l"
    rf"|[odln]{_APOSTROPHE}{_LETTER}{{2,}})(?!\w)"
)
_NEGATED = rf"{_LETTER}+?(?=n{_APOSTROPHE}t(?!\w))"
_TOKEN = re.compile(
    "|".join(
        (
            r"</?[a-z][^<>\s]*>",
            r"&(?:amp|lt|gt|quot|apos|nbsp);",
            r"(?:https?://|www\.)[^\s\"<>|()]*[^\s\"<>|()\[\]{}.,;:!?'-]",
            r"[\w.+-]+@\w[\w-]*(?:\.\w[\w-]*)+",
            r"[@#][a-z_]\w*",
            rf"{_APOSTROPHE}n{_APOSTROPHE}|{_APOSTROPHE}n(?=\s|$)",
            rf"{_APOSTROPHE}(?:em|til|cause)(?!\w)|'\d0s|{_APOSTROPHE}\d\d(?!\w)",
            rf"{_APOSTROPHE}t(?=(?:is|was)(?!\w))",
            rf"n{_APOSTROPHE}t(?!\w)",
            _SUFFIX,
            rf"y{_APOSTROPHE}(?=all(?!\w)|know(?!\w))",
            _WITH_APOSTROPHE,
            _NEGATED,
            rf"(?:{_LETTER}\.)+{_LETTER}(?![\w.])|(?:{_LETTER}\.){{2,}}(?!\w)|{_LETTER}\.(?!{_LETTER})",
            rf"(?:{_ABBREVIATION})\.(?!{_LETTER})",
            rf"(?:{_NUMBERED})\.(?=\s*\d)",
            r"[-+]?(?:\d+(?:[.,:]\d+)+|\.\d+)|[-+]\d+(?!\w)",
            r"\d+(?:-\d+)?/\d+(?!\w)",
            rf"{_LETTER}[^\W_]*(?:[.?!]{_LETTER}[^\W_]*)+(?:-\w+)*(?!\w)",  # taken for an address
            r"w/o(?!\w)|-[lr][rcs]b-|(?-i:[A-Z]+&[A-Z]+)(?!\w)",
            r"\w+(?:[-/]\w+)*\.(?=,)",
            # A word, with hyphens and strokes in it; a suffix begins a token of its own.
            rf"[^\W_]\w*(?:[-/](?:o{_APOSTROPHE})?\w+)*",
            r"\.{3,}|[?!]+|-+|``|''|[^\s\U00010000-\U0010ffff]",
        )
    ),
    re.IGNORECASE,
)


def ptb_words(caption: str) -> tuple[str, ...]:
    """Split a caption into words as coco-caption does before it scores.

    Contractions are parted ("doesn't" -> "does", "n't"), words with hyphens stay whole, quotes and
    punctuation are dropped, brackets become "-lrb-" and "-rrb-", a tag such as "<unk>" stays one.
    """
    if _PLAIN.fullmatch(caption):
        words = caption.lower().split()
        if _PARTS.keys().isdisjoint(words):
            return tuple(words)
    return tuple(
        part
        for match in _TOKEN.finditer(caption)
        for part in _parts(match[0].lower())
        if part not in _DROPPED
    )


def _parts(token: str) -> tuple[str, ...]:
    """Write one token as PTB does; some words are two."""
    if token in _PARTS:
        return _PARTS[token]
    if token.startswith("..."):
        return ("...",)
    if token.strip("-") == "":
        return ("--",)
    written = _WRITTEN.get(token, token)
    return (written.replace("\u2019", "'") if len(written) > 1 else written,)
