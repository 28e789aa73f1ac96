"""What plans and events bring into the database is data there; and the database reaches nothing outside itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.engines.duck import DuckEngine, schema_of
from seatrial.engines.expressions import WINDOWS
from seatrial.engines.shape import shape_of
from seatrial.engines.statements import Statements
from seatrial.errors import PlanError
from seatrial.rollout.plan import Plan
from seatrial.store.plans import check_plan, parse_plan, plan_of, plan_to_json

OUTSIDE = (
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM read_parquet('https://example.invalid/x.parquet')",
    "SELECT * FROM '{file}'",
    "SELECT * FROM glob('/*')",
    "COPY (SELECT 1) TO '{file}.out'",
    "COPY secret FROM '{file}'",
    "EXPORT DATABASE '{file}.dump'",
    "ATTACH '{file}.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{file}'",
    "CREATE SECRET (TYPE S3, KEY_ID 'x', SECRET 'y')",
    "SET enable_external_access = true",
    "RESET enable_external_access",
    "SET lock_configuration = false",
    "SET temp_directory = '/tmp'",
    "SET allow_community_extensions = true",
    "SET python_enable_replacements = true",
    "SELECT * FROM planted",
    "SELECT getenv('HOME')",
)


@pytest.fixture
def engine() -> Any:
    engine = DuckEngine()
    yield engine
    engine.close()


@pytest.mark.parametrize("sql", OUTSIDE)
def test_the_database_reaches_nothing_outside(engine: DuckEngine, tmp_path: Path, sql: str) -> None:
    planted = pa.table({"x": [1]})  # the engine must not find the variables of whoever calls it
    (tmp_path / "secret").write_text("a\n1\n")
    engine.create("secret", pa.schema({"a": pa.string()}))
    statement = sql.format(file=tmp_path / "secret")
    with pytest.raises(duckdb.Error):
        engine.query(statement, {})
    with pytest.raises(duckdb.Error):
        engine.execute(statement, {})
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert planted.num_rows == 1


def test_and_still_reads_what_it_is_given(engine: DuckEngine) -> None:
    engine.create("events", pa.schema({"x": pa.int64()}))
    engine.insert("events", pa.table({"x": [1, 2, 39]}))
    assert engine.query("SELECT sum(x)::BIGINT AS x FROM events WHERE x <= $until", {"until": 39}).to_pylist() == [
        {"x": 42}
    ]


HOSTILE = (
    "' OR '1'='1",
    "$after$started",
    "x/*",
    "*/ x",
    "\\'",
    "a\nb",
    "{{name}}",
    "%s",
    "read_csv('/etc/passwd')",
    "__import__('os')",
)
NAMES = st.sampled_from(HOSTILE) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12
)


def _plan(outcome: str, segment: str) -> Plan:
    document = {
        "name": "p",
        "metrics": [
            {"name": "brier", "kind": "loss", "loss": "brier", "outcome": outcome, "margin": "5%", "horizon": "1h"},
            {"name": "errors", "kind": "error_rate", "margin": "1pp"},
        ],
        "segments": [{"name": segment, "field": "country"}],
        "steps": [{"shadow": {"share": "100%"}}, {"setWeight": "10%"}, {"pause": {"duration": "2h"}}],
    }
    return plan_of(document)


def _answers(outcome: str, segment: str, stored: str) -> list[list[Any]]:
    """Everything a look asks, on two exposures and an outcome stored under ``stored``; without names of columns."""
    statements, engine = Statements(shape_of(_plan(outcome, segment))), DuckEngine()
    exposures, outcomes = (schema_of(c) for c in (statements.exposure_schema, statements.outcome_schema))
    for name, schema in (("exposures", exposures), ("outcomes", outcomes), ("windows", schema_of(WINDOWS))):
        engine.create(name, schema)
    rows = [
        {"rollout": 0, "eid": n, "request_id": f"r{n}", "row": 0, "outcome_key": f"r{n}", "arm": arm, "phase": 1,
         "unit": f"u{n}", "bucket": n, "t": 1_000_000, "error": False, "answered": True, "latency": 5, "score": 0.5,
         "bin": 3}
        | dict.fromkeys(statements.segment_columns, "DE")
        for n, arm in enumerate(("champion", "canary"))
    ]  # fmt: skip
    known = {
        "o_rollout": 0,
        "o_key": "r0",
        "o_name": stored,
        "o_value": 1.0,
        "o_time": 2_000_000,
        "o_revision": 0,
        "o_received": 2_000_000,
    }
    window = {"after": 0, "until": 10_000_000_000}
    engine.insert("exposures", pa.Table.from_pylist(rows, exposures))
    engine.insert("outcomes", pa.Table.from_pylist([known], outcomes))
    engine.insert("windows", pa.Table.from_pylist([{"rollout": 0, **window, "started": 0}], schema_of(WINDOWS)))
    asked = [
        statements.arrivals,
        statements.units,
        statements.visits,
        statements.mirror,
        *(sql for g in statements.groups for sql in (g.live, g.pairs, g.late)),
    ]
    try:
        tables = [engine.query(sql, window) for sql in asked]
        assert engine.query("SELECT count(*)::BIGINT AS n FROM exposures", {}).to_pylist() == [{"n": 2}]
        return [sorted(map(repr, zip(*table.to_pydict().values(), strict=True))) for table in tables]
    finally:
        engine.close()


def _same_as_plain(outcome: str, segment: str) -> None:
    plain = [[row.replace("'late'", repr(outcome)) for row in rows] for rows in _answers("late", "country", "late")]
    assert _answers(outcome, segment, outcome) == plain


@pytest.mark.parametrize(
    ("outcome", "segment"),
    [("x'; DROP TABLE exposures; --", 'x" BIGINT); CREATE TABLE owned (a INT); --'), ("$started'", '"$after"'),
     ("-4611686018427387002", "$until")],
)  # fmt: skip
def test_whatever_an_outcome_or_a_segment_is_called_it_is_a_name(outcome: str, segment: str) -> None:
    _same_as_plain(outcome, segment)


def test_and_an_outcome_is_found_by_its_name_alone() -> None:
    assert _answers("late", "country", "late") != _answers("late", "country", "later")


@pytest.mark.slow
@settings(max_examples=12)
@given(outcome=NAMES, segment=NAMES)
def test_any_name_is_a_name(outcome: str, segment: str) -> None:
    _same_as_plain(outcome, segment)


ESCAPES = (
    "__import__('os').system('id')",
    "().__class__.__bases__[0].__subclasses__()",
    "1 if open('/etc/passwd') else 0",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "=cmd|' /C calc'!A0",
    "!!python/object/apply:os.system ['id']",
    "1;2",
    "1e999",
    "NaN",
    "0x10",
    "１０％",
    "1_0%",
    " -5%",
    "5%%",
)
FIELDS = {
    "margin": {"metrics": [{"name": "m", "kind": "error_rate", "margin": None}]},
    "limit": {"metrics": [{"name": "m", "kind": "error_rate", "margin": "1pp", "limit": None}]},
    "threshold": {"metrics": [{"name": "m", "kind": "latency", "margin": "1pp", "threshold": None}]},
    "horizon": {"metrics": [{"name": "m", "kind": "mean", "outcome": "y", "margin": "5%", "horizon": None}]},
    "kind": {"metrics": [{"name": "m", "kind": None, "margin": "5%"}]},
    "loss": {"metrics": [{"name": "m", "kind": "loss", "loss": None, "outcome": "y", "margin": "5%"}]},
    "setWeight": {"steps": [{"setWeight": None}]},
    "duration": {"steps": [{"shadow": {}}, {"pause": {"duration": None}}]},
    "lookEvery": {"lookEvery": None},
}


def _with(field: str, text: str) -> str:
    base = {
        "name": "p",
        "metrics": [{"name": "m", "kind": "error_rate", "margin": "1pp"}],
        "steps": [{"shadow": {"share": "100%"}}],
    }
    whole = json.dumps({**base, **FIELDS[field]})
    return whole.replace("null", json.dumps(text))


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("text", ESCAPES)
def test_what_is_no_value_of_the_list_is_refused(field: str, text: str) -> None:
    with pytest.raises(PlanError):
        check_plan(parse_plan(_with(field, text)))


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.system ['id']", "a: !!python/name:os.system", "{name: !!python/tuple [1]}"]
)
def test_yaml_makes_plain_data_only(text: str) -> None:
    with pytest.raises(PlanError, match="ST0291"):
        parse_plan(text)


@given(field=st.sampled_from(sorted(FIELDS)), text=st.text(max_size=12))
def test_nothing_but_the_list_passes(field: str, text: str) -> None:
    """A text that is taken is one that the value prints again: there is no second reading of it."""
    try:
        plan = parse_plan(_with(field, text))
    except PlanError:
        return
    assert parse_plan(json.dumps(plan_to_json(plan))) == plan
    assert json.dumps(text.strip()) in json.dumps(plan_to_json(plan))
