"""``seatrial plan forecast``: what a plan sees on given traffic, how long it takes, and which share to choose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import amounts, output
from seatrial.cli.session import opened, project_of
from seatrial.errors import Exit, PlanError, UsageError

if TYPE_CHECKING:
    from seatrial.control.project import Project
    from seatrial.rollout.forecast import Forecast, Traffic
    from seatrial.rollout.metric import Metric
    from seatrial.rollout.plan import Plan
    from seatrial.rollout.validate import Problem


class Rhythm(StrEnum):
    """Whether whole weeks are recommended."""

    AUTO = "auto"
    WEEKLY = "weekly"
    NONE = "none"


def forecast(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The plan's YAML file.")],
    model: Annotated[str | None, typer.Option(help="Traffic as the latest rollouts of this model saw it.")] = None,
    traffic: Annotated[str | None, typer.Option(help="Requests per time, e.g. 20M/day or 500/h.")] = None,
    units: Annotated[
        str | None, typer.Option(help="New units per time; without it each request is a unit of its own.")
    ] = None,
    baseline: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: what the champion has, e.g. ctr=5.2% or basket=48.3.")
    ] = None,
    deviation: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: standard deviation of one request, for what is no share.")
    ] = None,
    skewness: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: skewness of one request, where a few are very large.")
    ] = None,
    design_effect: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE, or one VALUE for all: variance over that of independent requests."),
    ] = None,
    power: Annotated[str, typer.Option(help="Wanted probability that a good candidate passes.")] = "80%",
    effect: Annotated[
        str | None, typer.Option(help="A worsening to count harm for, and to ask about, e.g. 2% or 0.5pp.")
    ] = None,
    rhythm: Annotated[Rhythm, typer.Option(help="Recommend whole weeks: auto asks the log.")] = Rhythm.AUTO,
    historic: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: by how much the champion beats its baseline, e.g. ctr=4%.")
    ] = None,
    margin_at_most: Annotated[
        str | None, typer.Option(help="The part of a historic effect that a margin may give up, e.g. 50%.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write power against days by share, as .svg or .png.")] = None,
    as_json: output.Json = False,
) -> None:
    """How long each step takes for the wanted power, what binds it, and which share to choose.

    Exit 2 if the plan cannot come to a decision before its deadline, or a margin gives up too much.
    """
    from seatrial.rollout.forecast import forecast as forecast_plan
    from seatrial.store.plans import check_plan, read_plan

    plan = check_plan(_with_history(read_plan(file), historic, margin_at_most))
    declared = _Declared.read(plan, traffic, units, baseline, deviation, skewness, design_effect)
    known = declared.complete(plan, {} if model is None else _logged(project_of(context), plan, model))
    told = forecast_plan(
        plan,
        known,
        effect=effect_of(effect),
        power=amounts.read("--power", power, amounts.share, "80%"),
        rhythm=rhythm.value,
    )
    document = _document(plan, model, known, told)
    if plot is not None:
        _draw(plan, known, told, plot)
    if as_json:
        output.data(document)
    else:
        _show(document, plot)
    if told.problems:
        if not as_json:
            first, *more = told.problems
            also = "".join(f" {problem}" for problem in more)
            raise PlanError(first.code, f"plan '{plan.name}', {first.where}: {first.text}{also}", remedy=first.remedy)
        raise typer.Exit(Exit.USAGE)


def rows(project: Project, plan: Plan, model: str, effect: float | None = None) -> list[dict[str, Any]]:
    """One row a step and guardrail; empty when no rollout of the model has measured them. Raises NotFound."""
    from seatrial.control.analyses.outlook import outlook
    from seatrial.control.documents.views import plain
    from seatrial.store.artifacts import ArtifactStore

    with opened(project) as store, store.read() as tx:
        return [plain(sight) for sight in outlook(tx, ArtifactStore(project.artifacts), plan, model, effect)]


def refused(project: Project, plan: Plan, model: str) -> list[Problem]:
    """What a forecast on the traffic of a model refuses; nothing where no rollout has measured it. Raises NotFound."""
    from seatrial.rollout.forecast import forecast as forecast_plan

    known = _logged(project, plan, model)
    return [*forecast_plan(plan, known).problems] if known else []


def effect_of(text: str | None) -> float | None:
    """How large the worsening is that was asked about. Raises UsageError for one without its unit."""
    from seatrial.values import Margin

    try:
        return None if text is None else Margin.parse(text).value
    except ValueError as error:
        raise UsageError("ST0888", f"--effect: {error}.", remedy="e.g. --effect 2%") from None


# ── what is known ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Declared:
    """What the flags say of the traffic; None and empty where they say nothing."""

    per_day: float | None
    units: float | None
    baselines: Mapping[str, float]
    deviations: Mapping[str, float]
    skewnesses: Mapping[str, float]
    design_effects: Mapping[str, float]

    @classmethod
    def read(
        cls,
        plan: Plan,
        traffic: str | None,
        units: str | None,
        baseline: list[str] | None,
        deviation: list[str] | None,
        skewness: list[str] | None,
        design_effect: list[str] | None,
    ) -> _Declared:
        names = {metric.name for metric in plan.guardrails}
        given = design_effect or []
        for_all = [text for text in given if "=" not in text]
        named = [text for text in given if "=" in text]
        common = {n: amounts.read("--design-effect", t, amounts.number, "1.7") for t in for_all for n in names}
        return cls(
            None if traffic is None else amounts.read("--traffic", traffic, amounts.per_day, "20M/day"),
            None if units is None else amounts.read("--units", units, amounts.per_day, "2M/day"),
            amounts.by_name("--baseline", baseline, names, amounts.number, "5.2%"),
            amounts.by_name("--deviation", deviation, names, amounts.number, "31.5"),
            amounts.by_name("--skewness", skewness, names, amounts.number, "12"),
            common | amounts.by_name("--design-effect", named, names, amounts.number, "1.7"),
        )

    def complete(self, plan: Plan, logged: Mapping[str, Traffic]) -> dict[str, Traffic]:
        """Traffic of every guardrail that is known, from the log and the flags; the flags count where both speak."""
        volume = self.per_day or max((seen.exposures_per_day for seen in logged.values()), default=None)
        if volume is None:
            raise UsageError(
                "ST0254", f"plan '{plan.name}': nothing is known of the traffic.",
                remedy="Give --traffic 20M/day and --baseline NAME=VALUE, or --model of one that had a rollout.",
            )  # fmt: skip
        found = {}
        for metric in plan.guardrails:
            seen = self._of(metric, logged.get(metric.name), volume)
            if seen is not None:
                found[metric.name] = seen
        if not found:
            raise UsageError(
                "ST0255", f"plan '{plan.name}': no guardrail has a baseline.",
                remedy="Give --baseline NAME=VALUE, and --deviation NAME=VALUE for what is no share.",
            )  # fmt: skip
        return found

    def _of(self, metric: Metric, seen: Traffic | None, volume: float) -> Traffic | None:
        name = metric.name
        if seen is not None and name not in self.baselines and name not in self.deviations:
            return self._adjusted(name, seen)
        if name not in self.baselines and not metric.rare:
            return None
        from seatrial.rollout.forecast import declare

        try:
            return declare(
                metric,
                volume,
                self.baselines.get(name),
                deviation=self.deviations.get(name),
                skewness=self.skewnesses.get(name, 0.0),
                design_effect=self.design_effects.get(name, 1.0),
                units_per_day=self.units,
            )
        except ValueError as error:
            raise UsageError(
                "ST0255", f"metric '{name}': {error}.", remedy=f"e.g. --baseline {name}=5.2%, --deviation {name}=0.4"
            ) from None

    def _adjusted(self, name: str, seen: Traffic) -> Traffic:
        """The log's rate and noise with the declared volume, if any; a declared design effect replaces the log's."""
        volume = self.per_day or seen.exposures_per_day
        units = self.units or seen.units_per_day * volume / seen.exposures_per_day
        skewness = self.skewnesses.get(name, seen.skewness)
        known = replace(seen, exposures_per_day=volume, units_per_day=units, skewness=skewness)
        wanted = self.design_effects.get(name)
        if wanted is None or seen.design_effect is None:
            return known
        return replace(known, variance=seen.variance * wanted / seen.design_effect, design_effect=wanted)


def _logged(project: Project, plan: Plan, model: str) -> Mapping[str, Traffic]:
    from seatrial.control.analyses.outlook import traffic_of
    from seatrial.store.artifacts import ArtifactStore

    with opened(project) as store, store.read() as tx:
        return traffic_of(tx, ArtifactStore(project.artifacts), plan, model)


def _with_history(plan: Plan, historic: list[str] | None, at_most: str | None) -> Plan:
    """The plan with the historic effects and the limit that flags declare: the same check as if it said them itself."""
    from seatrial.values import Margin, Share

    names = {metric.name for metric in plan.guardrails}
    gained = amounts.by_name("--historic", historic, names, Margin.parse, "4%")
    metrics = tuple(replace(m, historic_effect=gained.get(m.name, m.historic_effect)) for m in plan.metrics)
    limit = plan.margin_at_most if at_most is None else amounts.read("--margin-at-most", at_most, Share.parse, "50%")
    return replace(plan, metrics=metrics, margin_at_most=limit)


# ── what is said ───────────────────────────────────────────────────────────────────────────────────────────────────


def _document(plan: Plan, model: str | None, known: Mapping[str, Traffic], told: Forecast) -> dict[str, Any]:
    from seatrial.control.documents.plans import later
    from seatrial.control.documents.views import plain
    from seatrial.rollout.forecast.textbook import FORMULA

    body = plain(told)
    for found, stage in zip(told.stages, body["stages"], strict=True):
        for constraint, said in zip(found.constraints, stage["constraints"], strict=True):
            said["kind"] = constraint.kind
        stage["binding"]["kind"] = found.binding.kind
    body["binding"]["kind"] = told.binding.kind
    document: dict[str, Any] = _finite({
        "schema": "seatrial.forecast.v1",
        "plan": plan.name,
        "model": model,
        "traffic": plain(known),
        "unknown": [metric.name for metric in plan.guardrails if metric.name not in known],
        "formula": FORMULA,
        **later(plan),
        **body,
    })  # fmt: skip
    return document


def _finite(value: Any) -> Any:
    """JSON has no infinity: what never happens is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def _show(document: dict[str, Any], plot: Path | None) -> None:
    from seatrial.cli.plan import forecast_tables as tables
    from seatrial.cli.plan import tables as plan_tables

    output.text(tables.headline(document))
    for said, shown in (
        ("", tables.stages(document)),
        ("", tables.guardrails(document)),
        (tables.textbook_note(document), tables.textbook(document)),
        (tables.shares_note(document), tables.shares(document)),
    ):
        if shown.row_count:
            output.text(said)
            output.show(shown)
    output.text("")
    output.text("\n".join([tables.conclusion(document), *plan_tables.later(document)]))
    if plot is not None:
        output.note(f"✔ power against days is in {plot}")


def _draw(plan: Plan, known: Mapping[str, Traffic], told: Forecast, path: Path) -> None:
    from seatrial.charts.power import power_chart
    from seatrial.charts.save import save
    from seatrial.rollout.forecast.shares import power_curves

    curves = power_curves(plan, known, told.shares)
    if not curves:
        raise UsageError(
            "ST0257", f"plan '{plan.name}': errors and slow answers are judged exactly, there is no curve to draw.",
            remedy="Leave --plot out, or give the baseline of another guardrail.",
        )  # fmt: skip
    save(power_chart(curves, wanted=told.power, weekly=told.weekly, title=f"Plan {plan.name}"), path)
