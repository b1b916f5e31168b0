"""Recipes: units and sources on every field, ambiguities that can be switched, settings that are refused."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields

import pytest

from core.errors import TrainingError
from training.recipe import (
    AMBIGUITIES,
    MODERN,
    MODERN_ABLATIONS,
    PAPER,
    RECIPES,
    Augmentation,
    Recipe,
    describe,
    parse_changes,
    recipe_named,
    variants_of,
)
from training.schedule import count_steps, image_size, learning_rate, optimizer_kind

PAPER_TRAINING_CASES = 2067


def test_paper_recipe_holds_what_the_methods_section_says() -> None:
    assert (PAPER.optimizer, PAPER.batch_size, PAPER.weight_decay) == ("adam", 12, 1e-4)
    assert (PAPER.length, PAPER.length_unit, PAPER.learning_rate) == (200, "epoch", 2.5e-4)
    assert (PAPER.schedule, PAPER.step_every, PAPER.step_factor) == ("step", 80, 0.1)
    assert PAPER.label_smoothing == 0
    assert PAPER.ema_decay is None


@pytest.mark.parametrize("kind", [Recipe, Augmentation])
def test_every_setting_carries_a_unit_and_a_source(kind: type) -> None:
    for item in fields(kind):
        assert item.metadata["unit"], item.name
        assert item.metadata["source"], item.name


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_recipe_survives_json(recipe: Recipe) -> None:
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_recipes_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        PAPER.length = 3  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize("name", ["paper", "modern"])
def test_every_variant_changes_the_recipe_and_has_its_own_name(name: str) -> None:
    variants = variants_of(name)
    assert len({variant.key for variant in variants}) == len(variants)
    for variant in variants:
        assert recipe_named(name).with_changes(**variant.changes) != recipe_named(name), variant.key


def test_every_ambiguity_can_be_switched() -> None:
    assert len(AMBIGUITIES) >= 8
    for ambiguity in AMBIGUITIES:
        assert ambiguity.variants, ambiguity.text
        assert ambiguity.why


def test_rate_falls_tenfold_after_80_and_160_epochs_in_the_default_reading() -> None:
    steps = count_steps(PAPER, PAPER_TRAINING_CASES)
    assert (steps.steps_per_epoch, steps.epochs, steps.total_steps) == (173, 200, 34600)
    rates = [learning_rate(PAPER, steps, epoch * 173) for epoch in (0, 79, 80, 159, 160, 199)]
    assert rates == pytest.approx([2.5e-4, 2.5e-4, 2.5e-5, 2.5e-5, 2.5e-6, 2.5e-6])


def test_literal_reading_of_the_decay_stops_learning_within_five_epochs() -> None:
    literal = PAPER.with_changes(step_unit="batch")
    steps = count_steps(literal, PAPER_TRAINING_CASES)
    assert learning_rate(literal, steps, 5 * 173) < 1e-13
    whole = sum(learning_rate(literal, steps, step) for step in range(steps.total_steps))
    assert whole / (literal.learning_rate * 173) == pytest.approx(0.51, abs=0.01)


def test_200_iterations_read_as_batches_end_in_the_second_epoch() -> None:
    steps = count_steps(PAPER.with_changes(length_unit="batch"), PAPER_TRAINING_CASES)
    assert (steps.total_steps, steps.epochs) == (200, 2)


def test_sgd_phase_begins_where_the_variant_says() -> None:
    variant = PAPER.with_changes(sgd_from_epoch=80)
    assert [optimizer_kind(variant, epoch) for epoch in (0, 79, 80)] == ["adam", "adam", "sgd"]
    assert optimizer_kind(PAPER, 199) == "adam"


def test_modern_rate_warms_up_and_ends_near_zero() -> None:
    steps = count_steps(MODERN, PAPER_TRAINING_CASES)
    rates = [learning_rate(MODERN, steps, step) for step in range(steps.total_steps)]
    top = int(max(range(len(rates)), key=rates.__getitem__))
    assert rates[0] < MODERN.learning_rate / 50
    assert top == pytest.approx(3 * steps.steps_per_epoch, abs=2)
    assert rates[-1] < MODERN.learning_rate * 0.011
    assert all(later <= earlier for earlier, later in zip(rates[top:], rates[top + 1 :], strict=False))


def test_images_grow_to_the_recipes_size_in_multiples_of_32() -> None:
    recipe = MODERN.with_changes(image_size=160, starting_size_fraction=0.6, length=20)
    steps = count_steps(recipe, 100)
    sizes = [image_size(recipe, steps, epoch) for epoch in range(20)]
    assert sizes[0] == 96
    assert sizes[12:] == [160] * 8
    assert sizes == sorted(sizes)
    assert {size % 32 for size in sizes} == {0}


@pytest.mark.parametrize(
    ("n_images", "expected"), [(24, 2), (25, 2), (26, 3), (12, 1), (13, 1), (5, 1)], ids=lambda value: str(value)
)
def test_a_last_batch_of_one_joins_the_batch_before_it(n_images: int, expected: int) -> None:
    assert count_steps(PAPER, n_images).steps_per_epoch == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 0},
        {"learning_rate": float("nan")},
        {"schedule": "linear"},
        {"label_smoothing": 0.9},
        {"head_dropout": 1.0},
        {"length": True},
        {"no_such_setting": 1},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_impossible_settings_are_refused_by_name(changes: dict) -> None:
    with pytest.raises(TrainingError, match=next(iter(changes))):
        PAPER.with_changes(**changes)


def test_command_line_settings_take_the_type_of_their_field() -> None:
    changes = parse_changes(["length=3", "learning_rate=1e-3", "ema_decay=none", "augmentation=none"])
    assert changes == {"length": 3, "learning_rate": 1e-3, "ema_decay": None, "augmentation": Augmentation()}
    assert isinstance(changes["length"], int)


@pytest.mark.parametrize("text", ["length", "lenght=3", "length=many", "augmentation=wild"])
def test_command_line_settings_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(TrainingError, match="--set"):
        parse_changes([text])


def test_no_recipe_erases_or_turns_upside_down() -> None:
    """A painted hole is a cold nodule, which is the tumor class."""
    names = {item.name for item in fields(Augmentation)}
    assert not any(word in name for name in names for word in ("eras", "cut", "mix", "vertical", "solar", "poster"))
    for recipe in [*RECIPES.values(), *(MODERN.with_changes(**variant.changes) for variant in MODERN_ABLATIONS)]:
        assert recipe.augmentation.rotation_degrees <= 10
        assert recipe.augmentation.shift_fraction <= 0.08


def test_description_lists_every_setting() -> None:
    shown = {row["setting"] for row in describe(MODERN)}
    assert {item.name for item in fields(Recipe)} - {"augmentation"} <= shown
    assert {f"augmentation.{item.name}" for item in fields(Augmentation)} <= shown
