"""Exercise 29.24 (d): what a faulty version of a clinical model answered, and who was told of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from apisystem import call
from seatrial.api.app import create_app
from seatrial.cli import main
from seatrial.control.analyses.recall import offer
from seatrial.control.operations import Operations
from seatrial.events.schema import to_micros
from seatrial.registry.safety import Safety
from seatrial.store import releases
from troubles import DAY, HOUR, MODEL, T0, Troubled

FROM, TO = T0 - 2 * DAY, T0 - DAY
"""When version 2 was faulty."""


def said(capsys: pytest.CaptureFixture[str], troubled: Troubled, *words: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as left:
        main(["--project", str(troubled.project.root), *words])
    told = capsys.readouterr()
    assert left.value.code in (code, None), told.err
    return told.out if not code else told.err


def document(capsys: pytest.CaptureFixture[str], troubled: Troubled, *words: str) -> Any:
    return json.loads(said(capsys, troubled, "recall", *words, "--json"))


def opened(capsys: pytest.CaptureFixture[str], troubled: Troubled, *more: str) -> Any:
    span = ("--from", FROM.isoformat(), "--to", TO.isoformat())
    return document(capsys, troubled, "open", MODEL, "--version", "2", *span, "--reason", "wrong threshold", *more)


@pytest.fixture
def read(tmp_path: Path) -> Troubled:
    """Version 2 answers before, in and after the span; as a canary, as a fallback and as a shadow, too."""
    troubled = Troubled(tmp_path / "clinic")
    troubled.answered(FROM - DAY, TO + DAY / 2, 700, version="2")
    troubled.answered(FROM, TO, 50, version="2", arm="canary")
    troubled.answered(FROM, TO, 40, version="2", arm="none")
    troubled.answered(FROM, TO, 30, version="2", arm="shadow")
    troubled.answered(FROM, TO, 20, version="1")
    return troubled


def by_sql(troubled: Troubled) -> list[tuple[str, int, str, float]]:
    """What an auditor would ask of the files, with no code of ours."""
    files = str(troubled.project.events / "*" / "*.parquet")
    return duckdb.sql(
        f"""SELECT request_id, "row", unit, score FROM read_parquet('{files}', union_by_name = true)
        WHERE served_version = '2' AND arm <> 'shadow' AND status BETWEEN 200 AND 299
          AND epoch_us(time) >= {to_micros(FROM)} AND epoch_us(time) < {to_micros(TO)}
        ORDER BY time, request_id, "row" """
    ).fetchall()


def test_the_list_is_that_of_an_independent_query(read: Troubled, capsys: pytest.CaptureFixture[str]) -> None:
    found, wanted = opened(capsys, read), by_sql(read)
    listed = [(p["request_id"], p["row"], p["unit"], p["score"]) for p in found["predictions"]]
    assert listed == wanted
    assert found["found"] == found["kept"] == len(wanted) > 300
    assert found["copies"] == 30
    assert found["units"] == len({row[2] for row in wanted})
    assert {p["arm"] for p in found["predictions"]} == {"champion", "canary", "none"}


def test_a_version_that_answered_nothing_has_an_empty_list(read: Troubled, capsys: pytest.CaptureFixture[str]) -> None:
    span = ("--from", (T0 - 50 * DAY).isoformat(), "--to", (T0 - 49 * DAY).isoformat())
    found = document(capsys, read, "open", MODEL, "--version", "2", *span, "--reason", "to be sure")
    assert found["predictions"] == []
    assert found["found"] == 0


def test_who_was_told_is_kept_and_the_rest_is_the_queue(read: Troubled, capsys: pytest.CaptureFixture[str]) -> None:
    recall = opened(capsys, read)
    id, first = recall["id"], recall["predictions"][0]["request_id"]
    assert document(capsys, read, "notify", id, "--note", "letter of 2 March")["marked"] == recall["kept"]
    assert document(capsys, read, "notify", id, "--note", "again")["marked"] == 0, "once is enough"
    assert document(capsys, read, "reread", id, "--request", first, "--note", "no finding")["marked"] == 1
    assert document(capsys, read, "show", id, "--unnotified")["predictions"] == []
    queue = document(capsys, read, "show", id, "--unread")["predictions"]
    assert len(queue) == recall["kept"] - 1
    assert first not in {p["request_id"] for p in queue}
    shown = document(capsys, read, "show", id)
    assert shown["predictions"][0]["reread"].endswith("no finding")
    assert (shown["notified"], shown["reread"]) == (recall["kept"], 1)
    assert document(capsys, read, "list")["recalls"][0]["notified"] == recall["kept"]
    told = read.audited("recall.open", "recall.notified", "recall.reread")
    assert [(entry["action"], entry.get("predictions")) for entry in told] == [
        ("recall.open", None), ("recall.notified", recall["kept"]), ("recall.reread", 1),
    ]  # fmt: skip


def test_what_was_erased_is_not_listed_and_said(read: Troubled, capsys: pytest.CaptureFixture[str]) -> None:
    """The unit's name in this log is the hash of nobody's: one that erasure would look for is written over it."""
    recall = opened(capsys, read)
    assert recall["gone"]["text"] == "nothing of this span was erased or has aged out"
    read.rename("u7", "patient-7")
    said(capsys, read, "events", "erase", MODEL, "--unit", "patient-7", "--yes")
    shown = document(capsys, read, "show", recall["id"])
    assert shown["goneSince"] == recall["kept"] - shown["kept"] > 0
    assert shown["kept"] == len(by_sql(read))
    assert shown["gone"]["erased"] == shown["gone"]["erasedEver"] >= shown["goneSince"]
    assert "erased on request" in shown["gone"]["text"]


def test_what_has_aged_out_is_said(read: Troubled, capsys: pytest.CaptureFixture[str]) -> None:
    with read.store() as store, store.begin() as tx:
        for start in (FROM - HOUR, FROM - 9 * DAY):  # only the first one reaches into the span
            detail = {"predictions": 12, "parts": 1, "from": start.isoformat(), "to": (start + 2 * HOUR).isoformat()}
            tx.audit.append("seatrial", "events.retention", MODEL, detail, T0)
    assert opened(capsys, read)["gone"]["expired"] == 12


def test_the_way_home_of_a_clinical_model_offers_it(read: Troubled) -> None:
    with read.store() as store:
        with store.begin() as tx:
            releases.roll_back(tx.models, MODEL, expected_champion=2, actor="eve", now=T0, reason="complaints")
        with store.read() as tx:
            assert offer(tx, MODEL, T0) == "", "an ordinary model is not recalled"
        Operations(read.project, store).secure(MODEL, Safety(impact="clinical"), actor="ann")
        with store.read() as tx:
            assert offer(tx, MODEL, T0) == (
                f"seatrial recall open {MODEL} --version 2 --from {(T0 - 20 * DAY).isoformat()} --to {T0.isoformat()}"
            )


def test_the_table_has_every_line(read: Troubled, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = opened(capsys, read, "--csv", str(tmp_path / "list.csv"))
    with (tmp_path / "list.csv").open() as file:
        lines = [*csv.DictReader(file)]
    assert [line["request_id"] for line in lines] == [p["request_id"] for p in found["predictions"]]
    assert set(lines[0]) >= {"time", "unit", "served_level", "score", "notified", "reread"}


def test_over_http(read: Troubled, capsys: pytest.CaptureFixture[str]) -> None:
    recall = opened(capsys, read)
    with read.store() as store:
        app = create_app(Operations(read.project, store), read.project, store)
        token = {"authorization": f"Bearer {read.project.token()}"}
        assert call(app, "GET", f"/v1/recalls/{recall['id']}").json() == recall
        marked = call(app, "POST", f"/v1/recalls/{recall['id']}/marks", headers=token,
                      json={"kind": "notified", "note": "by phone", "requests": ["nobody"]})  # fmt: skip
        assert (marked.status_code, marked.json()["code"]) == (404, "ST0365")
        again = {
            "model": MODEL,
            "version": 2,
            "since": FROM.isoformat(),
            "until": TO.isoformat(),
            "reason": "once more",
        }
        assert call(app, "POST", "/v1/recalls", headers=token, json=again).json()["id"] == "k-0002"
        assert len(call(app, "GET", "/v1/recalls").json()["recalls"]) == 2


def test_what_cannot_be_recalled(read: Troubled, capsys: pytest.CaptureFixture[str]) -> None:
    opening = ("open", MODEL, "--version")
    for words, code in (
        ((*opening, "2", "--from", "2026-03-01", "--to", "2026-02-01", "--reason", "x"), "ST0362"),
        ((*opening, "2", "--from", "2026-02-01", "--to", "2036-02-01", "--reason", "x"), "ST0362"),
        ((*opening, "2", "--from", "2026-02-01", "--to", "2026-03-01", "--reason", " "), "ST0361"),
        ((*opening, "2", "--from", "lately", "--to", "2026-03-01", "--reason", "x"), "ST0359"),
        ((*opening, "9", "--from", "2026-02-01", "--to", "2026-03-01", "--reason", "x"), "ST0633"),
        (("show", "k-0009"), "ST0360"),
        (("notify", "k-0009", "--note", "x"), "ST0360"),
    ):
        usual = 2 if code in ("ST0359", "ST0361", "ST0362") else 1
        assert code in said(capsys, read, "recall", *words, code=usual)
