"""``seatrial access``: a token that is shown once, what it opens, and its end; with the control plane and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_a_token_is_shown_once_and_used_as_an_environment_variable(
    api: Any, shop: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = run("access", "grant", "ann", "--role", "operator", "--expires", "90d")
    assert (said.code, said.out.count("\n")) == (0, 1), "the token alone is on stdout"
    assert "ann is operator" in said.err
    assert said.out.strip() not in run("access", "list").out
    monkeypatch.setenv("SEATRIAL_TOKEN", said.out.strip())
    assert run("rollback", "fraud", "--reason", "drill").code == 0
    refused = run("access", "grant", "bob", "--role", "viewer")
    assert (refused.code, "ST0856" in refused.err) == (1, True)
    monkeypatch.delenv("SEATRIAL_TOKEN")
    assert run("access", "revoke", "ann").code == 0
    monkeypatch.setenv("SEATRIAL_TOKEN", said.out.strip())
    assert "ST0855" in run("rollback", "fraud", "--reason", "drill").err


def test_access_is_given_and_taken_without_the_control_plane(root: Path, run: Any) -> None:
    made = run("access", "grant", "ann", "--role", "reporter", "--json").json
    assert (made["schema"], made["role"], made["expires"]) == ("seatrial.grant.v1", "reporter", None)
    (line,) = run("access", "list", "--json").json["people"]
    assert (line["name"], line["expired"]) == ("ann", False)
    assert run("access", "revoke", "ann", "--json").json["name"] == "ann"
    assert "ST0623" in run("access", "revoke", "ann").err
    assert [e["action"] for e in run("audit", "log", "--json").json["entries"]] == ["access.revoke", "access.grant"]


def test_what_cannot_be_granted_is_said(root: Path, run: Any) -> None:
    assert "ST0859" in run("access", "grant", "ann", "--role", "viewer", "--expires", "soon").err
    assert "ST0859" in run("access", "grant", "ann", "--role", "viewer", "--expires", "0s").err
    assert "ST0624" in run("access", "grant", "local", "--role", "admin").err
    assert run("access", "grant", "ann", "--role", "root").code == 2
