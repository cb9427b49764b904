from __future__ import annotations

from taskgrain.randomness import Draws, derive_seed, drawn_digest, generator_for, sealed_number


def test_streams_are_frozen() -> None:
    """Other numbers would be other clips, orders and weights in every study."""
    assert derive_seed(7, "encoder", 3) == 224360406206911699
    assert generator_for(7, 2, "clip").integers(0, 2**32, 2).tolist() == [3939532038, 1820894734]
    assert drawn_digest(7, "clip", size=8).hex() == "40065282c528f67c"
    assert drawn_digest(7, "clip").hex().startswith("72e24d7084cca7b1")
    assert sealed_number("commit", "encoder", "0") == 191207
    assert Draws(7, "train").within("hand").integer("x") == 926429485893870465


def test_a_number_in_a_key_is_not_its_text() -> None:
    assert derive_seed(0, "1") != derive_seed(0, 1)


def test_a_draw_does_not_depend_on_what_was_drawn_before() -> None:
    first, second = Draws(0, "train", 7), Draws(0, "train", 7)
    for name in ("a", "b", "c"):
        second.uniform(name, 0, 1)
    assert first.uniform("zoom", 0, 1) == second.uniform("zoom", 0, 1)


def test_draws_fill_their_range_evenly() -> None:
    values = sorted(Draws(index).unit("x") for index in range(2000))
    largest_gap = max(abs(value - rank / 2000) for rank, value in enumerate(values))
    assert largest_gap < 0.04  # Kolmogorov-Smirnov: 1.63 / sqrt(2000) is the 1 % point


def test_a_shuffle_keeps_every_item() -> None:
    orders = {Draws(seed).shuffled("x", (1, 2, 3)) for seed in range(60)}
    assert len(orders) == 6
    assert {tuple(sorted(order)) for order in orders} == {(1, 2, 3)}
