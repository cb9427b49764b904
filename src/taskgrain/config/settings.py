"""The settings of a study, as frozen models; every key of a study file is a field here or beside.

Modules below never see these: `study` turns them into plain arguments.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from taskgrain.config.base import Name, Settings
from taskgrain.config.clips import RESERVED_TARGETS, Augment, SourceData, Target, Video
from taskgrain.config.learning import LADDER, Encoder, Source, Train
from taskgrain.config.testing import Primary, Transfer


class Study(Settings):
    """One study: a question, the data, the sources, the targets and how they are measured."""

    name: Name = Field(description="name of the study and of its default run folder")
    question: str = Field(description="what the study asks")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (0,), min_length=1, description="one encoder a source and seed"
    )
    data: SourceData = SourceData()
    video: Video = Video()
    encoder: Encoder = Encoder()
    train: Train = Train()
    augment: Augment = Augment()
    sources: tuple[Source, ...] = Field(LADDER, min_length=1, description="what encoders learn")
    targets: tuple[Target, ...] = Field(min_length=1, description="where features are tested")
    transfer: Transfer = Transfer()
    primary: Primary
    examples: int = Field(12, ge=0, le=48, description="clips shown in the report")

    @model_validator(mode="after")
    def _names_are_told_apart(self) -> Self:
        for what, values in (
            ("sources", tuple(source.name for source in self.sources)),
            ("targets", tuple(target.name for target in self.targets)),
            ("seeds", self.seeds),
            ("transfer.shots", self.transfer.shots),
            ("transfer.probes", self.transfer.probes),
        ):
            twice = [value for value in values if values.count(value) > 1]
            if twice:
                raise ValueError(f"{what} names {twice[0]!r} twice")
        for target in self.targets:
            if target.name in RESERVED_TARGETS:
                raise ValueError(f"a target cannot be called {target.name!r}; choose another name")
        return self

    @model_validator(mode="after")
    def _primary_is_measured(self) -> Self:
        primary = self.primary
        sources = [source.name for source in self.sources]
        targets = [target.name for target in self.targets]
        for key, name, known in (
            ("primary.source", primary.source, sources),
            ("primary.versus", primary.versus, sources),
            ("primary.target", primary.target, targets),
        ):
            if name not in known:
                raise ValueError(f"{key} is {name!r}; this study has {', '.join(known)}")
        if primary.source == primary.versus:
            raise ValueError(f"primary compares {primary.source!r} with itself")
        if primary.shots not in self.transfer.shots:
            raise ValueError(f"primary.shots is {primary.shots}, not among transfer.shots")
        if primary.probe not in self.transfer.probes:
            raise ValueError(f"primary.probe is {primary.probe!r}, not in transfer.probes")
        return self
