"""``seatrial calc rollback-impact`` and ``standby-cost``: what a slow way home costs, and what a fast one does."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from seatrial.cli import amounts, output
from seatrial.cli.calc.say import say
from seatrial.errors import UsageError

Rate = Annotated[str, typer.Option(metavar="AMOUNT", help="Requests per time, e.g. 5M/h.")]
_TIME = "e.g. 5, 5s or 5m"


def add_to(app: typer.Typer) -> None:
    app.command("rollback-impact")(rollback_impact)
    app.command("standby-cost")(standby_cost)


def rollback_impact(
    rate: Rate,
    seconds: Annotated[str, typer.Option(metavar="TIME", help="What the rollback takes, e.g. 5 or 5s.")],
    share: Annotated[str, typer.Option(metavar="SHARE", help="The part of the traffic that is harmed.")] = "100%",
    detection: Annotated[
        str, typer.Option(metavar="TIME", help="Until somebody or something notices, before that.")
    ] = "0s",
    cost_per_request: Annotated[
        float | None, typer.Option(min=0, metavar="MONEY", help="What a harmed request costs.")
    ] = None,
    versus: Annotated[
        str | None, typer.Option(metavar="TIME", help="What it takes today, e.g. 5m: compared with --seconds.")
    ] = None,
    investment: Annotated[
        float | None, typer.Option(min=0, metavar="MONEY", help="What the faster way costs once, with --versus.")
    ] = None,
    incidents: Annotated[str, typer.Option(metavar="AMOUNT", help="How often, e.g. 2/month.")] = "1/month",
    as_json: output.Json = False,
) -> None:
    """How many requests a rollback reaches too late, detection apart; with --versus also whether a faster one pays."""
    from seatrial.rollout import way_home

    hourly, part = _per_hour(rate), amounts.read("--share", share, _part, "25%")
    took, noticed = _seconds("--seconds", seconds), _seconds("--detection", detection)
    slow = None if versus is None else _seconds("--versus", versus)
    if investment is not None and (slow is None or cost_per_request is None):
        raise UsageError(
            "ST0142", "--investment is held against what it saves.",
            remedy="Say what it takes today, and what a request costs: --versus 5m --cost-per-request 0.01",
        )  # fmt: skip
    monthly = amounts.read("--incidents", incidents, _per_month, "2/month")
    during, before = way_home.affected(hourly, part, took), way_home.affected(hourly, part, noticed)
    document: dict[str, Any] = {
        "rate_per_hour": hourly,
        "share": part,
        "seconds": took,
        "detection_seconds": noticed,
        "affected": during,
        "affected_before_detection": before,
        "affected_in_all": during + before,
        "per_second": way_home.affected(hourly, part, 1.0),
        "cost_per_request": cost_per_request,
        "cost": None if cost_per_request is None else cost_per_request * (during + before),
        "versus": None,
        "investment": None,
    }
    if slow is not None:
        today = way_home.affected(hourly, part, slow)
        document["versus"] = {"seconds": slow, "affected": today, "spared": today - during}
        if cost_per_request is not None:
            found = way_home.investment(
                investment or 0.0, today, during, incidents=monthly, loss=cost_per_request
            )  # fmt: skip
            document["investment"] = {"cost": investment, "incidents_a_month": monthly, **asdict(found)}
    say("rollback-impact", document, as_json)


def standby_cost(
    pods: Annotated[int, typer.Option(min=1, max=10**6, help="Replicas that serve the model.")],
    pod_cost: Annotated[float, typer.Option(min=0, metavar="MONEY", help="Of one, a month.")],
    rate: Rate,
    idle_share: Annotated[
        str, typer.Option(metavar="PART", help="What one that stands by costs, of one that serves.")
    ] = "50%",
    revenue: Annotated[
        str | None, typer.Option(metavar="MONEY", help="Attributed to the model a month, e.g. 2M.")
    ] = None,
    cost_per_request: Annotated[
        float | None,
        typer.Option(min=0, metavar="MONEY", help="Of a lost request.", show_default="its part of the revenue"),
    ] = None,
    pull: Annotated[str, typer.Option(metavar="TIME", help="Until the image is there.")] = "30s",
    load: Annotated[str, typer.Option(metavar="TIME", help="Until the model is loaded.")] = "45s",
    warm_up: Annotated[str, typer.Option(metavar="TIME", help="Until it answers as fast as it can.")] = "15s",
    as_json: output.Json = False,
) -> None:
    """What a standby costs a month, hot, warm or cold, and how many requests each loses on the way home."""
    from seatrial.rollout import way_home

    hourly, earned = _per_hour(rate), None if revenue is None else amounts.read("--revenue", revenue, _money, "2M")
    found = way_home.kept(
        pods=pods,
        pod_cost=pod_cost,
        idle_share=amounts.read("--idle-share", idle_share, _part, "50%"),
        rate=hourly,
        revenue=earned,
        loss=cost_per_request,
        pull=_seconds("--pull", pull),
        load=_seconds("--load", load),
        warm_up=_seconds("--warm-up", warm_up),
    )
    document = {
        "pods": pods,
        "pod_cost": pod_cost,
        "rate_per_hour": hourly,
        "revenue": earned,
        "policies": [asdict(one) for one in found],
    }
    say("standby-cost", document, as_json)


# ── what people write ──────────────────────────────────────────────────────────────────────────────────────────────


def _per_hour(text: str) -> float:
    found = amounts.read("--rate", text, amounts.per_day, "5M/h") / 24
    if not 0 < found < 1e15:
        raise UsageError("ST0143", f"--rate: '{text}' is no traffic.", remedy="e.g. --rate 5M/h")
    return found


def _seconds(option: str, text: str) -> float:
    from seatrial.values import Duration

    return amounts.read(option, f"{text}s" if text.strip().isdigit() else text, Duration.parse, _TIME).seconds


def _part(text: str) -> float:
    found = amounts.number(text)
    if not 0 < found <= 1:
        raise ValueError(f"{text!r} is not a part of the whole such as 25%")
    return found


def _per_month(text: str) -> float:
    """Incidents a month, from ``2/month`` or ``24/year``."""
    number, _, unit = text.partition("/")
    per = {"month": 1.0, "year": 1 / 12, "week": 365 / 12 / 7}
    found = amounts.number(number)
    if unit.strip() not in per or not 0 < found < 1e6:
        raise ValueError(f"{text!r} is not so many per time: week, month or year")
    return found * per[unit.strip()]


def _money(text: str) -> float:
    """``2M``, ``350k`` or a number."""
    scale = {"k": 1e3, "M": 1e6, "G": 1e9}.get(text.strip()[-1:], 1.0)
    found = amounts.number(text.strip()[:-1] if scale != 1.0 else text) * scale
    if not 0 < found < 1e15:
        raise ValueError(f"{text!r} is no amount such as 2M")
    return found
