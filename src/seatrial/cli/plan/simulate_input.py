"""What ``seatrial plan simulate`` runs on: a population that options declare, or the project's own log."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from seatrial.cli import amounts
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.control.project import Project
    from seatrial.rollout.metric import Metric
    from seatrial.rollout.plan import Plan
    from seatrial.rollout.simulate.study import Source
    from seatrial.rollout.simulate.traffic import Declared, Form, Rate

_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
"""When simulated releases begin: a midnight, so that looks and time buckets line up."""

_MOST_ROWS = 20_000_000
"""Exposures of one resampled release; they are held in memory."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Exposures to simulate on, when they begin, and what is to be told of them; ``rates`` are declared baselines."""

    source: Source
    begin: datetime
    document: Mapping[str, Any]
    assumptions: tuple[str, ...]
    rates: Mapping[str, float]


def declared(plan: Plan, given: Mapping[str, Any]) -> Traffic:
    """The population that the options declare. Raises UsageError for what is missing, all of it at once."""
    from seatrial.rollout.simulate.traffic import Declared

    if given["traffic"] is None:
        raise UsageError(
            "ST0260", f"plan '{plan.name}': there is nothing to simulate on.",
            remedy="Give --traffic 200k/day and --baseline NAME=VALUE, or --from-log MODEL.",
        )  # fmt: skip
    requests = amounts.read("--traffic", given["traffic"], amounts.per_day, "200k/day")
    units = requests
    if given["population"] is not None:
        units = amounts.read("--population", given["population"], _amount, "50k")
    if not (requests > 0 and 1 <= units <= 20e6):
        raise UsageError(
            "ST0263", f"{requests:,.0f} requests a day by {units:,.0f} units cannot be simulated.",
            remedy="There must be traffic, from 1 to 20 million units: --population 50k.",
        )  # fmt: skip
    week = amounts.read("--weekly", given["weekly"] or "1,1,1,1,1,1,1", _week, "1.1,1.1,1.1,1,1,0.8,0.9")
    given_traffic = Declared(requests, round(units), _rates(plan, given), week)
    baselines = {name: rate.baseline for name, rate in given_traffic.rates.items()}
    document = {
        "kind": "declared", "requestsPerDay": requests, "units": given_traffic.units, "weekly": list(week),
        "metrics": {
            name: {"baseline": rate.baseline, "deviation": rate.sd or None, "icc": rate.icc}
            for name, rate in given_traffic.rates.items()
        },
    }  # fmt: skip
    return Traffic(given_traffic, _MONDAY, document, tuple(_assumed(plan, given_traffic, given)), baselines)


def _assumed(plan: Plan, declared: Declared, given: Mapping[str, Any]) -> Iterator[str]:
    """What nobody declared, in words."""
    if given["population"] is None:
        yield f"as many units as requests a day ({declared.units:,}), who come back at random (--population)"
    if given["icc"] is None and any(r.form != "event" for r in declared.rates.values()):
        yield "units do not differ in their outcomes (--icc)"
    if given["weekly"] is None:
        yield "all days have the same traffic (--weekly)"
    if plan.mirrors and any(metric.pairs for metric in plan.guardrails):
        yield "in shadow, losses of both models on the same request correlate by 0.9 before any effect"
    yield "metrics do not depend on each other, a release begins on a Monday at midnight"


def _rates(plan: Plan, given: Mapping[str, Any]) -> dict[str, Rate]:
    names = {metric.name for metric in plan.metrics}
    baselines = amounts.by_name("--baseline", given["baseline"], names, amounts.number, "5.2%")
    deviations = amounts.by_name("--deviation", given["deviation"], names, amounts.number, "31.5")
    single = [text for text in given["icc"] or () if "=" not in text]
    named = amounts.by_name("--icc", [t for t in given["icc"] or () if "=" in t], names, amounts.number, "0.05")
    common = amounts.read("--icc", single[-1], amounts.number, "0.05") if single else 0.0
    from seatrial.rollout.simulate.plan import is_share

    missing = [f"--baseline {m.name}={'5%' if is_share(m) else '1.0'}" for m in plan.metrics if m.name not in baselines]
    missing += [f"--deviation {m.name}=0.5" for m in plan.metrics if not is_share(m) and m.name not in deviations]
    if missing:
        raise UsageError(
            "ST0262", f"plan '{plan.name}': not every metric that decides is declared.",
            remedy=f"Add {' '.join(missing)} with your numbers, or resample a log with --from-log MODEL.",
        )  # fmt: skip
    rates = {
        m.name: _rate(m, baselines[m.name], deviations.get(m.name, 0.0), named.get(m.name, 0.0 if m.rare else common))
        for m in plan.metrics
    }
    if sum(rate.baseline for rate in rates.values() if rate.form == "event") >= 1:
        raise UsageError(
            "ST0263", "the baselines of errors and slow answers come to 100% or more.",
            remedy="They are shares of the requests: --baseline errors=0.2%.",
        )  # fmt: skip
    return rates


def _rate(metric: Metric, baseline: float, deviation: float, icc: float) -> Rate:
    """One metric of the champion. Raises UsageError (ST0263) for numbers that it cannot have."""
    from seatrial.rollout.simulate.plan import counted, is_share
    from seatrial.rollout.simulate.traffic import Rate

    share = is_share(metric)
    wrong = ""
    if not 0 <= icc < 1:
        wrong = f"an ICC of {icc:g} is not from 0 to below 1"
    elif share and not 0 <= baseline < 1:
        wrong = f"a share of {baseline:g} is not from 0% to below 100%"
    elif not share and not (baseline > 0 and deviation > 0):
        wrong = "a mean and its deviation must be above 0"
    elif share and deviation:
        wrong = "the deviation of a share follows from its baseline"
    if wrong:
        raise UsageError(
            "ST0263", f"metric '{metric.name}': {wrong}.", remedy="Correct --baseline, --deviation or --icc."
        )
    form: Form = "event" if metric.rare else "share" if share else "amount"
    return Rate(form, baseline, deviation, icc, counted=counted(metric))


def logged(project: Project, plan: Plan, model: str, given: Mapping[str, Any]) -> Traffic:
    """The project's log of a model. Raises UsageError (ST0260) for options of a declared population."""
    from seatrial.engines.exposures import exposures

    both = [f"--{name}" for name, value in given.items() if value is not None]
    if both:
        raise UsageError(
            "ST0260", f"--from-log {model} takes everything from the log; {', '.join(both)} would declare it.",
            remedy="Choose one of both.",
        )  # fmt: skip
    found = exposures(project.events, project.outcomes, plan, model)
    rounds = math.ceil(plan.deadline.seconds / (86_400 * found.days))
    if rounds * found.rows > _MOST_ROWS:
        raise UsageError(
            "ST0267", f"plan '{plan.name}' may last {plan.deadline}, which is {rounds:,} rounds through {found.rows:,} "
            f"exposures of '{model}': more than {_MOST_ROWS:,} fit.",
            remedy="Simulate a copy of the plan with a shorter deadline, or declare a population with --traffic.",
        )  # fmt: skip
    document = {
        "kind": "log", "model": model, "units": found.units, "exposures": found.rows, "days": found.days,
        "leftOut": found.cut,
    }  # fmt: skip
    assumed = (
        f"units of {model} are drawn with replacement within the time bucket of their first request, whole",
        f"the log covers {found.days} d; a longer release goes round it again, drawing anew",
        f"{found.cut:,} exposures younger than the longest horizon are left out",
        "a candidate without effect answers as the champion did",
    )
    return Traffic(found.recorded, _MONDAY, document, assumed, {})


def _amount(text: str) -> float:
    """A plain amount with k or M, e.g. 50k: so many a day, without the day."""
    return amounts.per_day(f"{text}/d")


def _week(text: str) -> tuple[float, ...]:
    """Seven weights, brought to a mean of 1. Raises ValueError."""
    days = [amounts.number(part) for part in text.split(",")]
    if len(days) != 7 or min(days) < 0 or sum(days) <= 0:
        raise ValueError(f"{text!r} is not the traffic of seven days")
    return tuple(7 * day / sum(days) for day in days)
