"""Settings of how frozen features are tested, and of the comparison that answers the question."""

from __future__ import annotations

import re
from itertools import count
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from taskgrain.config.checked import Name, Settings
from taskgrain.names import ChosenControl, ClipMetric, ProbeName, Readout
from taskgrain.randomness import sealed_number

Shots = Annotated[int, Field(ge=1)] | Literal["all"]


class Episodes(Settings):
    """N-way K-shot episodes beside the support draws; none by default."""

    ways: int = Field(5, ge=2, description="classes of an episode")
    shots: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 5), min_length=1, description="support clips a class"
    )
    # Publications often take one (docs/protocol.md, "Episodes").
    queries: int = Field(15, ge=1, description="scored clips a class")
    number: int = Field(0, ge=0, description="episodes at each number of shots; 600 are usual")


class FromScratch(Settings):
    """The control from-scratch: the study's encoder, trained on a target's support alone."""

    draws: int = Field(
        5, ge=1, description="support draws that it learns from: the first ones of transfer.draws"
    )
    # 923 rounds over one clip a class of 13, 31 over thirty (docs/protocol.md, "From scratch").
    passes: int = Field(12_000, ge=1, description="clips that each training sees")


class Transfer(Settings):
    """How frozen features are tested."""

    probes: tuple[ProbeName, ...] = Field(
        ("nearest-mean", "logistic-regression"), min_length=1, description="probes to fit"
    )
    shots: tuple[Shots, ...] = Field(
        (1, 5, 10, "all"), min_length=1, description="support clips a class"
    )
    draws: int = Field(50, ge=2, description="support draws at each number of shots")
    seed: int = Field(0, ge=0, description="seed of the support draws")
    readouts: tuple[Readout, ...] = Field(
        ("lstm-mean",), min_length=1, description="what of each encoder is tested"
    )
    batch_norm: tuple[Literal["source", "target"], ...] = Field(
        ("source",),
        min_length=1,
        description="whose BatchNorm statistics: the source's, or re-estimated on the target's "
        "support clips without their labels",
    )
    checkpoint: Literal["last", "best"] = Field(
        "last", description="of each source: last, so that all had equal steps, or its own best"
    )
    episodes: Episodes = Episodes()
    from_scratch: FromScratch = FromScratch()
    controls: tuple[ChosenControl, ...] = Field(
        ("majority", "random-encoder", "pixels", "motion-energy", "permuted-labels"),
        description="what would show a result to be false",
    )

    @model_validator(mode="after")
    def _endpoints_have_their_norms(self) -> Self:
        if "source" not in self.batch_norm:
            raise ValueError(
                'batch_norm needs "source": endpoints compare encoders with their own norms'
            )
        return self


class Comparison(Settings):
    """Which source is compared, and where its features are read."""

    source: Name = Field(description="the finer source")
    target: Name = Field(description="the target task")
    probe: ProbeName = Field("logistic-regression", description="the probe that is compared")
    shots: Shots = Field(5, description="support clips a class")
    metric: ClipMetric = Field("mean-per-class", description="the metric that is compared")
    readout: Readout = Field("lstm-mean", description="what of the encoders is compared")


class Primary(Comparison):
    """The one comparison that answers the study's question, fixed before the run."""

    versus: Name = Field(description="the source it is compared with")


class FamilyEndpoint(Comparison):
    """A further comparison: of two targets where it names a second, with each of several."""

    versus: Name | Annotated[tuple[Name, ...], Field(min_length=2)] = Field(
        description="the source it is compared with; of a list: the claim is that the first is "
        "above each of them"
    )
    minus_target: Name | None = Field(
        None,
        description="a second target: what is tested is the difference on target minus the "
        "difference on this one",
    )

    @property
    def each_versus(self) -> tuple[str, ...]:
        """The sources that it is compared with: one, or several."""
        return (self.versus,) if isinstance(self.versus, str) else self.versus


class Seal(Settings):
    """What is drawn only after the study was frozen in a commit, so that nobody tuned on it."""

    commit: str = Field(
        description="the commit that holds study, recipe and worlds as they are run: 40 hex digits",
    )
    seeds: int = Field(
        ge=1, le=64, description="encoder seeds to draw from the commit, in place of seeds"
    )

    @field_validator("commit")
    @classmethod
    def _is_a_whole_hash(cls, commit: str) -> str:
        if not re.fullmatch("[0-9a-f]{40}", commit):
            raise ValueError("expected 40 hex digits, as `git rev-parse HEAD` prints them")
        return commit

    def drawn_seeds(self) -> tuple[int, ...]:
        """Draw the encoder seeds from the commit: all different, each below a million."""
        numbers = (sealed_number(self.commit, "encoder", str(place)) for place in count())
        drawn: dict[int, None] = {}
        while len(drawn) < self.seeds:
            drawn[next(numbers)] = None
        return tuple(drawn)
