"""What a proxy host passes on without judging it: streams, other methods, any path, and to https servers."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foreign import Foreign, ask, serving, within
from seatrial.serving.process import HostProcess
from seatrial.serving.proxy import Target
from seatrial.serving.spec import HostSpec
from tls import authority

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def upstream() -> Iterator[Foreign]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def host(upstream: Foreign, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    url = f"http://127.0.0.1:{upstream.port}"
    process = HostProcess(
        HostSpec("credit", "4", kind="proxy", url=url, timeout_s=1.0, max_body_mb=1.0),
        tmp_path_factory.mktemp("passing"),
    )
    process.start()
    try:
        assert process.ready(30)
        yield process
    finally:
        process.stop()


def told(answer: bytes) -> Any:
    return json.loads(answer)


def test_any_path_is_forwarded_as_it_was_written(host: HostProcess) -> None:
    given = {"x-mine": "1", "x-seatrial-id": "r1", "x-seatrial-arm": "canary", "x-seatrial-shadow": "true"}
    status, _, answer = ask(host.port, "/a%2Fb/c?x=%20y&x=2", None, "GET", connection="close, x-mine", **given)
    assert (status, told(answer)["path"]) == (200, "/a%2Fb/c?x=%20y&x=2")
    sent = {key.lower(): value for key, value in told(answer)["headers"].items()}
    assert (sent["x-seatrial-id"], sent["x-seatrial-shadow"]) == ("r1", "true")
    assert not {"x-mine", "x-seatrial-arm"} & sent.keys(), "a model does not know its arm"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_only_a_post_is_a_prediction(host: HostProcess, method: str) -> None:
    status, _, answer = ask(host.port, "/v2/health/ready", None, method)
    assert (status, told(answer)["method"]) == (200, method)
    assert ask(host.port, "/other/v2/health/ready", None, method)[0] == 200
    assert ask(host.port, "/other/v2/health/ready", method="POST")[0] == 502


def test_answers_without_a_body_keep_their_form(host: HostProcess) -> None:
    status, headers, answer = ask(host.port, "/other/model", None, "HEAD")
    assert (status, headers["content-length"], answer) == (200, "16", b"")
    status, headers, answer = ask(host.port, "/nothing/model", None, "DELETE")
    assert (status, answer) == (204, b"")
    assert "content-length" not in headers


def test_a_redirect_is_not_followed(host: HostProcess) -> None:
    status, headers, answer = ask(host.port, "/moved/invocations")
    assert (status, "location" in headers) == (502, False)
    assert b"redirects; register the URL it redirects to" in answer
    status, headers, _ = ask(host.port, "/moved/page", None, "GET")
    assert (status, headers["location"]) == (307, "/good/invocations")


@pytest.mark.parametrize("path", ["/chat/v1/chat/completions", "/other/generate", "/other/v1/models/m:explain"])
def test_text_generation_and_explanations_are_not_judged(host: HostProcess, path: str) -> None:
    assert ask(host.port, path)[0] == 200


def test_what_is_not_judged_may_be_of_any_size(host: HostProcess) -> None:
    status, headers, answer = ask(host.port, "/large/file", None, "GET")
    assert (status, int(headers["content-length"])) == (200, len(answer))
    assert len(answer) > 1.5e6


def connected(host: HostProcess, path: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=20)
    connection.request("POST", path, b"{}", {"content-type": "application/json"})
    return connection, connection.getresponse()


def test_server_sent_events_come_one_by_one(host: HostProcess) -> None:
    connection, response = connected(host, "/endless/invocations")
    assert response.getheader("content-type") == "text/event-stream"
    assert [response.readline() for _ in range(6)] == [b"data: 0\n", b"\n", b"data: 1\n", b"\n", b"data: 2\n", b"\n"]
    connection.close()
    assert ask(host.port, "/words/invocations")[2].count(b"data:") == 5


def test_a_client_that_goes_ends_the_stream_behind_it(host: HostProcess, upstream: Foreign) -> None:
    upstream.gone.clear()
    connection, response = connected(host, "/endless/generate")
    assert response.readline() == b"data: 0\n"
    assert not upstream.gone.is_set()
    response.close()
    connection.close()
    within(20, upstream.gone.is_set)


def test_a_stream_that_stops_is_broken_off_and_not_ended(host: HostProcess) -> None:
    connection, response = connected(host, "/stuck/invocations")
    with pytest.raises(http.client.IncompleteRead):
        response.read()
    connection.close()


@pytest.mark.parametrize(
    ("url", "asked", "sent"),
    [
        ("http://h:9", b"/", "http://h:9/"),
        ("http://h:9/", b"/x", "http://h:9/x"),
        ("http://h:9/base/", b"/x?a=1", "http://h:9/base/x?a=1"),
        ("http://h:9/base/", b"/", "http://h:9/base/"),
        ("http://h:9/score", b"/", "http://h:9/score"),
        ("http://h:9/score?v=2", b"/", "http://h:9/score?v=2"),
        ("http://h:9/score?v=2", b"/?a=%20", "http://h:9/score?v=2&a=%20"),
        ("https://h/a%2Fb", b"/c%2Fd", "https://h/a%2Fb/c%2Fd"),
    ],
)
def test_the_foreign_url_comes_before_path_and_query(url: str, asked: bytes, sent: str) -> None:
    assert str(Target(url).url(asked)) == sent


def test_clients_never_see_a_password_or_a_query() -> None:
    target = Target("https://user:secret@models.example:8443/base?key=abc")
    assert target.name == "https://models.example:8443/base"
    assert (target.host, target.port) == ("models.example", 8443)


def test_https_needs_a_certificate_that_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public, context = authority(tmp_path)
    with serving(context) as server:
        spec = HostSpec("credit", "6", kind="proxy", url=f"https://127.0.0.1:{server.port}")
        for trusted, status in ((False, 502), (True, 200)):
            if trusted:
                monkeypatch.setenv("SSL_CERT_FILE", str(public))
            process = HostProcess(spec, tmp_path / str(trusted))
            process.start()
            try:
                assert process.ready(30)
                got, _, answer = ask(process.port, "/good/invocations")
                assert got == status, answer
                assert trusted or b"is not trusted: self-signed certificate. For an authority" in answer
            finally:
                process.stop()
