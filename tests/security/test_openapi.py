"""The OpenAPI document tells the truth: nothing that can be sent is a server error or an answer it does not name."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from seatrial.store.plans import parse_plan

PLACE = {"host": "127.0.0.1:8700"}
REAL = {
    "model": "fraud", "version": "2", "rollout": "r-0001", "verb": "pause", "name": "ann", "incident": "i-0001",
    "review": "q-1", "drill": "d-0001", "number": "1", "run": "ci-0001",
    "request": "a-0001", "test_set": "s-0001", "ticket": "v-0001", "trigger": "inputs",
}  # fmt: skip
TRUTH = [
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
]
PLAN: dict[str, Any] = {
    "name": "quick",
    "metrics": [{"name": "errors", "kind": "error_rate", "margin": "1pp"}],
    "steps": [{"shadow": {"share": "100%"}}],
}
BODIES: dict[str, Any] = {
    "POST /v1/models/{model}/adopt": {"url": "http://127.0.0.1:9/"},
    "POST /v1/rollouts": {"model": "fraud", "version": 2, "plan": PLAN},
    "POST /v1/outcomes": '{"model": "fraud", "key": "a", "name": "x", "value": 1, "time": "2026-03-01T00:00:00Z"}',
    "POST /v1/access": {"name": "ann", "role": "viewer", "expires": "90d"},
}


@schemathesis.serializer("application/x-ndjson")
def _as_lines(context: Any, value: Any) -> bytes:
    return str(value).encode("utf-8", "surrogateescape")


def _operations(api: Any) -> dict[str, Any]:
    schema = schemathesis.openapi.from_asgi("/openapi.json", api.app, headers=PLACE)
    return {found.ok().label: found.ok() for found in schema.get_all_operations()}


def _explore(api: Any, examples: int) -> Counter[str]:
    """Statuses by operation, of calls within the document and of calls against it."""
    seen: Counter[str] = Counter()
    headers = {**PLACE, **api.token}
    for operation in _operations(api).values():
        _send(operation, GenerationMode.POSITIVE, headers, examples, seen)
        if "application/json" in operation.get_request_payload_content_types():
            _send(operation, GenerationMode.NEGATIVE, headers, examples, seen)
    return seen


def _send(operation: Any, mode: GenerationMode, headers: dict[str, str], examples: int, seen: Counter[str]) -> None:
    """Half of the well-formed calls name objects that exist, and say something that can be done."""

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
    def explore(case: Any, real: bool) -> None:
        if real and mode is GenerationMode.POSITIVE:
            case.path_parameters = {name: REAL[name] for name in case.path_parameters}
            case.body = BODIES.get(operation.label, case.body)
        answer = case.call(headers=headers)
        seen[f"{operation.label} {answer.status_code}"] += 1
        assert answer.status_code not in (500, 502, 504), answer.text
        case.validate_response(answer, checks=TRUTH, headers=headers)
        if mode is GenerationMode.NEGATIVE and case.meta.components[ParameterLocation.BODY].mode.is_negative:
            assert answer.status_code in (400, 401, 404, 409, 422), f"{case.body!r} is not what the document allows"

    explore()


@pytest.mark.slow
def test_every_answer_is_one_that_the_document_names(api: Any) -> None:
    api.person("ann", "viewer")
    api.operations.start_rollout("fraud", 2, parse_plan(json.dumps(PLAN)), actor="ann")
    seen = _explore(api, examples=8)
    statuses = {label.rpartition(" ")[2] for label in seen}
    assert {"200", "201", "404", "422"} <= statuses, "the calls reach what they are meant to"


@pytest.mark.slow
def test_many_more_calls(api: Any) -> None:
    api.operations.start_rollout("fraud", 2, parse_plan(json.dumps(PLAN)), actor="ann")
    assert sum(_explore(api, examples=60).values()) > 1000


def test_no_call_that_changes_something_works_without_its_token(api: Any) -> None:
    """By the document itself: what is not a GET names the token, and is refused without it."""
    protected = 0
    for label, operation in _operations(api).items():
        if "security" not in operation.definition.raw:
            assert label.startswith("GET "), f"{label} names no token"
            continue
        protected += 1
        method, path = label.format(**REAL).split()
        answer = api.call(method, path, json={})
        assert (answer.status_code, answer.json()["code"]) == (401, "ST0845"), label
    assert protected >= 12
