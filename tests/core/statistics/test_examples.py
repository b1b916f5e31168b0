"""The examples in the modules' own words run and are right."""

import doctest
import importlib
import pkgutil

import pytest

import core.statistics

MODULES = sorted(f"core.statistics.{module.name}" for module in pkgutil.iter_modules(core.statistics.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module_are_right(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0
