from __future__ import annotations

from pathlib import Path

import pytest
import torch

from taskgrain.data.manifest import Manifest, Split
from taskgrain.data.opening import read_manifest
from taskgrain.labels.caption import CaptionForm, caption_of
from taskgrain.labels.template import fixed_parts, words_of
from taskgrain.labels.vocabulary import BOS, PAD, build_vocabulary
from taskgrain.models.decoder import CaptionDecoder
from taskgrain.study import template_ranking
from taskgrain.study.sources import captions_in
from taskgrain.study.template_ranking import (
    TemplateRanking,
    objects_for,
    own_words,
    ranked_clips,
    ranking_of,
)
from tests.making import row, write_annotations

HOLD = "Holding [something]"
ONTO = "Putting [something] onto [something]"
NEAR = "Moving [something] closer to [something]"
SOFT, SUBSTANCE = "Poking a hole into [something soft]", "Poking a hole into [some substance]"


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    rows = [
        row("1", HOLD, "a red cup"),
        row("2", ONTO, "a cup", "a small box"),
        row("3", NEAR, "a box", "a pen"),
        row("4", SOFT, "some foam"),
        row("5", SUBSTANCE, "some clay"),
    ]
    train: list[object] = [{**each, "id": f"t{each['id']}"} for each in rows]
    return read_manifest(write_annotations(tmp_path, train, list(rows)))


def prepared(manifest: Manifest, form: CaptionForm) -> tuple[TemplateRanking, CaptionDecoder]:
    captions = [text for record in manifest.records for text in captions_in(form, record)]
    vocabulary = build_vocabulary(captions)
    ranking = ranking_of(form, vocabulary, manifest)
    assert ranking is not None
    torch.manual_seed(0)
    decoder = CaptionDecoder(6, vocabulary_size=len(vocabulary), word_width=5, lstm_width=7)
    with torch.no_grad():
        for weights in decoder.parameters():
            weights.mul_(4)  # far from even
    return ranking, decoder.eval()


def slow_scores(
    ranking: TemplateRanking, decoder: CaptionDecoder, features: torch.Tensor, text: str
) -> torch.Tensor:
    """Score one caption by teacher forcing: the log-probability of each token after BOS."""
    tokens = torch.tensor([ranking.vocabulary.encode(text)])
    logits = decoder(features[None], tokens)[0].double()
    logits[:, [PAD, BOS]] = float("-inf")
    return logits.log_softmax(1).gather(1, tokens[0, 1:, None])[:, 0]


@pytest.mark.parametrize("at_once", [1024, 7, 1])
@pytest.mark.parametrize("form", ["full", "simplified", "template"])
@torch.inference_mode()
def test_ranks_are_those_of_captions_scored_one_by_one(
    manifest: Manifest, form: CaptionForm, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template_ranking, "CAPTIONS_AT_ONCE", at_once)
    ranking, decoder = prepared(manifest, form)
    records = manifest.split(Split.VALIDATION)
    features = torch.randn(len(records), 3, 6)
    ranking.rank(decoder, features, records)
    ranks = [ranking.ranks[record.clip_id] for record in records]
    for record, steps, found in zip(records, features, ranks, strict=True):
        by_own: dict[str, float] = {}
        by_all: dict[str, float] = {}
        for template in (HOLD, ONTO, NEAR, SOFT, SUBSTANCE):
            objects = objects_for(template, record.placeholders)
            text = caption_of(template, objects, form)
            scores = slow_scores(ranking, decoder, steps, text)
            own = own_words(template, objects, form, "taskgrain")
            by_own[text] = float(scores[[*own, True]].sum())
            by_all[text] = float(scores.sum())
        true = caption_of(record.template, record.placeholders, form)
        assert len(by_all) == (5 if form == "template" else 4)  # two templates say the same
        for values, rank in ((by_own, found.by_own_words), (by_all, found.by_all_words)):
            assert rank == sum(value > values[true] for value in values.values())
    assert len({rank.by_own_words for rank in ranks}) > 1


def test_a_clip_without_a_rank_counts_as_wrong(manifest: Manifest) -> None:
    ranking, decoder = prepared(manifest, "full")
    records = manifest.split(Split.VALIDATION)
    with torch.inference_mode():
        ranking.rank(decoder, torch.randn(2, 3, 6), records[:2])
    scores = {score.metric: score for score in ranking.scores(records)}
    assert scores["template-ranking-top-5"].value == 2 / 5
    assert scores["template-ranking"].clips == records
    assert list(scores) == [
        "template-ranking",
        "template-ranking-top-5",
        "template-ranking-with-objects",
    ]
    bare, _ = prepared(manifest, "template")
    assert [score.metric for score in bare.scores(records)] == list(scores)[:2]


def test_a_decoder_that_holds_all_templates_alike_ranks_none_first(manifest: Manifest) -> None:
    ranking, decoder = prepared(manifest, "template")
    with torch.no_grad():
        for weights in decoder.parameters():
            weights.zero_()
    records = manifest.split(Split.VALIDATION)[3:4]  # as many words as one other template
    with torch.inference_mode():
        ranking.rank(decoder, torch.randn(1, 3, 6), records)
    assert ranking.ranks["4"].by_own_words == 4


def test_templates_take_the_objects_of_the_clip() -> None:
    assert objects_for(ONTO, ["a cup"]) == ("a cup", "a cup")
    assert objects_for(HOLD, ["a cup", "a box"]) == ("a cup",)
    assert objects_for("Waving", ["a cup"]) == ()
    assert objects_for(ONTO, []) == ("something", "something")


def test_the_words_of_objects_are_told_from_those_of_the_template() -> None:
    objects = ["a red cup", "a box"]
    full = own_words(ONTO, objects, "full", "taskgrain")
    assert full == (True, False, False, False, True, False, False)
    assert own_words(ONTO, objects, "simplified", "paper") == (True, False, True, False)
    assert own_words(ONTO, objects, "template", "taskgrain") == (True,) * 4
    assert len(full) == len(words_of(caption_of(ONTO, objects, "full")))
    assert len(fixed_parts(ONTO)) == 3


def test_a_word_over_the_edge_of_a_bracket_makes_all_words_count(tmp_path: Path) -> None:
    glued = "Moving [something]-like things and [something]s"
    rows: list[object] = [row("1", glued, "cup", "box"), row("2", HOLD, "a cup")]
    manifest = read_manifest(write_annotations(tmp_path, rows, [row("3", HOLD, "a cup")]))
    ranking, decoder = prepared(manifest, "full")
    with torch.inference_mode():
        ranking.rank(decoder, torch.randn(2, 3, 6), manifest.split(Split.TRAIN))
    assert {rank.by_own_words for rank in ranking.ranks.values()} <= {0, 1}


def test_ranked_clips_are_drawn_once_and_have_templates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[object] = [row(str(n), (HOLD, ONTO)[n % 2]) for n in range(20)]
    rows[3] = {**row("3", "Nodding"), "label": "a man says yes"}
    manifest = read_manifest(write_annotations(tmp_path, [row("t", HOLD), row("u", ONTO)], rows))
    assert [r.clip_id for r in ranked_clips(manifest)] == [str(n) for n in range(20) if n != 3]
    monkeypatch.setattr(template_ranking, "MAX_CLIPS", 5)
    drawn = ranked_clips(manifest)
    assert len(drawn) == 5
    assert drawn == ranked_clips(manifest)
    assert drawn != ranked_clips(manifest)[::-1]


def test_one_template_alone_is_not_ranked(tmp_path: Path) -> None:
    manifest = read_manifest(write_annotations(tmp_path, [row("1", HOLD)], [row("2", HOLD)]))
    vocabulary = build_vocabulary(["holding a cup"])
    assert ranking_of("full", vocabulary, manifest) is None
