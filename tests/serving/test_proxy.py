"""A proxy host in front of a server that misbehaves: what is no prediction never leaves as one."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from seatrial.events.wire import ResponseSpec
from seatrial.processes import free_port
from seatrial.serving.process import HostProcess, host_info
from seatrial.serving.spec import HostSpec

pytestmark = pytest.mark.live

GOOD = {"predictions": [[0.75, 0.25], [0.5, 0.5]]}
BODY = json.dumps({"instances": [[1.0], [2.0]]}).encode()
ANSWERS: dict[str, tuple[int, bytes]] = {
    "good": (200, json.dumps(GOOD).encode()),
    "failing": (500, b'{"error_code": "INTERNAL", "message": "boom"}'),
    "nan": (200, b'{"predictions": [[0.5, NaN], [0.5, 0.5]]}'),
    "null": (200, b'{"predictions": [null, 0.5]}'),
    "short": (200, b'{"predictions": [0.5]}'),
    "html": (200, b"<html>it works</html>"),
    "empty": (200, b""),
    "other": (200, b'{"status": "ok"}'),
    "features": (200, json.dumps({**GOOD, "features": [{"x": 1, "y": "ö"}, {"x": 2, "y": "z"}]}).encode()),
}


class Misbehaving(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    released = threading.Event()

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        what = self.path.split("/")[1].partition("?")[0]
        if what == "hung":
            self.released.wait(30)
        if what == "broken":
            self.close_connection = True
            self.connection.close()
            return
        status, body = ANSWERS.get(what, (200, json.dumps({"path": self.path, "headers": dict(self.headers)}).encode()))
        self.send_response(status)
        if what == "good":
            body = gzip.compress(body)
            self.send_header("content-encoding", "gzip")
        self.send_header("content-type", "application/json")
        self.send_header("connection", "keep-alive, x-secret")
        self.send_header("x-secret", "hop by hop")
        self.send_header("x-seatrial-version", "forged")
        self.send_header("x-kept", "yes")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # the default of 5 would drop connections and look like a hang


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    server = Server(("127.0.0.1", 0), Misbehaving)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    Misbehaving.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def host(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    spec = HostSpec("credit", "4", kind="proxy", url=upstream, timeout_s=1.0, max_body_mb=1.0)
    process = HostProcess(spec, tmp_path_factory.mktemp("proxy"))
    process.start()
    try:
        assert process.ready(30)
        yield process
    finally:
        process.stop()


def ask(
    host: HostProcess, path: str, body: bytes | None = BODY, method: str = "POST", **headers: str
) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=20)
    try:
        connection.request(method, path, body, {"content-type": "application/json", **headers})
        response = connection.getresponse()
        content = response.read()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, json.loads(content or b"null")
    finally:
        connection.close()


def test_a_good_answer_passes_unchanged_and_hop_by_hop_headers_do_not(host: HostProcess) -> None:
    status, headers, answer = ask(host, "/good/invocations")
    assert (status, answer) == (200, GOOD)
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
        ("/hung/invocations", 504, "did not answer within 1 s"),
        ("/broken/invocations", 502, "broke off"),
    ],
)
def test_what_is_no_prediction_is_an_error(host: HostProcess, path: str, status: int, says: str) -> None:
    got, _, answer = ask(host, path)
    assert got == status
    assert says in answer["error"]


def test_the_foreign_servers_own_error_passes_through(host: HostProcess) -> None:
    status, _, answer = ask(host, "/failing/invocations")
    assert (status, answer["message"]) == (500, "boom")


def test_the_host_keeps_answering_while_the_foreign_server_hangs(host: HostProcess) -> None:
    statuses: list[int] = []
    hung = [threading.Thread(target=lambda: statuses.append(ask(host, "/hung/invocations")[0])) for _ in range(8)]
    for thread in hung:
        thread.start()
    assert ask(host, "/good/invocations")[0] == 200
    assert ask(host, "/v2/health/ready", None, "GET")[0] == 200
    for thread in hung:
        thread.join()
    assert statuses == [504] * 8


def test_any_path_is_forwarded_as_it_was_written(host: HostProcess) -> None:
    status, _, answer = ask(
        host, "/a%2Fb/c?x=%20y&x=2", None, "GET", connection="close, x-mine", **{"x-mine": "1", "x-seatrial-id": "r1"}
    )
    assert status == 200
    assert answer["path"] == "/a%2Fb/c?x=%20y&x=2"
    sent = {key.lower(): value for key, value in answer["headers"].items()}
    assert sent["x-seatrial-id"] == "r1"
    assert "x-mine" not in sent


def test_features_that_the_foreign_server_reports_become_a_header(host: HostProcess) -> None:
    _, headers, answer = ask(host, "/features/invocations")
    assert answer["features"][0] == {"x": 1, "y": "ö"}
    assert json.loads(headers["x-seatrial-features"]) == answer["features"]


def test_a_body_that_is_too_large_is_refused(host: HostProcess) -> None:
    status, _, answer = ask(host, "/good/invocations", b"1" * 2**21)
    assert (status, answer) == (413, {"error": "the body is larger than 1 MB"})


def test_a_refused_connection_is_unavailable_and_not_ready(tmp_path: Path) -> None:
    spec = HostSpec("credit", "5", kind="proxy", url=f"http://127.0.0.1:{free_port()}")
    process = HostProcess(spec, tmp_path)
    process.start()
    try:
        deadline = time.monotonic() + 60
        while host_info("127.0.0.1", process.port) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not process.ready()
        status, _, answer = ask(process, "/invocations")
        assert status == 503
        assert "does not take connections" in answer["error"]
        assert ask(process, "/v2/health/ready", None, "GET")[0] == 503
        assert ask(process, "/v2/health/live", None, "GET")[0] == 200
    finally:
        process.stop()


def test_a_declared_pointer_reads_any_service(upstream: str, tmp_path: Path) -> None:
    response = ResponseSpec(score="/predictions/*/1", rows="/instances")
    process = HostProcess(
        HostSpec("credit", "6", kind="proxy", url=upstream + "/good", wire="json", response=response), tmp_path
    )
    process.start()
    try:
        assert process.ready(30)
        assert ask(process, "/score")[0] == 200
        assert ask(process, "/score", b'{"instances": [1, 2, 3]}')[0] == 502
    finally:
        process.stop()
