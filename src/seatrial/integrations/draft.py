"""A plan in the making, from another tool's manifest: what could be taken over, and where their rule is weaker."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from seatrial.errors import UsageError

MARGIN: Final = "1pp"
SLOW_MARGIN: Final = "2pp"
"""Put in where the other tool has no margin; the warning says so."""

_SPAN: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")


@dataclass(frozen=True, slots=True)
class Imported:
    """A plan as its YAML document has it, and what to know about it. ``source``: ``Argo Rollouts`` or ``Flagger``."""

    source: str
    plan: Mapping[str, Any]
    warnings: tuple[str, ...]


@dataclass(slots=True)
class Draft:
    """What was taken over so far."""

    source: str
    name: str
    steps: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    weight: float = 0.0

    def warn(self, text: str) -> None:
        """Once, however often it is true."""
        if text not in self.warnings:
            self.warnings.append(text)

    def set_weight(self, weight: float) -> bool:
        """Open a stage of so many per cent; False if it is the one that is open. Raises UsageError (ST0305)."""
        if weight == self.weight:
            self.warn(f"setWeight {weight:g}% a second time changes nothing and is left out.")
            return False
        if not self.weight < weight <= 100:
            raise UsageError(
                "ST0305", f"'{self.name}': a weight of {weight:g}% after {self.weight:g}% cannot be expressed.",
                remedy="Weights rise from step to step; going back is what the evidence decides.",
            )  # fmt: skip
        self.weight = weight
        self.steps.append({"setWeight": f"{weight:g}%"})
        return True

    def guard(self, metric: dict[str, Any]) -> None:
        """Add a metric; of two with one name the second gets a number."""
        names = {known["name"] for known in self.metrics}
        name, n = metric["name"], 1
        while metric["name"] in names:
            n += 1
            metric["name"] = f"{name}_{n}"
        self.metrics.append(metric)

    def finished(self) -> Imported:
        """The plan, with the warnings that every such manifest earns. Raises UsageError (ST0306) without any canary."""
        if not self.steps:
            raise UsageError(
                "ST0306", f"'{self.name}': nobody would see the candidate before everybody does.",
                remedy="Add a step with a weight below 100%, or begin from one of `seatrial plan templates`.",
            )  # fmt: skip
        if not any(metric.get("role") != "dryRun" for metric in self.metrics):
            self.guard({"name": "errors", "kind": "error_rate", "margin": MARGIN})
            self.warn(f"{self.source} would promote without looking at anything: a guardrail on errors was added.")
        self.warn(
            "There are no outcomes: nothing says what the predictions were worth. Add a metric of kind loss or "
            "proportion with its outcome and horizon, and pauses longer than that."
        )
        self.warn(
            f"{self.source} splits requests, seatrial splits units: each user stays with one version. "
            "Requests without the model's unit header stay on the champion."
        )
        plan = {
            "name": self.name,
            "description": f"Imported from {self.source}.",
            "metrics": self.metrics,
            "steps": self.steps,
        }
        return Imported(self.source, plan, tuple(self.warnings))


def errors_metric(name: str, at_most: float) -> dict[str, Any]:
    """``at_most``: the share of failed requests that their constant allows."""
    return {"name": name, "kind": "error_rate", "margin": MARGIN, "limit": share(at_most)}


def slow_metric(name: str, threshold_ms: float, at_most: float) -> dict[str, Any]:
    """``at_most``: the share of slower answers that their quantile allows."""
    return {
        "name": name, "kind": "latency", "threshold": f"{threshold_ms:g}ms", "margin": SLOW_MARGIN,
        "limit": share(at_most),
    }  # fmt: skip


def share(fraction: float) -> str:
    """Of a limit: at least 0.01%, because weights and shares are counted in 1/10,000."""
    return f"{max(round(100 * fraction, 2), 0.01):g}%"


def span(value: object, place: str) -> str:
    """A duration in their words (``10m``, ``1h30m``, seconds as a number). Raises UsageError (ST0305)."""
    if isinstance(value, bool) or value is None:
        raise _no_span(value, place)
    if isinstance(value, (int, float)) or str(value).isdigit():
        return f"{value}s"
    if not _SPAN.fullmatch(str(value)):
        raise _no_span(value, place)
    return str(value)


def _no_span(value: object, place: str) -> UsageError:
    return UsageError("ST0305", f"{place}: {value!r} is not a duration.", remedy="e.g. 10m or 1h30m.")


def number(value: object, place: str) -> float:
    """Raises UsageError (ST0305)."""
    try:
        return float(str(value))
    except ValueError:
        raise UsageError("ST0305", f"{place}: {value!r} is not a number.", remedy="Correct the manifest.") from None


def mapping(value: object, place: str) -> Mapping[str, Any]:
    """Raises UsageError (ST0304); what is not there is an empty map."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UsageError("ST0304", f"{place} is not a map of fields.", remedy="Is it what the cluster has?")
    return value


def listing(value: object, place: str) -> Sequence[Any]:
    """Raises UsageError (ST0304); what is not there is an empty list."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise UsageError("ST0304", f"{place} is not a list.", remedy="Is it what the cluster has?")
    return value


def inexpressible(place: str, why: str, remedy: str) -> UsageError:
    return UsageError("ST0306", f"{place}: {why}", remedy=remedy)
