"""The examples in the docstrings are run, and no public function is without one."""

import doctest
import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import seatrial.stats

MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(seatrial.stats.__path__, "seatrial.stats.")
    if not found.ispkg
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rsplit(".", 1)[-1])
def test_the_examples_are_right(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def test_every_public_function_has_an_example() -> None:
    without = [
        f"{module.__name__}.{name}"
        for module in MODULES
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_") and ">>>" not in (function.__doc__ or "")
    ]
    assert without == []
