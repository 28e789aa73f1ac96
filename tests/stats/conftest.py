"""Reference values of peers and papers, keyed by name; see oracles.json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Oracle(NamedTuple):
    inputs: dict[str, Any]
    expected: dict[str, float]
    tolerance: float

    def matches(self, **actual: float) -> bool:
        """Every value given agrees with the expected one of the same name."""
        return all(value == pytest.approx(self.expected[name], abs=self.tolerance) for name, value in actual.items())


@pytest.fixture
def oracle() -> Callable[[str], Oracle]:
    table = json.loads((Path(__file__).parent / "oracles.json").read_text())
    return lambda name: Oracle(**table[name])
