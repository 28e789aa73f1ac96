"""Who may call: the token, the Host and the Origin."""

from __future__ import annotations

from typing import Any

import pytest

MUTATING = [
    "/v1/models/fraud/adopt",
    "/v1/models/fraud/versions",
    "/v1/models/fraud/rollback",
    "/v1/models/fraud/kill",
    "/v1/models/fraud/revive",
    "/v1/rollouts",
    "/v1/rollouts/r-0001/abort",
    "/v1/outcomes",
    "/v1/replay/advance",
]


@pytest.mark.parametrize("token", ["", "Bearer ", "Bearer wrong", "Basic dXNlcjpwdw==", "Bearer é"])
def test_what_changes_something_needs_the_token(api: Any, token: str) -> None:
    for path in MUTATING:
        answer = api.post(path, headers={"authorization": token.encode()})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["code"] == "ST0845"
        assert "run/token" in answer.json()["remedy"]
        assert api.post(path).status_code not in (401, 403), "with the token it gets through"


def test_methods_without_routes_need_the_token_too(api: Any) -> None:
    assert {api.call(method, "/v1/models/fraud").status_code for method in ("PUT", "PATCH", "DELETE")} == {401}


def test_reading_needs_no_token(api: Any) -> None:
    assert api.get("/v1/models").status_code == 200


def test_only_loopback_is_answered(api: Any) -> None:
    for host in ("evil.example", "evil.example:8700", "127.0.0.1.evil.example", "", "[oops", "8.8.8.8"):
        answer = api.get("/v1/models", headers={"host": host})
        assert (answer.status_code, answer.json()["code"]) == (403, "ST0843"), host
    for host in ("127.0.0.1:8700", "localhost:8700", "LOCALHOST", "[::1]:8700", "127.0.0.1"):
        assert api.get("/v1/models", headers={"host": host}).status_code == 200, host


def test_foreign_pages_may_not_call_even_with_the_token(api: Any) -> None:
    foreign = {"origin": "https://evil.example"}
    assert api.post("/v1/models/fraud/kill", {"reason": "x"}, headers=foreign).json()["code"] == "ST0844"
    assert api.get("/v1/models", headers={"origin": "null"}).status_code == 403
    own = {"origin": "http://127.0.0.1:8700"}
    assert api.post("/v1/models/fraud/kill", {"reason": "x"}, headers=own).status_code == 200


def test_a_configured_name_is_answered(api: Any) -> None:
    assert api.get("/healthz", headers={"host": "seatrial.internal"}).status_code == 403
    api.serve_as("seatrial.internal")
    assert api.get("/healthz", headers={"host": "seatrial.internal"}).status_code == 200
