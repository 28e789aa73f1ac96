"""A proxy host in front of a server that misbehaves: what is no prediction never leaves as one."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from foreign import GOOD, TWO_ROWS, Foreign, ask, serving, within
from seatrial.events.wire import ResponseSpec
from seatrial.processes import free_port
from seatrial.serving.process import HostProcess, host_info
from seatrial.serving.spec import HostSpec, Reading

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def upstream() -> Iterator[Foreign]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def host(upstream: Foreign, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    url = f"http://user:secret@127.0.0.1:{upstream.port}"
    spec = HostSpec("credit", "4", kind="proxy", url=url, timeout_s=1.0, max_body_mb=1.0)
    process = HostProcess(spec, tmp_path_factory.mktemp("proxy"))
    process.start()
    try:
        assert process.ready(30)
        yield process
    finally:
        process.stop()


@pytest.fixture
def agreed(host: HostProcess) -> Iterator[HostProcess]:
    """A host whose contract a test may change."""
    yield host
    assert host.reread(Reading())


def test_a_good_answer_passes_unchanged_and_hop_by_hop_headers_do_not(host: HostProcess) -> None:
    status, headers, answer = ask(host.port, "/good/invocations")
    assert (status, json.loads(answer)) == (200, GOOD)
    assert headers["x-seatrial-host-version"] == "4"
    assert headers["x-kept"] == "yes"
    assert not {"x-secret", "content-encoding", "x-seatrial-version", "x-seatrial-features"} & headers.keys()


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/nan/invocations", 502, "(nan)"),
        ("/null/invocations", 502, "(nan)"),
        ("/short/invocations", 502, "(row_count): 2 rows were asked and 1"),
        ("/html/invocations", 502, "(non_json)"),
        ("/empty/invocations", 502, "(non_json)"),
        ("/other/invocations", 502, "(no_predictions)"),
        ("/other/predict", 502, "(no_predictions)"),
        ("/chat/predict", 502, "(no_predictions)"),
        ("/nothing/invocations", 502, "(non_json)"),
        ("/large/invocations", 502, "sent more than 1 MB"),
        ("/hung/invocations", 504, "did not answer within 1 s"),
        ("/broken/invocations", 502, "broke off"),
    ],
)
def test_what_is_no_prediction_is_an_error(host: HostProcess, path: str, status: int, says: str) -> None:
    got, _, answer = ask(host.port, path)
    assert got == status
    assert says in json.loads(answer)["error"]
    assert b"secret" not in answer


@pytest.mark.parametrize("path", ["/csv/invocations", "/lines/invocations", "/tensors/invocations"])
def test_answers_in_other_types_are_read_or_let_through(host: HostProcess, path: str) -> None:
    status, headers, answer = ask(host.port, path)
    assert status == 200, answer
    assert "x-seatrial-features" not in headers


def test_a_compressed_request_is_counted_too(host: HostProcess) -> None:
    three = gzip.compress(b'{"instances": [1, 2, 3]}')
    assert ask(host.port, "/good/invocations", gzip.compress(TWO_ROWS), **{"content-encoding": "gzip"})[0] == 200
    assert ask(host.port, "/good/invocations", three, **{"content-encoding": "gzip"})[0] == 502


def test_the_foreign_servers_own_error_passes_through(host: HostProcess) -> None:
    status, _, answer = ask(host.port, "/failing/invocations")
    assert (status, json.loads(answer)["message"]) == (500, "boom")


def test_the_host_keeps_answering_while_the_foreign_server_hangs(host: HostProcess) -> None:
    statuses: list[int] = []
    hung = [threading.Thread(target=lambda: statuses.append(ask(host.port, "/hung/invocations")[0])) for _ in range(8)]
    for thread in hung:
        thread.start()
    assert ask(host.port, "/good/invocations")[0] == 200
    for thread in hung:
        thread.join()
    assert statuses == [504] * 8


def test_features_that_the_foreign_server_reports_become_a_header(host: HostProcess) -> None:
    _, headers, answer = ask(host.port, "/features/invocations")
    assert json.loads(answer)["features"][0] == {"x": 1, "y": "ö"}
    assert json.loads(headers["x-seatrial-features"]) == json.loads(answer)["features"]


def test_features_in_a_header_count_before_those_in_the_body(agreed: HostProcess) -> None:
    told = json.loads(ask(agreed.port, "/told/invocations")[1]["x-seatrial-features"])
    assert told == [{"x": 1, "y": 2, "@schema": "v3", "@as_of": {"x": 10, "y": 20}}, {"x": 3}]
    assert agreed.reread(Reading(emit_features=("x",)))
    told = json.loads(ask(agreed.port, "/told/invocations")[1]["x-seatrial-features"])
    assert told == [{"x": 1, "@schema": "v3", "@as_of": {"x": 10}}, {"x": 3}], "nothing about what may not leave"


def test_a_body_that_is_too_large_is_refused(host: HostProcess) -> None:
    status, _, answer = ask(host.port, "/good/invocations", b"1" * 2**21)
    assert (status, json.loads(answer)) == (413, {"error": "the body is larger than 1 MB"})


def test_a_refused_connection_is_unavailable_and_not_ready(tmp_path: Path) -> None:
    spec = HostSpec("credit", "5", kind="proxy", url=f"http://127.0.0.1:{free_port()}")
    process = HostProcess(spec, tmp_path)
    process.start()
    try:
        within(60, lambda: host_info("127.0.0.1", process.port))
        assert not process.ready()
        status, _, answer = ask(process.port, "/invocations")
        assert status == 503
        assert b"does not take connections" in answer
        later = HostProcess(spec, tmp_path)
        assert later.adopt(), "the proxy itself is well"
        assert later.pid == process.pid
    finally:
        process.stop()


def test_a_new_contract_is_taken_by_the_running_host(agreed: HostProcess) -> None:
    pid, digest = agreed.pid, agreed.spec.digest()
    assert ask(agreed.port, "/chat/predict")[0] == 502
    statuses: list[int] = []
    done = threading.Event()

    def keep_asking() -> None:
        while not done.is_set():
            statuses.append(ask(agreed.port, "/good/invocations")[0])

    asking = threading.Thread(target=keep_asking)
    asking.start()
    assert agreed.reread(Reading("json", ResponseSpec(label="/choices/0/message/content", rows=""), ("x",)))
    assert ask(agreed.port, "/chat/predict", b'{"prompt": "hi"}')[0] == 200
    assert agreed.reread(Reading("opaque", emit_features=("x",)))
    assert ask(agreed.port, "/chat/predict")[0] == 200
    assert agreed.reread(Reading(emit_features=("y",)))
    _, headers, _ = ask(agreed.port, "/features/invocations")
    done.set()
    asking.join()
    assert json.loads(headers["x-seatrial-features"]) == [{"y": "ö"}, {"y": "z"}]
    assert set(statuses) <= {200, 502}, "no request is lost while the contract changes"
    assert agreed.pid == pid
    assert agreed.spec.digest() != digest
    told = host_info("127.0.0.1", agreed.port)
    assert told is not None
    assert told["digest"] == agreed.spec.digest()


def test_a_later_controller_finds_the_host_and_tells_it_the_contract(agreed: HostProcess) -> None:
    reading = Reading("vertex", emit_features=())
    later = HostProcess(agreed.spec.read_as(reading), agreed.directory)
    assert later.adopt()
    assert later.pid == agreed.pid
    assert "x-seatrial-features" not in ask(agreed.port, "/features/predict")[1]
    other = HostProcess(HostSpec("credit", "4", kind="proxy", url="http://127.0.0.1:1"), agreed.directory)
    assert not other.adopt(), "another URL takes a restart"


def test_a_declared_pointer_reads_any_service(agreed: HostProcess) -> None:
    assert agreed.reread(Reading("json", ResponseSpec(score="/predictions/*/1", rows="/instances")))
    assert ask(agreed.port, "/good/score")[0] == 200
    assert ask(agreed.port, "/good/score", b'{"instances": [1, 2, 3]}')[0] == 502
