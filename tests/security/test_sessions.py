"""Sessions of the pages: signed, over after a while, as good as the token behind them; changes need the page's word."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seatrial.api.sessions import LIFETIME, Sessions

NOW = datetime.now(UTC)
FORM = {"content-type": "application/x-www-form-urlencoded"}
KILL = "/v1/models/fraud/kill"


class Browser:
    """Somebody who logged in with a token."""

    def __init__(self, api: Any, token: str, **headers: str) -> None:
        self.api = api
        body = urlencode({"token": token})
        self.answer = api.call("POST", "/login", content=body, headers={**FORM, **headers})
        self.cookie = SimpleCookie(self.answer.headers.get("set-cookie", ""))

    @property
    def sessions(self) -> Sessions:
        found: Sessions = self.api.app.state.sessions
        return found

    @property
    def value(self) -> str:
        return self.cookie[self.sessions.cookie].value

    def call(self, method: str, path: str, csrf: str | None = None, **given: Any) -> Any:
        headers = {"cookie": f"{self.sessions.cookie}={self.value}", **given.pop("headers", {})}
        if csrf is not None:
            headers["x-csrf-token"] = csrf
        return self.api.call(method, path, headers=headers, **given)


def token_of(headers: dict[str, str]) -> str:
    return headers["authorization"].split()[1]


def test_the_cookie_is_for_this_server_and_no_script(api: Any) -> None:
    browser = Browser(api, api.project.token())
    morsel = browser.cookie[browser.sessions.cookie]
    assert (morsel["httponly"], morsel["samesite"], morsel["path"], morsel["domain"]) == (True, "strict", "/", "")
    assert not morsel["secure"], "this server speaks http"
    assert int(morsel["max-age"]) == LIFETIME.total_seconds()
    assert api.project.token() not in browser.value + browser.answer.text
    assert browser.sessions.cookie.endswith(api.get("/healthz").json()["instance"])


def test_a_wrong_token_gives_no_session(api: Any) -> None:
    browser = Browser(api, "wrong")
    assert browser.answer.status_code == 401
    assert "set-cookie" not in browser.answer.headers


def test_each_login_is_a_session_of_its_own_whatever_came_with_it(api: Any) -> None:
    """No fixation: the value a browser was given before is never the one that counts afterwards."""
    first = Browser(api, api.project.token())
    second = Browser(api, api.project.token(), cookie=f"{first.sessions.cookie}={first.value}")
    planted = Browser(api, api.project.token(), cookie=f"{first.sessions.cookie}=planted")
    assert len({first.value, second.value, planted.value, "planted"}) == 4


def test_a_change_needs_the_word_of_the_page(api: Any) -> None:
    browser = Browser(api, token_of(api.person("ann", "operator")))
    own, other = browser.sessions.csrf(browser.value), Browser(api, api.project.token())
    reason = {"reason": "x"}
    for csrf in (None, "", "wrong", "é", other.sessions.csrf(other.value), browser.value):
        given = None if csrf is None else csrf.encode()
        answer = browser.call("POST", KILL, given, json=reason)
        assert (answer.status_code, answer.json()["code"]) == (403, "ST0857")
    assert browser.call("POST", KILL, own, json=reason).status_code == 200
    assert browser.call("POST", "/v1/models/fraud/revive", own, json=reason).json()["code"] == "ST0856"
    foreign = browser.call("POST", KILL, own, json=reason, headers={"origin": "https://evil.example"})
    assert foreign.json()["code"] == "ST0844", "and the word alone does not do"


def test_a_form_says_it_in_a_field_and_its_route_still_reads_the_form(api: Any) -> None:
    browser = Browser(api, api.project.token())
    csrf = browser.sessions.csrf(browser.value)

    def send(**fields: str) -> Any:
        return browser.call("POST", "/models/fraud/kill", content=urlencode(fields), headers=FORM)

    assert send(reason="x").status_code == 403
    assert send(reason="x", csrf="wrong").status_code == 403
    assert send(reason="", csrf=csrf).status_code == 422, "the route got the form, which gives no reason"
    assert send(reason="x", csrf=csrf).status_code == 303
    assert send(csrf=csrf, reason="x" * 70_000).status_code == 413
    assert send(csrf=csrf, **{f"f{n}": "x" for n in range(60)}).status_code == 422


def test_a_token_in_a_header_needs_no_word_of_a_page(api: Any) -> None:
    """Browsers do not send that header by themselves; and a wrong one is not saved by a good cookie."""
    browser = Browser(api, api.project.token())
    assert browser.call("POST", KILL, json={"reason": "x"}, headers=api.token).status_code == 200
    wrong = {"authorization": "Bearer wrong"}
    assert browser.call("POST", KILL, browser.sessions.csrf(browser.value), headers=wrong).status_code == 401


@pytest.mark.parametrize("end", ["revoke", "grant anew", "expire"])
def test_a_session_ends_with_its_token(api: Any, end: str) -> None:
    sessions: Sessions = api.app.state.sessions
    browser = Browser(api, token_of(api.person("ann", "operator")))
    assert sessions.read(browser.value, NOW) is not None
    if end == "revoke":
        api.call("DELETE", "/v1/access/ann", headers=api.token)
    elif end == "grant anew":
        api.person("ann", "operator")
    later = datetime.now(UTC) + LIFETIME if end == "expire" else NOW
    assert sessions.read(browser.value, later) is None
    if end != "expire":
        assert browser.call("POST", KILL, sessions.csrf(browser.value), json={"reason": "x"}).status_code == 401


def test_a_session_has_the_role_of_now(api: Any) -> None:
    """It carries the token's digest, not the role: nothing that was true at the login is believed later."""
    browser = Browser(api, token_of(api.person("ann", "operator")))
    body = browser.value.partition(".")[0]
    content = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert set(content) == {"name", "credential", "until", "nonce"}


def test_another_key_reads_nothing(api: Any) -> None:
    sessions: Sessions = api.app.state.sessions
    browser = Browser(api, api.project.token())
    foreign = Sessions(b"another key", api.app.state.credentials, "x")
    assert foreign.read(browser.value, NOW) is None
    assert sessions.read(browser.value, NOW) is not None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_no_changed_value_is_a_session(api: Any, data: st.DataObject) -> None:
    sessions: Sessions = api.app.state.sessions
    principal = api.app.state.credentials.of_token(api.project.token(), "", NOW)
    whole = sessions.issue(principal, NOW)
    assert sessions.read(whole, NOW) == principal
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.text(min_size=1, max_size=3).filter(lambda text: text != whole[place]))
    assert sessions.read(whole[:place] + other + whole[place + 1 :], NOW) is None
    assert sessions.read(data.draw(st.text(max_size=80)), NOW) is None
