from __future__ import annotations

from taskgrain.labels.caption import caption_of, last_word

PUSH = "Pushing [something] from left to right"


def test_the_three_forms_say_less_and_less() -> None:
    objects = ["a small red cup"]
    assert caption_of(PUSH, objects, "full") == "pushing a small red cup from left to right"
    assert caption_of(PUSH, objects, "simplified") == "pushing cup from left to right"
    assert caption_of(PUSH, objects, "template") == "pushing something from left to right"


def test_a_placeholder_of_punctuation_alone_stays_as_it_is() -> None:
    assert last_word("...") == "..."
    assert last_word("a cup!") == "cup"
