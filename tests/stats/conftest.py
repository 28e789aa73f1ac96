"""Reference values of peers and papers, by id; see oracles.json."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Oracle(NamedTuple):
    inputs: dict[str, Any]
    expected: dict[str, Any]
    tolerance: float

    def matches(self, **actual: float) -> bool:
        """Every value given agrees with the expected one of the same name."""
        return all(value == pytest.approx(self.expected[name], abs=self.tolerance) for name, value in actual.items())


@cache
def oracles() -> dict[str, Oracle]:
    table = json.loads((Path(__file__).parent / "oracles.json").read_text())
    return {row["id"]: Oracle(row["inputs"], row["expected"], row["tolerance"]) for row in table}


@pytest.fixture
def oracle() -> Callable[[str], Oracle]:
    return lambda name: oracles()[name]


@pytest.fixture
def every_oracle() -> dict[str, Oracle]:
    return oracles()
