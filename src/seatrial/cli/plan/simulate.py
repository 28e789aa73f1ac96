"""``seatrial plan simulate``: how a plan behaves, before anybody meets it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import amounts, output
from seatrial.cli.plan import simulate_input
from seatrial.cli.session import project_of
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.rollout.plan import Plan
    from seatrial.rollout.simulate.effects import Scenario
    from seatrial.rollout.simulate.plan import LeftOut
    from seatrial.rollout.simulate.study import Chance, Result, Spread

DECLARE = "Declaring a population"

_MANY_LOOKS = 20_000
"""Looks of one release from which on a thousand releases take hours."""


class Purpose(StrEnum):
    """What a scenario is a trial of."""

    EQUAL = "equal"
    MARGIN = "margin"
    HARM = "harm"
    BETTER = "better"


def simulate(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The plan's YAML file.")],
    effect: Annotated[
        list[str] | None,
        typer.Option(help="NAME=CHANGE of the harm to try, e.g. ctr=-3% or errors=+1pp.", show_default="2 margins"),
    ] = None,
    scenario: Annotated[
        list[Purpose] | None, typer.Option(help="Only these scenarios; may be repeated.", show_default="all")
    ] = None,
    releases: Annotated[int, typer.Option(min=1, help="Releases a scenario.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Processes; the result is the same for any number.")] = 1,
    look_every: Annotated[
        str | None, typer.Option(help="Look less often than the plan says; a simulation is the faster for it.")
    ] = None,
    traffic: Annotated[
        str | None, typer.Option(help="Requests per time, e.g. 200k/day.", rich_help_panel=DECLARE)
    ] = None,
    population: Annotated[
        str | None,
        typer.Option(help="Units that make the requests.", rich_help_panel=DECLARE, show_default="a day's requests"),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE of the champion: ctr=5.2%, basket=48.3.", rich_help_panel=DECLARE),
    ] = None,
    deviation: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE: standard deviation of one request, for means and losses.",
                     rich_help_panel=DECLARE),
    ] = None,
    icc: Annotated[
        list[str] | None,
        typer.Option(help="VALUE for all outcomes, or NAME=VALUE: share of the variance that is between units.",
                     rich_help_panel=DECLARE, show_default="0"),
    ] = None,
    weekly: Annotated[
        str | None,
        typer.Option(help="Traffic of Monday to Sunday, e.g. 1.1,1.1,1.1,1,1,0.8,0.9.", rich_help_panel=DECLARE,
                     show_default="all alike"),
    ] = None,
    from_log: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Resample the units of this model's log instead.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the shares and times as .svg or .png.")] = None,
    as_json: output.Json = False,
) -> None:  # fmt: skip
    """How a plan behaves: thousands of releases through the real gates, with and without harm.

    Scenarios: no effect, each guardrail at its margin, harm, and improvement. The traffic is declared with --traffic
    and --baseline, or resampled from the project's own log with --from-log.
    """
    from seatrial.charts.save import check_name
    from seatrial.control.analyses.simulation import run_study
    from seatrial.rollout.simulate.plan import looking, simulable
    from seatrial.rollout.simulate.study import Study
    from seatrial.store.plans import check_plan, read_plan
    from seatrial.values import Duration

    whole = check_plan(read_plan(file))
    if plot is not None:
        check_name(plot)
    plan, left = simulable(whole, recorded=from_log is not None)
    if look_every is not None:
        plan = looking(plan, amounts.read("--look-every", look_every, Duration.parse, "15m"))
    given = {"traffic": traffic, "population": population, "baseline": baseline, "deviation": deviation, "icc": icc,
             "weekly": weekly}  # fmt: skip
    if from_log is None:
        here = simulate_input.declared(plan, given)
    else:
        here = simulate_input.logged(project_of(context), plan, from_log, given)
    tried = _tried(plan, here, effect, {purpose.value for purpose in scenario or Purpose})
    looks = plan.deadline.seconds / plan.look_every.seconds
    if looks > _MANY_LOOKS:
        output.note(f"a release may take {looks:,.0f} looks; --look-every {plan.time_bucket} takes fewer")
    with _progress(len(tried) * releases) as tell:
        results = run_study(Study(plan, here.source, tried, here.begin), releases, seed, jobs=jobs, tell=tell)
    document = _document(whole, plan, here, left, releases, seed, results)
    if plot is not None:
        _draw(document, plot)
    if as_json:
        output.data(document)
        return
    from seatrial.cli.plan import simulate_tables

    simulate_tables.show(document)
    if plot is not None:
        output.note(f"✔ the shares and times are in {plot}")


def _tried(
    plan: Plan, here: simulate_input.Traffic, effect: list[str] | None, wanted: Collection[str]
) -> tuple[Scenario, ...]:
    """The scenarios of the purposes that are wanted. Raises UsageError for an effect that cannot be, or for none."""
    from seatrial.rollout.simulate.effects import Effect, scenarios
    from seatrial.rollout.simulate.plan import is_share

    metrics = {metric.name: metric for metric in plan.guardrails}
    declared = amounts.by_name("--effect", effect, metrics, Effect.parse, "-3%")
    for name, change in declared.items():
        if not change.keeps(here.rates.get(name), share=is_share(metrics[name])):
            raise UsageError(
                "ST0263", f"--effect {name}={change}: there is not so much to change.",
                remedy="Nothing falls below zero, and no share rises above 100%.",
            )  # fmt: skip
    tried = tuple(s for s in scenarios(plan, declared) if s.purpose in wanted)
    if not tried:
        raise UsageError(
            "ST0266", f"plan '{plan.name}' has no scenario of these: errors and slow answers are tried by harm alone.",
            remedy="Add --scenario harm.",
        )  # fmt: skip
    return tried


def _document(
    whole: Plan,
    plan: Plan,
    here: simulate_input.Traffic,
    left: Sequence[LeftOut],
    releases: int,
    seed: int,
    results: Sequence[Result],
) -> dict[str, Any]:
    """``seatrial.simulation.v1``. The number of processes is not in it: it changes nothing."""
    return {
        "schema": "seatrial.simulation.v1",
        "plan": whole.name,
        "lookEvery": {"plan": str(whole.look_every), "simulated": str(plan.look_every)},
        "traffic": dict(here.document),
        "releases": releases,
        "seed": seed,
        "assumptions": list(here.assumptions),
        "leftOut": [{"what": item.what, "why": item.why} for item in left],
        "scenarios": [_scenario(result) for result in results],
    }


def _scenario(result: Result) -> dict[str, Any]:
    return {
        "name": result.scenario.name,
        "purpose": result.scenario.purpose,
        "effects": {name: str(effect) for name, effect in result.scenario.effects.items()},
        "ends": {end: _chance(chance) for end, chance in result.ends.items()},
        "struck": _chance(result.struck),
        "days": {end: _spread(spread) for end, spread in result.days.items()},
        "daysToDetect": _spread(result.detection),
        "unitsExposed": _spread(result.exposed),
        "rules": result.rules,
        "guardrails": result.metrics,
        "looks": result.looks,
    }


def _chance(chance: Chance) -> dict[str, Any]:
    low, high = chance.interval
    return {"count": chance.count, "share": chance.share, "error": chance.error, "interval": [low, high]}


def _spread(spread: Spread) -> dict[str, Any]:
    return {"median": spread.median, "p90": spread.most}


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr for people; nothing where nobody watches."""
    console = output.stderr()
    if not console.is_terminal:
        yield lambda done: None
        return
    from rich.progress import Progress

    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("releases", total=total)
        yield lambda done: bar.advance(task, done)


def _draw(document: dict[str, Any], path: Path) -> None:
    from seatrial.charts.save import save
    from seatrial.charts.simulation import simulation_chart

    save(simulation_chart(document), path)
