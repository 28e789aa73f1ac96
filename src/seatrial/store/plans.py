"""Plans as text: read from YAML or JSON, checked, written back, and their JSON Schema."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from seatrial.errors import NotFound, PlanError
from seatrial.ids import Digest
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan, Step
from seatrial.rollout.validate import Problem, problems
from seatrial.store.canonical import digest_of
from seatrial.values import to_camel

_FIELDS = {
    "plan": [to_camel(field.name) for field in fields(Plan)],
    "metrics": [to_camel(field.name) for field in fields(Metric)],
    "steps": [to_camel(field.name) for field in fields(Step)],
}


@cache
def _adapter() -> TypeAdapter[Plan]:
    return TypeAdapter(Plan)


def read_plan(path: Path) -> Plan:
    """The plan in a YAML file. Raises PlanError naming the field, or NotFound."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound("ST0290", f"there is no plan file '{path}'.", remedy="`seatrial init` writes one.") from None
    return parse_plan(text, source=str(path))


def parse_plan(text: str, *, source: str = "plan") -> Plan:
    """A plan from YAML text (JSON is YAML)."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PlanError("ST0291", f"'{source}' is not YAML: {error}.") from None
    except RecursionError:
        raise PlanError("ST0291", f"'{source}' is nested too deeply to be a plan.") from None
    return plan_of(document, source=source)


def plan_of(document: object, *, source: str = "plan") -> Plan:
    """A plan from what YAML or JSON hold. Unknown fields are refused with the nearest name that exists."""
    if not isinstance(document, Mapping):
        raise PlanError("ST0291", f"'{source}' is not a map of fields.", remedy="See `seatrial plan schema`.")
    try:
        return _adapter().validate_python(document)
    except ValidationError as error:
        lines = [_explain(item["loc"], item["msg"], item["type"]) for item in error.errors()]
        raise PlanError("ST0200", f"'{source}': " + "; ".join(lines) + ".") from None


OVERRIDABLE = frozenset({"ST0344"})
"""Problems that somebody who may override gates can answer for."""


def check_plan(plan: Plan, *, override: str = "") -> Plan:
    """The plan itself if it can be honoured; PlanError with every problem otherwise.

    ``override``: the reason for which what may be overridden is let pass.
    """
    found: list[Problem] = [p for p in problems(plan) if not (override.strip() and p.code in OVERRIDABLE)]
    if found:
        raise PlanError(found[0].code, f"plan '{plan.name}': " + " ".join(str(p) for p in found))
    return plan


def overridden(plan: Plan) -> list[str]:
    """What an override lets pass, as texts."""
    return [str(p) for p in problems(plan) if p.code in OVERRIDABLE]


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The plan as a document in the words of its YAML; fields that are not set are left out."""
    document: dict[str, Any] = _adapter().dump_python(plan, mode="json", by_alias=True, exclude_none=True)
    return document


def plan_from_json(document: Mapping[str, Any]) -> Plan:
    """Inverse of :func:`plan_to_json`."""
    return _adapter().validate_python(document)


def plan_digest(plan: Plan) -> Digest:
    """Digest of everything the plan says: margins, steps and budgets are frozen under it when a rollout starts."""
    return digest_of(plan_to_json(plan))


def agreement(plan: Plan) -> dict[str, Any]:
    """What starting a plan agrees to, for the audit log: its digest, and each margin that somebody gave reasons for.

    The hash is that of the margin and of what counts as a failure: whoever changes them later has agreed to nothing.
    """
    accepted = [
        {
            "metric": m.name,
            "margin": str(m.margin),
            "hash": digest_of({"metric": m.name, "margin": str(m.margin), "failOn": m.fail_on}),
            "justification": m.justification,
        }
        for m in plan.metrics
        if m.justification is not None
    ]
    return {"plan": plan_digest(plan), **({"margins": accepted} if accepted else {})}


def plan_schema() -> dict[str, Any]:
    """JSON Schema of a plan, for editors and other tools."""
    schema = _adapter().json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "seatrial plan", **schema}


def plan_to_yaml(plan: Plan) -> str:
    """The plan as YAML, in the order of its fields."""
    return yaml.safe_dump(json.loads(json.dumps(plan_to_json(plan))), sort_keys=False, allow_unicode=True)


def _explain(location: tuple[int | str, ...], message: str, kind: str) -> str:
    """``metrics[1].margin: '-0.01' is not a margin ...``; for an unknown field, the nearest known one."""
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        room = str(location[0]) if len(location) > 1 else "plan"
        near = difflib.get_close_matches(str(location[-1]), _FIELDS.get(room, _FIELDS["plan"]), n=1, cutoff=0.5)
        hint = f", did you mean '{near[0]}'?" if near else f"; known: {', '.join(_FIELDS.get(room, _FIELDS['plan']))}"
        return f"{where} is unknown{hint}"
    return f"{where}: {message.removeprefix('Value error, ')}"
