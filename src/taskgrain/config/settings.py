"""The settings of a study, as frozen models: every key of a study file is a field of one of them.

Modules below never see these: `study` turns them into plain arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from taskgrain.config.checked import Name, Part, Settings
from taskgrain.config.clips import RESERVED_TARGETS, Augment, SourceData, Target, Video
from taskgrain.config.learning import LADDER, Decoder, Encoder, Source, Train
from taskgrain.config.testing import FamilyEndpoint, Primary, Seal, Transfer


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
    encoders: Mapping[Part, Encoder] = Field(
        {}, description="others, by the name that a source's encoder gives"
    )
    decoder: Decoder = Decoder()
    train: Train = Train()
    augment: Augment = Augment()
    sources: tuple[Source, ...] = Field(LADDER, min_length=1, description="what encoders learn")
    targets: tuple[Target, ...] = Field(min_length=1, description="where features are tested")
    transfer: Transfer = Transfer()
    primary: Primary
    family: tuple[FamilyEndpoint, ...] = Field(
        (), description="further primary endpoints; Holm corrects over all of them"
    )
    margin: float = Field(
        2.0,
        gt=0,
        lt=100,
        description="percentage points: a difference whose 90 % interval lies within it is none",
    )
    seal: Seal | None = Field(
        None, description="what is drawn after the study was frozen; absent: nothing"
    )
    alignment: int = Field(
        0,
        ge=0,
        description="undrawn scenes that the alignment of drawn sources and targets is computed "
        "from, 100,000 or more for a claim; 0: it is not computed",
    )
    examples: int = Field(12, ge=0, le=48, description="clips shown in the report")

    def __repr__(self) -> str:
        sources = ", ".join(source.name for source in self.sources)
        targets = ", ".join(target.name for target in self.targets)
        seeds = ", ".join(map(str, self.seeds))
        return f"<Study {self.name!r}: sources {sources}; targets {targets}; seeds {seeds}>"

    __str__ = __repr__  # pydantic's own is every setting

    # pydantic runs these checks in the order in which they stand, and ends with the first that
    # fails: each may rely on what those above it refuse.
    @model_validator(mode="after")
    def _seeds_are_the_sealed_ones(self) -> Self:
        """Refuse seeds that someone chose; a study file with a seal gets them when it is read."""
        if self.seal is None and any(target.sealed for target in self.targets):
            raise ValueError('a target is sealed, which needs "seal.commit" and "seal.seeds"')
        if self.seal is not None and self.seeds != self.seal.drawn_seeds():
            raise ValueError(f"seeds are not those of the seal, {self.seal.drawn_seeds()}")
        return self

    @model_validator(mode="after")
    def _names_are_told_apart(self) -> Self:
        for what, values in (
            ("sources", tuple(source.name for source in self.sources)),
            ("targets", tuple(target.name for target in self.targets)),
            ("seeds", self.seeds),
            ("transfer.shots", self.transfer.shots),
            ("transfer.probes", self.transfer.probes),
            ("transfer.readouts", self.transfer.readouts),
            ("transfer.batch_norm", self.transfer.batch_norm),
            ("transfer.episodes.shots", self.transfer.episodes.shots),
        ):
            twice = [value for value in values if values.count(value) > 1]
            if twice:
                raise ValueError(f"{what} names {twice[0]!r} twice")
        for target in self.targets:
            if target.name in RESERVED_TARGETS:
                raise ValueError(f"a target cannot be called {target.name!r}; choose another name")
        return self

    @model_validator(mode="after")
    def _sources_find_what_they_name(self) -> Self:
        names = [source.name for source in self.sources]
        for index, source in enumerate(self.sources):
            if source.encoder is not None and source.encoder not in self.encoders:
                raise ValueError(
                    f"source {source.name!r} wants the encoder {source.encoder!r}; "
                    f"encoders has {', '.join(self.encoders) or 'none'}"
                )
            if source.is_frozen and self.encoder_of(source).network == "two-channel":
                raise ValueError(
                    f"source {source.name!r} learns nothing, and its encoder was never trained"
                )
            if source.is_frozen and self.encoder_of(source).recurrent:
                raise ValueError(
                    f"source {source.name!r} learns nothing, and would be read through an LSTM "
                    "that was never trained; leave out recurrent (the probe recurrent reads steps)"
                )
            if source.warm_start in names[index:]:
                raise ValueError(
                    f"source {source.name!r} begins with the weights of {source.warm_start!r}, "
                    "which must stand before it"
                )
        return self

    @model_validator(mode="after")
    def _twins_differ_in_their_first_weights_alone(self) -> Self:
        of_name = {source.name: source for source in self.sources}
        for source in self.sources:
            if source.twin_of is None:
                continue
            own, where = of_name.get(source.twin_of), f"source {source.name!r} is a twin of"
            if own is None or own.twin_of is not None:
                raise ValueError(f"{where} {source.twin_of!r}, which is no source but a twin")
            if own.is_frozen or own.warm_start is not None:
                raise ValueError(
                    f"{where} {own.name!r}, whose first weights are not drawn: a twin would begin "
                    "with the same"
                )
            if source.model_copy(update={"name": own.name, "twin_of": None}) != own:
                raise ValueError(
                    f"{where} {own.name!r} with settings of its own; leave out all but name and "
                    "twin_of"
                )
        return self

    @property
    def trained(self) -> tuple[Source, ...]:
        """The sources that learn: the others are tested as their networks come."""
        return tuple(source for source in self.sources if not source.is_frozen)

    def twins(self) -> dict[str, str]:
        """Name the sources that are twins, and whose: their difference is A/A."""
        return {each.name: each.twin_of for each in self.sources if each.twin_of is not None}

    @model_validator(mode="after")
    def _drawn_tasks_have_kinds(self) -> Self:
        if not any(target.tasks for target in self.targets):
            return self
        if not self.alignment or self.data.root is not None:
            raise ValueError(
                "targets: tasks are drawn by what the sources' labels say of them; set alignment "
                "(100000), with a drawn source, or name the tasks in factors"
            )
        for source in self.sources:
            if source.name not in (self.primary.source, self.primary.versus):
                continue
            if source.is_frozen or source.regrouped:
                says = "learns nothing" if source.is_frozen else "has groups that mean nothing"
                raise ValueError(
                    f"targets: tasks are drawn by what {self.primary.source!r} says more than "
                    f"{self.primary.versus!r}, but {source.name!r} {says}; name the tasks "
                    "in factors"
                )
        return self

    def encoder_of(self, source: Source) -> Encoder:
        """Return the settings of a source's encoder."""
        return self.encoder if source.encoder is None else self.encoders[source.encoder]

    @property
    def endpoints(self) -> tuple[FamilyEndpoint, ...]:
        """The primary endpoint, then its family: what Holm corrects together."""
        return (FamilyEndpoint(**dict(self.primary)), *self.family)

    @model_validator(mode="after")
    def _novel_categories_are_held_out(self) -> Self:
        for target in self.targets:
            if target.is_held_out and self.data.hold_out is None:
                raise ValueError(
                    f"target {target.name!r} is novel and has no root or world, so it is the "
                    "categories that data.hold_out keeps from the sources; set data.hold_out"
                )
        return self

    @model_validator(mode="after")
    def _endpoints_are_measured(self) -> Self:
        primary, *family = self.endpoints
        self._check_endpoint("primary", primary)
        for index, endpoint in enumerate(family):
            self._check_endpoint(f"family[{index}]", endpoint)
            if endpoint == primary:
                raise ValueError(f"family[{index}] is the primary endpoint; leave it out")
            if endpoint in self.family[:index]:
                raise ValueError(f"family[{index}] is there twice")
        return self

    def _check_endpoint(self, where: str, endpoint: FamilyEndpoint) -> None:
        """Refuse a comparison of what the study does not measure."""
        transfer = self.transfer
        sources = tuple(source.name for source in self.sources)
        targets = tuple(target.name for target in self.targets)
        second = endpoint.minus_target
        for key, value, known in (
            ("source", endpoint.source, sources),
            *(("versus", name, sources) for name in endpoint.each_versus),
            ("target", endpoint.target, targets),
            *(() if second is None else (("minus_target", second, targets),)),
            ("shots", endpoint.shots, transfer.shots),
            ("probe", endpoint.probe, transfer.probes),
            ("readout", endpoint.readout, transfer.readouts),
        ):
            if value not in known:
                has = ", ".join(str(each) for each in known)
                raise ValueError(f"{where}.{key} is {value!r}; this study has {has}")
        for name in (endpoint.source, *endpoint.each_versus):
            if name in self.twins():
                raise ValueError(
                    f"{where} compares {name!r}, a twin of {self.twins()[name]!r}: its comparisons "
                    "are A/A and enter no claim; name the other"
                )
        if endpoint.source in endpoint.each_versus:
            raise ValueError(f"{where} compares {endpoint.source!r} with itself")
        twice = [name for name in endpoint.each_versus if endpoint.each_versus.count(name) > 1]
        if twice:
            raise ValueError(f"{where}.versus names {twice[0]!r} twice")
        rotating = [target.name for target in self.targets if target.is_held_out]
        if second is not None and {second, endpoint.target} & set(rotating):
            raise ValueError(
                f"{where} compares {endpoint.target!r} with {second!r}, but the classes of "
                f"{rotating[0]!r} are others under each seed; name two targets whose clips all "
                "seeds share"
            )
        if second == endpoint.target:
            raise ValueError(
                f"{where}.minus_target is its target, {second!r}: the difference of a difference "
                "from itself is 0; name another target, or leave it out"
            )
