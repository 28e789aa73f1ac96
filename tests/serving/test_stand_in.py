"""Hosts that stand in for versions: answers in the model's own format, and a queue that keeps what it has promised."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from seatrial.errors import Conflict, NotFound, UsageError
from seatrial.events.wire import ResponseSpec, parse_response
from seatrial.serving import review_queue
from seatrial.serving.asgi import Call
from seatrial.serving.banner_host import BannerHost
from seatrial.serving.review_host import ReviewHost
from seatrial.serving.review_queue import Asked, ReviewQueue
from seatrial.serving.rules_host import RulesHost
from seatrial.serving.spec import HostSpec

CARD = """
features: {amount: number}
rules: [{name: large, when: amount > 100, points: 0.5, reason: LARGE}]
default: {answer: 0.25, reason: DEFAULT}
"""
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def call(path: str, document: object, **headers: str) -> Call:
    given = [
        (b"content-type", b"application/json"),
        *((k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()),
    ]
    return Call("POST", path, path.encode(), given, json.dumps(document).encode())


def answered(host, asked: Call):
    async def ask():
        await host.start()
        return await host.handle(asked)

    return asyncio.run(ask())


@pytest.fixture
def rules(tmp_path):
    (tmp_path / "card").write_text(CARD)

    def host(card: str = CARD, **options):
        (tmp_path / "card").write_text(card)
        spec = HostSpec("fraud", "rules-1a", "rules", artifact_dir=str(tmp_path / "card"), features=("amount",))
        return RulesHost(spec.read_as(spec.reading) if not options else _with(spec, **options))

    return host


def _with(spec: HostSpec, **options) -> HostSpec:
    from dataclasses import replace

    return replace(spec, **options)


OIP = {"inputs": [{"name": "amount", "shape": [2], "datatype": "FP64", "data": [1, 500]}], "id": "q"}
FORMATS = [
    ("/invocations", {"dataframe_records": [{"amount": 1}, {"amount": 500}]}, "mlflow"),
    ("/invocations", {"dataframe_split": {"columns": ["amount"], "data": [[1], [500]]}}, "mlflow"),
    ("/invocations", {"inputs": [[1], [500]]}, "mlflow"),
    ("/v1/models/fraud:predict", {"instances": [{"amount": 1}, {"amount": 500}]}, "tf-v1"),
    ("/v2/models/fraud/infer", OIP, "oip-v2"),
    ("/score", [{"amount": 1}, {"amount": 500}], "json"),
]


@pytest.mark.parametrize(("path", "body", "format"), FORMATS)
def test_rules_answer_in_the_format_of_the_request(rules, path, body, format):
    reply = answered(rules(), call(path, body))
    found = parse_response(format, "application/json", reply.body, rows=2)
    assert (reply.status, found.scores) == (200, (0.25, 0.75))
    assert dict(reply.headers)[b"x-seatrial-reasons"] == b"DEFAULT;LARGE"


@pytest.mark.parametrize(
    ("spec", "rows"),
    [
        (ResponseSpec(score="/result/*/risk/value", rows="/rows"), [1, 500]),
        (ResponseSpec(score="/risk", rows="/rows"), [500]),
        (ResponseSpec(score="/a~1b/scores", rows="/rows"), [1, 500]),
    ],
)
def test_rules_answer_where_the_contract_points_to(rules, spec, rows):
    host = rules(response=spec, wire="json")
    reply = answered(host, call("/score", {"rows": [{"amount": amount} for amount in rows]}))
    found = parse_response("json", "application/json", reply.body, rows=len(rows), spec=spec)
    assert found.scores == tuple(0.75 if amount > 100 else 0.25 for amount in rows)


def test_probabilities_and_labels(rules):
    pair = answered(
        rules("output: probabilities\n" + CARD), call("/invocations", {"dataframe_records": [{"amount": 1}]})
    )
    assert json.loads(pair.body) == {"predictions": [[0.75, 0.25]]}
    label = "output: label\nfeatures: {amount: number}\ndefault: {answer: review, reason: R}\n"
    text = answered(rules(label), call("/invocations", {"dataframe_records": [{"amount": 1}]}))
    assert json.loads(text.body) == {"predictions": ["review"]}


@pytest.mark.parametrize(
    ("body", "status"), [({"dataframe_records": 7}, 400), ({"inputs": [[1, 2, 3]]}, 415), ({"instances": "x"}, 400)]
)
def test_a_request_that_the_model_would_refuse_is_refused(rules, body, status):
    assert answered(rules(), call("/invocations", body)).status == status


def test_a_banner_says_that_there_is_no_prediction():
    reply = answered(BannerHost(HostSpec("scan", "banner", "banner")), call("/invocations", {"x": 1}))
    assert (reply.status, json.loads(reply.body)["level"], json.loads(reply.body)["prediction"]) == (
        200,
        "banner",
        None,
    )


# ── the queue ──────────────────────────────────────────────────────────────────────────────────────────────────────


def review(tmp_path: Path) -> ReviewHost:
    return ReviewHost(HostSpec("fraud", "review", "review", queue_dir=str(tmp_path / "queue")))


def test_a_request_is_on_disk_before_its_answer(tmp_path):
    asked = call("/invocations", {"dataframe_records": [{"amount": 1}]}, x_seatrial_id="q-1", x_seatrial_unit="u")
    reply = answered(review(tmp_path), asked)
    assert (reply.status, json.loads(reply.body)["review"]) == (202, "q-1")
    found = ReviewQueue(tmp_path / "queue").get("q-1")
    assert (found.asked.unit, json.loads(found.asked.body)) == ("u", {"dataframe_records": [{"amount": 1}]})
    assert (tmp_path / "queue" / "asked.jsonl").stat().st_mode & 0o777 == 0o600
    answered(review(tmp_path), call("/invocations", {}, x_seatrial_probe="true"))
    assert ReviewQueue(tmp_path / "queue").depth() == 1, "a trial is not queued"


def test_many_at_once_are_all_there(tmp_path):
    host = review(tmp_path)

    async def ask():
        await host.start()
        return await asyncio.gather(*(host.handle(call("/x", n, x_seatrial_id=f"q-{n}")) for n in range(200)))

    assert {reply.status for reply in asyncio.run(ask())} == {202}
    assert ReviewQueue(tmp_path / "queue").depth() == 200


def test_a_full_disk_promises_nothing_and_loses_nothing(tmp_path, monkeypatch):
    answered(review(tmp_path), call("/x", 1, x_seatrial_id="q-1"))
    write = os.write

    def full(file, data):
        write(file, data[: len(data) // 2])  # half a line gets there before the disk is full
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(review_queue.os, "write", full)
    reply = answered(review(tmp_path), call("/x", 2, x_seatrial_id="q-2"))
    assert (reply.status, b"No space left" in reply.body) == (503, True)
    monkeypatch.undo()
    assert answered(review(tmp_path), call("/x", 3, x_seatrial_id="q-3")).status == 202
    assert [one.asked.id for one in ReviewQueue(tmp_path / "queue").reviews()] == ["q-1", "q-3"]


@pytest.mark.parametrize("torn", [b'{"id": "q-2", "ti', b"\0\0\0", b"7\n", b'{"id": "q-2"}\n'])
def test_a_torn_line_takes_no_other_with_it(tmp_path, torn):
    answered(review(tmp_path), call("/x", 1, x_seatrial_id="q-1"))
    with (tmp_path / "queue" / "asked.jsonl").open("ab") as log:
        log.write(torn)
    answered(review(tmp_path), call("/x", 3, x_seatrial_id="q-3"))
    assert [one.asked.id for one in ReviewQueue(tmp_path / "queue").reviews()] == ["q-1", "q-3"]


def test_one_request_is_decided_once(tmp_path):
    queue = ReviewQueue(tmp_path)
    queue.put([Asked("q-1", NOW, "/x", "", ""), Asked("q-2", NOW, "/x", "", "")])
    queue.put([Asked("q-1", NOW, "/x", "", "")])  # the chain asked again
    assert queue.depth() == 2
    queue.decide("q-1", "approve", reason="known customer", actor="ann", now=NOW)
    assert queue.depth() == 1
    assert [(one.asked.id, one.decided and one.decided.decision) for one in queue.reviews()] == [
        ("q-1", "approve"), ("q-2", None),
    ]  # fmt: skip
    with pytest.raises(Conflict, match=r"ST0777 .*decided by ann"):
        queue.decide("q-1", "decline", reason="x", actor="bob", now=NOW)
    with pytest.raises(NotFound, match="ST0775"):
        queue.decide("q-9", "approve", reason="x", actor="bob", now=NOW)
    for decision, reason in (("", "x"), ("a\nb", "x"), ("approve", " ")):
        with pytest.raises(UsageError, match="ST0776"):
            queue.decide("q-2", decision, reason=reason, actor="bob", now=NOW)


PUTS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from seatrial.serving.review_queue import Asked, ReviewQueue
queue = ReviewQueue(Path(sys.argv[1]))
for n in range(100_000):
    queue.put([Asked(f"q-{n}", datetime.now(UTC), "/x", "", "x" * 500)])
    print(n, flush=True)
"""


def test_what_was_promised_survives_a_kill(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", PUTS, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    promised = [int(child.stdout.readline()) for _ in range(20)]
    os.kill(child.pid, signal.SIGKILL)
    promised += [int(line) for line in child.stdout.read().splitlines()]
    child.wait()
    child.stdout.close()
    kept = {one.asked.id for one in ReviewQueue(tmp_path).reviews()}
    assert {f"q-{n}" for n in promised} <= kept
    assert len(kept) <= len(promised) + 1
