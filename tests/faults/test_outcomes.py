"""Outcomes in every state they can arrive in: none that was acknowledged is lost, none counts twice.

The control plane is a process of its own, so that it can be killed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import seatrial as st
from livesystem import HOUR, T0, Live
from rogue import Rogue
from seatrial import processes
from seatrial.cli import main
from seatrial.control.feedback import COUNTS, outcomes_document
from seatrial.control.operations import Operations
from seatrial.engines.evidence import EvidenceBuilder
from seatrial.events.outcomes import Outcome
from seatrial.events.parts import list_parts, model_directory, read_parts
from seatrial.events.schema import OUTCOME_SCHEMA
from seatrial.gateway.assignment import assign
from seatrial.registry.contract import Contract
from seatrial.store.plans import parse_plan

pytestmark = pytest.mark.live

SERVE = (
    "import sys; from pathlib import Path; from seatrial.api.server import serve; "
    "from seatrial.control.project import Project; serve(Project.open(Path(sys.argv[1])))"
)
KILLS = [pytest.param(0), *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))]


class House:
    """A control plane in a process of its own, with the model *fraud*."""

    def __init__(self, root: Path) -> None:
        self.live = Live(root, clock="wall")
        server = Rogue("champion")
        server.start()
        self.live.servers.append(server)
        Operations(self.live.project, self.live.store).adopt("fraud", server.url, actor="ann")
        self.url = self.live.project.config.api.url
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.live.project.logs / "control.log").open("ab") as out:
            command = [sys.executable, "-c", SERVE, str(self.live.project.root)]
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        self.live.wait_for(self._listens)

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.live.project.logs / "control.log").read_text()
        with contextlib.suppress(OSError):
            socket.create_connection((self.live.project.config.api.host, self.live.project.config.api.port)).close()
            return True
        return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def client(self, **options: Any) -> st.Client:
        return st.Client(api=options.pop("api", self.url), token=self.live.project.token(), **options)

    def log(self, outcomes: list[dict[str, Any]], **options: Any) -> int:
        with contextlib.closing(self.client(**options)) as client:
            return client.log_outcomes(outcomes)

    def count(self, prefix: str) -> tuple[int, int]:
        """Records, and different keys among them, whose key begins like this."""
        keys = [key for key in self.keys() if key.startswith(prefix)]
        return len(keys), len({*keys})

    def keys(self) -> list[str]:
        """The key of every record on disk that is converted."""
        parts = list_parts(model_directory(self.live.project.outcomes, "fraud"))
        keys: list[str] = read_parts(parts, OUTCOME_SCHEMA)["key"].to_pylist()
        return keys

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.live.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    opened = House(tmp_path_factory.mktemp("outcomes") / "live")
    try:
        opened.start()
        yield opened
    finally:
        opened.close()


def outcomes(prefix: str, count: int) -> list[dict[str, Any]]:
    return [st.outcome("fraud", f"{prefix}-{n}", "paid", n % 2) for n in range(count)]


# ── lost, killed, many ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", KILLS)
def test_what_was_acknowledged_survives_a_kill_at_any_moment(house: House, seed: int) -> None:
    """Clients go on through the kill and the restart; what they were told is kept is there, once."""
    rng = random.Random(seed)
    acknowledged: list[set[str]] = [set() for _ in range(3)]
    stop = threading.Event()

    def report(me: int) -> None:
        client = house.client(retry_s=40)
        for n in range(10_000):
            if stop.is_set():
                return client.close()
            batch = outcomes(f"k{seed}-{me}-{n}", 10)
            client.log_outcomes(batch)
            acknowledged[me] |= {item["key"] for item in batch}

    senders = [threading.Thread(target=report, args=(me,)) for me in range(3)]
    for sender in senders:
        sender.start()
    house.live.wait_for(lambda: all(acknowledged))
    time.sleep(rng.uniform(0.0, 0.3))
    house.kill()
    before = sum(map(len, acknowledged))
    house.start()
    house.live.wait_for(lambda: sum(map(len, acknowledged)) > before + 30)
    stop.set()
    for sender in senders:
        sender.join()
    every = set().union(*acknowledged)
    house.live.wait_for(lambda: every <= {*house.keys()})
    assert len(every) == sum(map(len, acknowledged)) > before
    (name,) = view(house)["names"]
    assert name["received"] - name["repeated"] == name["outcomes"], "what came twice for a lost answer counts once"


class LosesAnswers:
    """Between a client and the API: what is asked gets through, the first answers do not come back."""

    def __init__(self, to: tuple[str, int], lose: int) -> None:
        self.left, self._to = lose, to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                wire, _ = self._listener.accept()
            except OSError:
                return
            with wire, socket.create_connection(self._to) as onward:
                threading.Thread(target=_pipe, args=(wire, onward), daemon=True).start()
                while answer := onward.recv(1 << 20):
                    if self.left:
                        self.left -= 1
                        wire.shutdown(socket.SHUT_RDWR)
                        break
                    wire.sendall(answer)

    def close(self) -> None:
        self._listener.close()


def _pipe(source: socket.socket, to: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 20):
            to.sendall(data)


def test_an_answer_that_is_lost_is_asked_for_again(house: House) -> None:
    address = house.live.project.config.api
    between = LosesAnswers((address.host, address.port), lose=2)
    try:
        assert house.log(outcomes("lost", 3), api=between.url) == 3
    finally:
        between.close()
    assert between.left == 0
    house.live.wait_for(lambda: house.count("lost-") == (9, 3))


@pytest.mark.slow
def test_many_writers_and_large_batches(house: House) -> None:
    def report(me: int) -> None:
        for n in range(5):
            assert house.log(outcomes(f"bulk-{me}-{n}", 2_500), timeout_s=60) == 2_500

    writers = [threading.Thread(target=report, args=(me,)) for me in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    house.live.wait_for(lambda: house.count("bulk-") == (100_000, 100_000))


# ── at the door ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_model_nobody_knows_is_refused_in_the_same_words_everywhere(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(st.OutcomesRefused) as refused:
        house.log([st.outcome("fruad", "k", "paid", 1)])
    said = str(refused.value).partition(": ")[2].partition(": ")[2]
    assert said.startswith("there is no model 'fruad'")
    file = tmp_path / "typo.csv"
    file.write_text("model,key,name,value,time\nfruad,k,paid,1,2026-03-01T12:00:00Z\n")
    assert command("--project", house.live.project.root, "outcomes", "import", file) == 2
    assert "ST0727" in (err := capsys.readouterr().err)
    assert said in " ".join(err.split())
    assert "Known: fraud" in err


@pytest.mark.parametrize(
    "line",
    [
        *(json.dumps(st.outcome("fraud", "bad", "paid", value)) for value in (float("nan"), float("inf"), 1e300)),
        *(json.dumps(st.outcome("fraud", "bad", "paid", 1) | wrong) for wrong in (
            {"value": "high"}, {"value": None}, {"value": []}, {"time": "yesterday"}, {"time": 1_772_362_800_500},
            {"time": "0001-01-01T00:00:00+05:00"}, {"time": "2026-03-01T12:00:00"}, {"key": ""}, {"key": "\ud800"},
            {"key": {}}, {"name": "x" * 501}, {"revision": -1}, {"revision": 1.5}, {"extra": 1},
        )),
        '{"model": "fraud", "key": "bad", "name": "pa', "[]", "null", '"text"', "1" * 5_000, "[" * 100_000, "\x00",
    ],
)  # fmt: skip
def test_one_bad_line_refuses_all_and_is_named(house: House, line: str) -> None:
    before = len(house.keys())
    good = json.dumps(st.outcome("fraud", "good", "paid", 1))
    status, reply = post(house, f"{good}\n{line}")
    assert status == 422
    assert reply["message"].startswith("line 2:")
    assert (reply["code"][:4], reply["exitCode"]) == ("ST05", 2)
    assert len(house.keys()) == before


def test_odd_and_valid_lines_are_taken(house: House) -> None:
    fine = [
        {"value": True}, {"value": "0.5"}, {"value": -1e9}, {"time": "2999-01-01T00:00:00Z"}, {"time": 0},
        {"time": "2026-03-01T12:00:00+05:30"}, {"key": 17}, {"key": "a\nb"}, {"key": "\x00"}, {"key": "東京"},
    ]  # fmt: skip
    lines = [json.dumps(st.outcome("fraud", f"fine-{n}", "odd", 1) | odd) for n, odd in enumerate(fine)]
    assert post(house, "\r\n\n".join(lines)) == (200, {"schema": "seatrial.accepted.v1", "accepted": len(fine)})
    house.live.wait_for(lambda: {"17", "a\nb", "\x00", "東京", "fine-0"} <= {*house.keys()})


def post(house: House, body: str) -> tuple[int, Any]:
    address = house.live.project.config.api
    connection = http.client.HTTPConnection(address.host, address.port, timeout=30)
    try:
        headers = {"authorization": f"Bearer {house.live.project.token()}", "content-type": "application/x-ndjson"}
        connection.request("POST", "/v1/outcomes", body.encode("utf-8", "surrogatepass"), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def command(*words: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return int(left.value.code or 0)


# ── the client ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_client_says_after_a_while_that_nobody_listens() -> None:
    client = st.Client(api=f"http://127.0.0.1:{processes.free_port()}", token="t", retry_s=0.3)
    with pytest.raises(OSError, match="could not be delivered"):
        client.log_outcome("fraud", "k", "paid", 1)
    with pytest.raises(ValueError, match="no offset"):
        client.log_outcome("fraud", "k", "paid", 1, time=T0.replace(tzinfo=None))


def test_a_client_reads_why_a_long_body_was_refused(house: House) -> None:
    client = st.Client(house.live.project.config.gateway.url)
    answer = client.predict("fraud", {"text": "x" * 10_000_000}, unit="über-🚢")
    assert (answer.status, answer.body["status"]) == (413, 413)
    assert client.predict("fraud", {"dataframe_records": [{"unit": "x"}]}, unit="über-🚢").predictions == [0.5]
    client.close()


def test_a_sender_never_raises_and_delivers_when_somebody_listens(house: House) -> None:
    port = processes.free_port()
    sender = st.OutcomeSender(house.client(api=f"http://127.0.0.1:{port}", retry_s=0), size=4, linger_s=0)
    taken = [sender.put("fraud", f"sender-{n}", "paid", n) for n in range(6)]
    assert taken == [True] * 4 + [False] * 2
    assert sender.put("fraud", "sender-x", "paid", object()) is False  # type: ignore[arg-type]
    assert (sender.dropped, sender.refused, sender.pending, sender.flush(0.1)) == (2, 1, 4, False)
    address = house.live.project.config.api
    relay = subprocess.Popen([sys.executable, "-c", RELAY, str(port), address.host, str(address.port)])
    try:
        assert sender.flush(20)
    finally:
        relay.kill()
        relay.wait()
    house.live.wait_for(lambda: {f"sender-{n}" for n in range(4)} <= {*house.keys()})


def test_of_a_batch_with_bad_ones_the_sender_delivers_the_others(house: House) -> None:
    sender = st.OutcomeSender(house.client(), linger_s=0.2)
    for n in range(20):
        sender.put("fraud" if n % 7 else "fruad", f"mixed-{n}", "paid", 1)
    assert sender.flush(20)
    assert (sender.refused, sender.dropped) == (3, 0)
    house.live.wait_for(lambda: house.count("mixed-")[1] == 17)


def test_a_process_that_ends_or_forks_loses_nothing(house: House) -> None:
    program = (
        "import os, seatrial as st\n"
        "st.log_outcome('fraud', 'parent', 'paid', 1)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    st.log_outcome('fraud', 'child', 'paid', 1)\n"
        "    os._exit(0 if st.flush() else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    environment = {**os.environ, "SEATRIAL_API": house.url, "SEATRIAL_TOKEN": house.live.project.token()}
    done = subprocess.run([sys.executable, "-c", program], env=environment, timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    house.live.wait_for(lambda: {"parent", "child"} <= {*house.keys()})


RELAY = """
import socket, sys, threading
port, host, to = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
def pipe(a, b):
    while data := a.recv(65536):
        b.sendall(data)
listener = socket.create_server(("127.0.0.1", port))
while True:
    wire, _ = listener.accept()
    onward = socket.create_connection((host, to))
    threading.Thread(target=pipe, args=(wire, onward), daemon=True).start()
    threading.Thread(target=pipe, args=(onward, wire), daemon=True).start()
"""


# ── what they are worth ────────────────────────────────────────────────────────────────────────────────────────────

PLAN = parse_plan("""
name: outcomes
timeBucket: 1h
lookEvery: 1h
deadline: 10d
metrics: [{name: paid, kind: proportion, outcome: paid, horizon: 2h, margin: 10pp, direction: decrease}]
steps: [{setWeight: 50%}, {pause: {duration: 2d}}]
""")


def test_early_late_twice_contradictory_unknown_and_in_two_arms(make: Callable[..., Live]) -> None:
    live = make()
    live.adopt(live.server("champion"))
    live.operations.configure("fraud", Contract(outcome_key="unit"), actor="ann")
    rollout = live.begin(live.register(live.server("candidate")), PLAN)

    def tell(key: str, value: float, at: timedelta = HOUR / 2, revision: int = 0, name: str = "paid") -> None:
        live.operations.ingest([Outcome("fraud", key, name, value, T0 + at, revision)])

    tell("early", 1)
    live.operations.advance(T0 + HOUR / 4)
    on_canary = {unit: assign(live.salt, unit) < 5_000 for unit in live.people(0, 99)}
    canary, champion = (next(unit for unit, own in on_canary.items() if own == wanted) for wanted in (True, False))
    keys = ("early", "plain", "twice", "contradicted", "revised", "late", "silent")
    for key in keys:
        ask(live, key, canary)
    for unit in (canary, champion):
        ask(live, "shared", unit)
    live.client.close()
    tell("plain", 1)
    for _ in range(3):
        tell("twice", 1)
    tell("contradicted", 0)
    tell("contradicted", 1)
    tell("revised", 1)
    tell("revised", 0, at=HOUR / 3, revision=1)
    tell("shared", 1)
    tell("nobody", 1)
    live.operations.advance(T0 + 3 * HOUR)
    tell("late", 1)
    live.operations.advance(T0 + 4 * HOUR)

    builder = EvidenceBuilder(live.project.events, live.project.outcomes, PLAN, rollout, "fraud", T0)
    builder.advance(T0 + 4 * HOUR)
    seen = builder.snapshot(live=[1], mirrored=[]).metrics["paid"]
    builder.close()
    sums = {cell.arm: values.sum(axis=0) for cell, values in seen.tally.cells.items() if cell.segment == "total"}
    assert [int(n) for n in sums["canary"] // (1, 1_000_000, 1_000_000)] == [6, 5, 6], "revised is 0, all others 1"
    assert [int(n) for n in sums["champion"] // (1, 1_000_000, 1_000_000)] == [1, 1, 1], "once in each arm it was in"
    assert (seen.late, dict(seen.missing)) == (1, {(1, "canary"): 2}), "late and silent are in no sum"

    (name,) = status(live)["names"]
    assert {count: name[count] for count in COUNTS} == {
        "received": 12, "outcomes": 8, "matched": 7, "pending": 1, "late": 1, "repeated": 2, "revised": 1,
        "contradicted": 1,
    }  # fmt: skip
    assert name["horizonSeconds"] == 7200
    assert [day["day"] for day in name["byDay"]] == ["2026-03-01"]


def ask(live: Live, key: str, unit: str) -> None:
    at = {"x-event-time": (T0 + HOUR / 4 + HOUR / 60).isoformat()}
    assert live.client.predict("fraud", {"dataframe_records": [{"unit": key}]}, unit=unit, headers=at).ok


def status(live: Live) -> dict[str, Any]:
    with live.store.read() as tx:
        return outcomes_document(tx, live.project, "fraud", now=T0 + 4 * HOUR, days=31)


def view(house: House) -> dict[str, Any]:
    """What the API says was received."""
    with contextlib.closing(house.client()) as client:
        found: dict[str, Any] = client.call("GET", "/v1/models/fraud/outcomes")
        return found


def test_the_view_at_the_command_line(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.log(outcomes("view", 5) * 2)
    house.live.wait_for(lambda: house.count("view-") == (10, 5))
    root = house.live.project.root
    assert command("--project", root, "outcomes", "status", "fraud", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    paid = next(name for name in document["names"] if name["name"] == "paid")
    assert paid["repeated"] >= 5
    assert paid["pending"] == paid["outcomes"], "nobody asked the model for these"
    assert paid["late"] is None, "no plan names a horizon"
    assert command("--project", root, "outcomes", "status", "fraud") == 0
    assert "REPEATED" in capsys.readouterr().out
    assert command("--project", root, "outcomes", "status", "fruad") == 1
    assert "fruad" in capsys.readouterr().err
