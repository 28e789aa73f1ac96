"""How a version is made again: the command, what it reads and what it writes; and what is the same when it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from seatrial.errors import UsageError
from seatrial.ids import Digest

Checked = Literal["code", "data", "environment", "command", "model", "metrics"]


@dataclass(frozen=True, slots=True)
class Environment:
    """The file that pins what the command runs with (``requirements.txt``), at the commit, and its digest."""

    file: str
    digest: Digest

    def __post_init__(self) -> None:
        _inside("environment.file", self.file)


@dataclass(frozen=True, slots=True)
class Recipe:
    """``command`` runs at the root of the repository; it reads ``data`` and writes ``model`` and ``metrics`` (a JSON
    map of numbers), all paths below that root. ``tolerance``: how far each metric may be from what was registered,
    absolute; with none, only the same bytes of the model are the same.
    """

    command: tuple[str, ...]
    data: str
    model: str
    metrics: str = ""
    environment: Environment | None = None
    tolerance: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.command:
            raise UsageError("ST1583", "recipe: the command is empty.", remedy="command: [python, train.py]")
        for name in ("data", "model", "metrics"):
            if path := getattr(self, name):
                _inside(name, path)
            elif name != "metrics":
                raise UsageError("ST1583", f"recipe: '{name}' is empty.", remedy="A path below the repository's root.")
        for name, allowed in self.tolerance.items():
            if not (math.isfinite(allowed) and allowed >= 0):
                raise UsageError(
                    "ST1583", f"recipe: the tolerance of '{name}' is {allowed}.", remedy="A number, at least 0."
                )


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was compared; ``same`` is None for what was not reached, or does not matter any more."""

    what: Checked
    expected: str
    found: str
    same: bool | None


def compare_metrics(
    registered: Mapping[str, float], measured: Mapping[str, float], tolerance: Mapping[str, float]
) -> Check:
    """All that was registered is measured again, each within its tolerance (0 where none is stated).

    Without any tolerance or any metric nothing is shown, so nothing is the same. The first difference is named.

    >>> compare_metrics({"auc": 0.91}, {"auc": 0.9105}, {"auc": 0.001}).same
    True
    >>> compare_metrics({"auc": 0.91}, {"auc": 0.90}, {"auc": 0.001})
    Check(what='metrics', expected='auc 0.91 ± 0.001', found='auc 0.9', same=False)
    """
    if not registered or not tolerance:
        lacking = "metrics are registered" if not registered else "tolerance is stated"
        return Check("metrics", f"no {lacking}", "nothing to hold them against", False)
    for name, old in sorted(registered.items()):
        allowed, new = tolerance.get(name, 0.0), measured.get(name)
        # Written decimals: 0.9 and 0.8 are 0.1 apart, though their floats are not.
        if new is None or not math.isfinite(new) or abs(new - old) > allowed + 4 * math.ulp(abs(old) + allowed):
            return Check("metrics", _within(name, old, allowed), f"{name} {'missing' if new is None else new}", False)
    expected = ", ".join(_within(name, registered[name], tolerance.get(name, 0.0)) for name in sorted(registered))
    return Check("metrics", expected, ", ".join(f"{name} {measured[name]}" for name in sorted(registered)), True)


def _within(name: str, value: float, allowed: float) -> str:
    return f"{name} {value} ± {allowed:g}"


def _inside(name: str, path: str) -> None:
    """A recipe is registered by one person and run by another: it writes nowhere but in the scratch directory."""
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or not any(part not in ("", ".") for part in parts):
        raise UsageError(
            "ST1583", f"recipe: '{name}' is {path!r}, outside of the repository.",
            remedy="A path below the repository's root.",
        )  # fmt: skip
