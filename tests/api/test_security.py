"""Who may call: the token, the Host and the Origin. Roles, sessions and the rest are in tests/security."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from seatrial.control import access
from seatrial.values import Duration

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


def test_what_changes_something_needs_a_token(api: Any) -> None:
    for path in MUTATING:
        for token in ("", "Bearer ", "Basic dXNlcjpwdw==", "Bearer", "é"):
            answer = api.post(path, headers={"authorization": token.encode()})
            assert (answer.status_code, answer.json()["code"]) == (401, "ST0845")
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "run/token" in answer.json()["remedy"]
        assert api.post(path).status_code not in (401, 403), "with the token it gets through"


def test_a_token_nobody_has_is_refused_for_reading_too(api: Any) -> None:
    for token in ("wrong", "é", "st_" + "a" * 43, "\x00", api.project.token()[:-1]):
        wrong = {"authorization": f"Bearer {token}".encode()}
        for answer in (api.post("/v1/models/fraud/kill", headers=wrong), api.get("/v1/models", headers=wrong)):
            assert (answer.status_code, answer.json()["code"]) == (401, "ST0855"), token


def test_methods_without_routes_need_the_token_too(api: Any) -> None:
    assert {api.call(method, "/v1/models/fraud").status_code for method in ("PUT", "PATCH", "DELETE")} == {401}


def test_a_token_counts_until_it_runs_out(api: Any) -> None:
    day = Duration.parse("1d")
    fresh = api.person("ann", "operator", expires=day)
    stale = api.person("bob", "operator", expires=day, now=datetime.now(UTC) - timedelta(days=1, seconds=1))
    assert api.post("/v1/models/fraud/kill", {"reason": "x"}, headers=fresh).status_code == 200
    assert api.post("/v1/models/fraud/kill", {"reason": "x"}, headers=stale).json()["code"] == "ST0855"


def test_a_revoked_token_ends_at_once(api: Any) -> None:
    ann = api.person("ann", "operator")
    assert api.post("/v1/models/fraud/kill", {"reason": "x"}, headers=ann).status_code == 200
    assert api.call("DELETE", "/v1/access/ann", headers=api.token).status_code == 200
    assert api.post("/v1/models/fraud/kill", {"reason": "x"}, headers=ann).json()["code"] == "ST0855"


def test_a_second_grant_ends_the_first_token(api: Any) -> None:
    first, second = api.person("ann", "operator"), api.person("ann", "viewer")
    assert api.get("/v1/models", headers=first).status_code == 401
    assert api.get("/v1/models", headers=second).status_code == 200
    assert api.post("/v1/models/fraud/kill", headers=second).json()["code"] == "ST0856"


def test_only_the_digest_of_a_token_is_kept_and_what_was_done_is_audited(api: Any) -> None:
    answer = api.post("/v1/access", {"name": "ann@example.com", "role": "operator", "expires": "90d"})
    assert (answer.status_code, answer.json()["schema"]) == (201, "seatrial.grant.v1")
    token = answer.json()["token"]
    listed = api.get("/v1/access", headers=api.token)
    assert [p["name"] for p in listed.json()["people"]] == ["ann@example.com"]
    assert api.call("DELETE", "/v1/access/ann@example.com", headers=api.token).status_code == 200
    assert api.call("DELETE", "/v1/access/ann@example.com", headers=api.token).json()["code"] == "ST0623"
    audited = api.get("/v1/audit").json()["entries"]
    assert [(e["action"], e["actor"]) for e in audited[:2]] == [("access.revoke", "local"), ("access.grant", "local")]
    kept = b"".join(path.read_bytes() for path in api.project.state.rglob("*") if path.is_file())
    assert token.encode() not in kept
    assert access.token_digest(token) not in listed.text


def test_the_owner_says_who_they_are_and_others_are_who_they_are(api: Any, rollout: str) -> None:
    ann = api.person("ann", "operator")
    named = {"x-seatrial-actor": "zoe"}
    path, body = f"/v1/rollouts/{rollout}", {"reason": "x"}
    assert api.post(f"{path}/pause", body, headers=named).json()["actor"] == "zoe"
    assert api.post(f"{path}/resume", body, headers={**ann, **named}).json()["actor"] == "ann"
    assert api.post(f"{path}/pause", body, headers={"x-seatrial-actor": "a\tb"}).json()["actor"] == "local"


def test_names_that_are_no_persons_are_refused(api: Any) -> None:
    for name in ("local", "controller", "", "a b", "../x", "x" * 65, "a\nb"):
        answer = api.post("/v1/access", {"name": name, "role": "viewer"})
        code = "ST0624" if name in ("local", "controller") else "ST0622"
        assert (answer.status_code, answer.json()["code"]) == (422, code), name


def test_a_token_holds_for_a_time_that_makes_sense(api: Any) -> None:
    for expires in ("0s", "99999d", "1e9d", "never"):
        body = {"name": "ann", "role": "viewer", "expires": expires}
        assert api.post("/v1/access", body).status_code == 422, expires


def test_reading_is_free_on_loopback_and_needs_a_viewer_elsewhere(api: Any) -> None:
    assert api.get("/v1/models").status_code == 200
    api.serve_as("seatrial.internal", host="0.0.0.0")
    for path in ("/v1/models", "/metrics", "/v1/audit", "/openapi.json", "/docs", "/"):
        assert api.get(path).status_code == 401, path
        assert api.get(path, headers=api.person("ann", "viewer")).status_code == 200, path
        assert api.get(path, headers=api.person("pipe", "reporter")).json()["code"] == "ST0856", path
    assert [api.get(path).status_code for path in ("/healthz", "/readyz", "/login")] == [200, 200, 200]
    page = api.get("/models/fraud", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/login?next=/models/fraud")


def test_reading_is_as_free_as_the_configuration_says(api: Any) -> None:
    for host, said, status in (("0.0.0.0", True, 200), ("127.0.0.1", False, 401), ("::1", None, 200)):
        api.serve_as(host=host, open_reads=said)
        assert api.get("/v1/models").status_code == status, host


def test_only_loopback_is_answered(api: Any) -> None:
    strange = ("evil.example", "evil.example:8700", "127.0.0.1.evil.example", "", "[oops", "8.8.8.8",
               "[::ffff:8.8.8.8]", "127.0.0.1:8700@evil.example", "evil.example@127.0.0.1", "127.0.0.1/evil",
               "127.0.0.1:port", "localhost.", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "[::]")  # fmt: skip
    for host in strange:
        answer = api.get("/v1/models", headers={"host": host})
        assert (answer.status_code, answer.json()["code"]) == (403, "ST0843"), host
    for host in ("127.0.0.1:8700", "localhost:8700", "LOCALHOST", "[::1]:8700", "[::1]", "127.0.0.1", "127.8.8.8:1"):
        assert api.get("/v1/models", headers={"host": host}).status_code == 200, host


def test_two_hosts_are_none(api: Any) -> None:
    twice = [("host", "127.0.0.1:8700"), ("host", "evil.example")]
    assert api.get("/v1/models", headers=twice).json()["code"] == "ST0843"


def test_foreign_pages_may_not_call_even_with_the_token(api: Any) -> None:
    foreign = ("https://evil.example", "null", "", "http://127.0.0.1:9999", "http://localhost:8700", "file://",
               "http://127.0.0.1:8700.evil.example", "http://evil.example/?127.0.0.1:8700", "ftp://127.0.0.1:8700",
               "127.0.0.1:8700", "http://u@127.0.0.1:8700", "http://[oops")  # fmt: skip
    for origin in foreign:
        headers = {"origin": origin}
        answer = api.post("/v1/models/fraud/kill", {"reason": "x"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "ST0844"), origin
        assert api.get("/v1/models", headers=headers).status_code == 403, origin
    for own in ("http://127.0.0.1:8700", "HTTP://127.0.0.1:8700", "https://127.0.0.1:8700"):
        assert api.post("/v1/models/fraud/kill", {"reason": "x"}, headers={"origin": own}).status_code == 200, own
    six = {"host": "[::1]:8700", "origin": "http://[::1]:8700"}
    assert api.post("/v1/models/fraud/kill", {"reason": "x"}, headers=six).status_code == 200


def test_no_answer_invites_other_origins(api: Any) -> None:
    preflight = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    for answer in (api.call("OPTIONS", "/v1/models/fraud/kill", headers=preflight), api.get("/v1/models")):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_configured_names_are_answered(api: Any) -> None:
    names = ({"host": "seatrial.internal"}, {"host": "Ml.Example:443"})
    assert [api.get("/healthz", headers=name).status_code for name in names] == [403, 403]
    api.serve_as("seatrial.internal", names=("ml.example",))
    assert [api.get("/healthz", headers=name).status_code for name in names] == [200, 200]


def test_errors_say_nothing_secret(api: Any) -> None:
    ann = api.person("ann", "viewer")
    bodies = [
        api.post("/v1/models/fraud/kill", headers=ann).text,
        api.post("/v1/models/fraud/kill", headers={"authorization": "Bearer " + api.project.token() + "x"}).text,
        api.get("/v1/models", headers={"host": "evil.example", **api.token}).text,
        api.post("/v1/models/fraud/versions", {"serving": {"kind": "url", "url": "x"}, "lineage": {}}).text,
        api.get("/v1/nowhere", headers=api.token).text,
        api.get("/metrics", headers=api.token).text,
        api.get("/openapi.json", headers=api.token).text,
    ]
    secret = [api.project.token(), api.project.session_key().hex(), ann["authorization"].split()[1]]
    secret += [str(api.project.root), api.project.secrets().unit_key.hex()]
    for body in bodies:
        assert not [text for text in secret if text in body], body
