"""Settings of the clips: where they lie, what is seen of them, what training varies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from taskgrain.config.checked import Name, Part, Settings, Share
from taskgrain.labels.taxonomy import ACTION_GROUP

STRATA = ("siblings", "groups")  # of held-out categories: a part of their group, or all of it
RESERVED_TARGETS = ("source", "source-validation")  # the names of the source's own clips


Levels = Mapping[Name, Mapping[str, Annotated[tuple[str, ...], Field(min_length=1)]]]


class HoldOut(Settings):
    """Categories that are kept from every source: drawn anew under each seed, or those of a list.

    Absent where every source learns all categories.
    """

    siblings: int = Field(
        0, ge=0, description="categories held out of groups that keep two others or more"
    )
    groups: int = Field(0, ge=0, description="groups held out whole")
    level: Name = Field(
        ACTION_GROUP, description="level of the taxonomy whose names are these groups"
    )
    few_shot: Path | None = Field(
        None,
        description="published few-shot list of clips of the dataset: its categories are held "
        "out, under every seed the same",
    )

    @model_validator(mode="after")
    def _names_what_is_held_out(self) -> Self:
        is_drawn = self.siblings > 0 or self.groups > 0
        if is_drawn and self.few_shot is not None:
            raise ValueError(
                '"few_shot" names the categories that are held out; leave siblings and groups out'
            )
        if not is_drawn and self.few_shot is None:
            raise ValueError('needs "siblings", "groups" or "few_shot": what is held out')
        return self


class SourceData(Settings):
    """The clips that the encoders learn from: the embedded world, or a dataset of your own."""

    root: Path | None = Field(
        None, description="folder of your own dataset; world, seed and sizes are then not used"
    )
    store: Path | None = Field(
        None, description="frames of your own dataset, as `taskgrain pack` wrote them"
    )
    levels: Levels = Field(
        {}, description="levels of your own, finest first: level -> name -> its categories"
    )
    mirror: Mapping[str, str] = Field(
        {},
        description="category -> its mirror image, or itself; Something-Something's are known",
    )
    world: Literal["tabletop"] | None = Field(
        None, description="the embedded world to draw: tabletop, unless there is a root"
    )
    seed: int = Field(0, ge=0, description="seed of the drawn clips")
    train: int = Field(3000, ge=2, description="clips to learn from")
    validation: int = Field(400, ge=1, description="clips to score the sources on")
    draw: int | None = Field(
        None,
        ge=2,
        description="training clips that each seed draws, the same for all its sources; absent: "
        "every seed learns from all",
    )
    hold_out: HoldOut | None = None

    @model_validator(mode="after")
    def _store_has_a_root(self) -> Self:
        _refuse_store_without_root(self)
        return self

    @model_validator(mode="after")
    def _levels_name_a_category_once(self) -> Self:
        for level, names in self.levels.items():
            seen: dict[str, str] = {}
            for name, categories in names.items():
                for category in categories:
                    if category in seen:
                        raise ValueError(
                            f"levels.{level} has {category!r} twice, in {seen[category]!r} and in "
                            f"{name!r}"
                        )
                    seen[category] = name
        return self


class Target(Settings):
    """A task on which frozen features are tested."""

    name: Part = Field(description="name in results and tables")
    root: Path | None = Field(
        None, description="folder of your own target: train = support pool, validation = scored"
    )
    store: Path | None = Field(
        None, description="frames of your own target, as `taskgrain pack` wrote them"
    )
    world: Literal["kitchenware", "kitchenware-far", "tabletop"] | None = Field(
        None,
        description="the embedded target world, unless there is a root: kitchenware, filmed like "
        "the source; kitchenware-far, in another look; tabletop, the source's own templates, with "
        "things that it never shows too",
    )
    seed: int = Field(0, ge=0, description="seed of the drawn clips")
    sealed: bool = Field(
        False,
        description="draw its clips after training, from a seed that the finished weights decide, "
        "in place of seed; needs [seal]",
    )
    # As many as the paper's target had, which can no longer be had (docs/paper.md).
    support: int = Field(390, ge=2, description="clips in the pool that support draws come from")
    scored: int = Field(1105, ge=2, description="clips that are scored")
    few_shot: Path | None = Field(
        None,
        description="published few-shot list of clips below root: they alone are the target, half "
        "of each class to support; episodes draw both sides from all of them",
    )
    factors: tuple[Part, ...] = Field(
        (), description="factors of factors.jsonl to read out beside the category"
    )
    tasks: int = Field(
        0,
        ge=0,
        description="factor tasks of the tabletop to draw by the seed and read out, as many named, "
        "kind-named and unnamed ones as there are; needs alignment",
    )

    novel: bool = Field(
        False,
        description="none of its categories may be learned by a source; without root and world it "
        "is the source's own held-out categories (data.hold_out)",
    )

    @model_validator(mode="after")
    def _tasks_are_of_the_tabletop(self) -> Self:
        if self.tasks and self.world != "tabletop":
            raise ValueError(
                '"tasks" are drawn from those declared of world = "tabletop"; name the factors of '
                'another target in "factors"'
            )
        return self

    @property
    def is_held_out(self) -> bool:
        """Whether its clips are those of the categories that the source's data hold out."""
        return self.novel and self.root is None and self.world is None

    @model_validator(mode="after")
    def _strata_keep_their_names(self) -> Self:
        taken = [name for name in self.factors if name in STRATA]
        if self.is_held_out and taken:
            raise ValueError(
                f"{self.name}/{taken[0]} is the task of held-out {taken[0]}, so a factor cannot be "
                f"called {taken[0]!r}"
            )
        return self

    @model_validator(mode="after")
    def _list_has_a_root(self) -> Self:
        if self.few_shot is not None and self.root is None:
            raise ValueError('"few_shot" needs "root", the dataset whose clips it lists')
        return self

    @model_validator(mode="after")
    def _store_has_a_root(self) -> Self:
        _refuse_store_without_root(self)
        return self

    @model_validator(mode="after")
    def _only_drawn_clips_are_sealed(self) -> Self:
        if self.sealed and (self.root is not None or self.is_held_out):
            where = 'below "root"' if self.root is not None else "of held-out categories"
            raise ValueError(f'"sealed" is for drawn targets: the clips {where} are there already')
        return self


def _refuse_store_without_root(section: SourceData | Target) -> None:
    """Refuse a store of frames without the dataset that annotates them."""
    if section.store is not None and section.root is None:
        raise ValueError('"store" needs "root", the dataset that it was packed from')


class Video(Settings):
    """What the encoder sees of a clip, in frames and pixels."""

    # At equal speed 16 frames of 48 x 48 taught 45.0 % of the categories in 5 epochs, 12 frames of
    # 56 x 56 39.2 % (docs/log.md, "The compact encoder").
    num_frames: int = Field(16, ge=2, le=512, description="frames of a clip")
    store_height: int = Field(56, ge=8, le=1024, description="pixels of the stored frames")
    store_width: int = Field(56, ge=8, le=1024, description="pixels of the stored frames")
    height: int = Field(48, ge=8, le=1024, description="pixels of the crop")
    width: int = Field(48, ge=8, le=1024, description="pixels of the crop")
    stride: int | None = Field(
        None,
        ge=1,
        le=64,
        description="stored frames (12 a second) to the next; absent: spread over the clip",
    )
    fit: Literal["stretch", "crop"] = Field(
        "stretch", description="how clips take the stored size: stretch, or crop to keep the aspect"
    )

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.height > self.store_height or self.width > self.store_width:
            raise ValueError(
                f"a crop of {self.height} x {self.width} does not fit into stored frames of "
                f"{self.store_height} x {self.store_width}"
            )
        return self


class Augment(Settings):
    """What training varies of a clip, drawn from (seed, epoch, clip); scoring sees the centre."""

    rate_jitter: float = Field(
        0.0, ge=0, lt=1, description="r: frame rate times 1 - r to 1 + r; spread: 1 - r to 1 of it"
    )
    crop_scale: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="random resized crop: least and most share of the area; absent: fixed size",
    )
    crop_aspect: tuple[Annotated[float, Field(gt=0, le=10)], ...] = Field(
        (0.75, 4 / 3),
        min_length=2,
        max_length=2,
        description="least and most width / height of a resized crop, relative to the frame",
    )
    mirror: Share = Field(
        0.0, description="probability, for clips whose label and caption can be mirrored"
    )
    brightness: Share = Field(0.0, description="b: a factor of 1 - b to 1 + b")
    contrast: Share = Field(0.0, description="the same, about the clip's mean luma")
    saturation: Share = Field(0.0, description="the same, about each pixel's luma")
    hue: float = Field(0.0, ge=0, le=0.5, description="at most this share of the colour circle")

    @model_validator(mode="after")
    def _ranges_rise(self) -> Self:
        for key, pair in (("crop_scale", self.crop_scale), ("crop_aspect", self.crop_aspect)):
            if pair is not None and pair[0] > pair[1]:
                raise ValueError(f"{key} goes from {pair[0]} down to {pair[1]}; least first")
        return self
