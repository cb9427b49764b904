"""Captions made by a small grammar, with all that is hard to split into words."""

from __future__ import annotations

import random

_PEOPLE = ("a man", "A woman", "the boy", "Two girls", "someone", "He", "she", "They", "I", "kids")
_VERBS = ("cuts", "is holding", "puts", "pours", "doesn't like", "can't open", "shows", "moves")
_PLACES = ("on the table", "in a bowl", "near the door", "at home", "next to it", "upside down")
_JOINTS = (" and ", ", then ", " - ", "; ", ". The ", ". ", " while ", ", ", "... ", " / ", ": ")
_ENDS = (".", ".", ".", "", "", "!", "?", "...", " .", "?!", ".\u201d", ".)")
_THINGS: dict[str, tuple[str, ...]] = {
    "plain": ("a red cup", "the box", "two books", "some flour", "an onion", "the ball"),
    "letters": ("plan A.", "vitamin C", "the letter I.", "group b.", "section D, E", "x and y"),
    "fractions": (
        "1 1/2 cups",
        "1\u00bd cups",
        "\u00bd cup",
        "3/4 of it",
        "2 \u2153 cups",
        "1/2-inch cut",
    ),
    "units": (
        "5 m\u00b2",
        "10 cm\u00b3 of oil",
        "25\u00b0c",
        "350 \u00b0F",
        "5 x 5",
        "10cm",
        "3.5 kg",
        "100%",
        "2x4",
    ),
    "currency": (
        "$5",
        "US$5.50",
        "\u20ac5",
        "\u00a33.50",
        "5\u00a2",
        "$1,000",
        "A$20",
        "\u00a5100",
        "$5-10",
        "$$$",
    ),
    "invisible": (
        "a zero\u200bwidth space",
        "soft\u00adhyphens",
        "no\u00a0break",
        "\ufeffa mark",
        "a\u200d b",
    ),
    "addresses": (
        "a@b",
        "tips@hotmail",
        "me@home.com",
        "@user",
        "www.a.com",
        "http://a.com/b?c=d",
        "youtube.com",
        "#tag",
        "index.html",
        "youtube.com/watch",
    ),
    "dates": (
        "12/25/2020",
        "1/2/10",
        "2020-12-25",
        "Dec. 25, 2020",
        "the 1990s",
        "the '90s",
        "July 4th",
        "25th",
        "90's music",
        "24/7",
    ),
    "times": ("3:45", "12:30pm", "3 p.m.", "7 a.m. sharp", "5pm", "16:9"),
    "abbreviations": (
        "the U.S. flag",
        "Mr. Bean",
        "mrs. x",
        "dr. who",
        "st. john",
        "etc.",
        "e.g. this",
        "i.e. that",
        "vs. them",
        "no. 5",
        "fig. 2",
        "approx. 5",
        "inc.",
        "Washington D.C.",
        "J. K. Rowling",
        "ph.d.",
        "the U.K.",
        "sedona,AZ.",
        "a t.v.",
        "oz.",
        "tbsp. of it",
    ),
    "contractions": (
        "it's",
        "John's cup",
        "the boys' cups",
        "do's and don'ts",
        "don\u2019t",
        "don\u2018t",
        "y'all",
        "o'clock",
        "rock 'n' roll",
        "'em",
        "'til",
        "he'll",
        "should've",
        "cannot",
        "gonna",
        "ain't",
        "ma'am",
        "goin'",
        "let's",
        "'tis",
        "won't",
        "kid's",
        "dont",
    ),
    "hyphens": (
        "t-shirt",
        "a pick-up",
        "mother-in-law",
        "20-year-old",
        "well-known,",
        "2-3",
        "a--b",
        "a\u2014b",
        "\u2013",
        "re-",
        "x-ray",
        "and/or",
        "his/her",
        "w/o",
        "w/ sauce",
        "a/b/c",
        "U.S.-based",
    ),
    "brackets": (
        "(a cup)",
        "[a cup]",
        "{a}",
        "cup(s)",
        "(1)",
        "1)",
        ":)",
        ";-)",
        ":D",
        "me:) now",
        "<unk>",
        "((a))",
    ),
    "quotes": (
        '"a"',
        "'a'",
        "\u201ca\u201d",
        "\u2018a\u2019",
        "\u00aba\u00bb",
        "``a''",
        "5'10\"",
        "6'2\"",
        '5"',
        '"go!"',
        "'go'",
    ),
    "signs": (
        "salt & pepper",
        "AT&T",
        "R&B",
        "m&m's",
        "c++",
        "c#",
        "f*** this",
        "***",
        "a + b = c",
        "5 > 3",
        "a_b",
        "a__b",
        "_",
        "#1",
        "\u2665",
        "\U0001f600",
        "\u2192",
        "\u2122",
        "\u00ae",
        "~5",
        "<3",
        "->",
        "&amp;",
    ),
    "scripts": (
        "caf\u00e9",
        "na\u00efve",
        "\u043a\u043e\u0448\u043a\u0430",
        "\u732b",
        "\u4e00\u4e2a\u4eba",
        "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
        "\u0939\u093f\u0928\u094d\u0926\u0940",
        "\uff21\uff22\uff43",
        "\u00bfque?",
        "\u300ca\u300d",
        "e\u0301te\u0301",
    ),
    "numbers": (
        "1,000",
        "1.5",
        ".5",
        "-5",
        "+5",
        "10,20",
        "3 ,5",
        "925 606 0946",
        "925-606-0946",
        "(925) 606-0946",
        "100 200 300",
        "20 20",
        "1e5",
        "5.",
        "2.0",
        "a:3",
        "1-2",
        "10th",
    ),
    "stops": (
        "end.Begin",
        "a..b",
        "wow...",
        "\u2026",
        ". . .",
        "yes!no",
        "cup.,box",
        "a,b",
        "what?!",
        "a :b",
    ),
}


def captions(number: int, *, seed: int = 0) -> list[str]:
    """Make captions, the same for the same number and seed; one in two has nothing hard in it."""
    chance = random.Random(seed)
    return [_caption(chance) for _ in range(number)]


def _caption(chance: random.Random) -> str:
    said = _clause(chance)
    while chance.random() < 0.35:
        said += chance.choice(_JOINTS) + _clause(chance)
    said += chance.choice(_ENDS)
    if chance.random() < 0.3:
        said = said[0].upper() + said[1:]
    return said.upper() if chance.random() < 0.03 else said


def _clause(chance: random.Random) -> str:
    kind = "plain" if chance.random() < 0.5 else chance.choice(list(_THINGS))
    thing = chance.choice(_THINGS[kind])
    words = [chance.choice(_PEOPLE), chance.choice(_VERBS), thing]
    if chance.random() < 0.6:
        words.append(chance.choice(_PLACES))
    return " ".join(words)
