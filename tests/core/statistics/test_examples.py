"""Each module opens with the list of its measures and an example; the examples run and are right."""

import doctest
import importlib
import inspect
import pkgutil
import re

import pytest

import core.notebook
import core.statistics

MODULES = sorted(f"core.statistics.{module.name}" for module in pkgutil.iter_modules(core.statistics.__path__))


@pytest.mark.parametrize("name", [*MODULES, "core.statistics", "core.notebook"])
def test_examples_of_a_module_are_right(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_a_module_names_its_measures(name):
    module = importlib.import_module(name)
    assert re.search(r"\nMeasures?: ", module.__doc__)
    for word in [part.split("`")[0] for part in module.__doc__.split(":func:`")[1:]]:
        if "." not in word:
            assert inspect.isfunction(getattr(module, word)), f"{name} names {word}, which it does not have"


def test_all_that_is_exported_exists_and_is_sorted():
    assert list(core.statistics.__all__) == sorted(core.statistics.__all__)
    for name in core.statistics.__all__:
        assert hasattr(core.statistics, name)
    for name in ("compare_arms", "ReaderStudy", "mrmc_power", "panel_power", "imrmc_analysis", "dorfman_berbaum_metz"):
        assert name in core.statistics.__all__
