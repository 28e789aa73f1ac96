"""Every command, with what newcomers get wrong: no traceback, a code, and what to do about it."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seatrial.cli.app import tree

TREE: Any = tree()
REGISTER = ("--code-commit", "1f0c2aa", "--data-rows", "1", "--model-framework", "x")
DIGEST = "sha256:" + "a" * 64

HERE: list[tuple[str, ...]] = [
    ("logs",),
    ("logs", "fraud-9"),
    ("model", "adopt", "fraud", "--url", "http://127.0.0.1:9/"),  # has a champion
    ("model", "adopt", "new", "--url", "127.0.0.1:9000"),
    ("model", "adopt", "new"),
    ("model", "adopt", "new", "--url", "http://127.0.0.1:9/", "--mlflow", "http://127.0.0.1:9/"),
    ("model", "adopt", "new", "--mlflow", "http://127.0.0.1:9/"),
    ("model", "adopt", "new", "--mlflow", "http://127.0.0.1:9/", "--example", "wrong.py"),
    ("mlflow", "sync"),
    ("mlflow", "link", "fraud", "fraud-risk"),
    ("mlflow", "register", "fraud", "models:/fraud-risk@champion"),
    ("model", "adopt", "Fraud Model", "--url", "http://127.0.0.1:9/"),
    ("model", "adopt", "new", "--url", "http://127.0.0.1:9/", "--unit-header", "x unit"),
    ("model", "configure", "fraud"),
    ("model", "configure", "frod", "--wire", "json"),
    ("model", "configure", "fraud", "--score", "output"),
    ("model", "register", "fraud"),
    ("model", "register", "fraud", "--url", "http://127.0.0.1:9/"),
    ("model", "register", "fraud", "--artifact", "none.skops", "--format", "skops", "--features", "a"),
    ("model", "register", "fraud", "--artifact", "wrong.py"),
    ("model", "register", "fraud", "--artifact", "wrong.py", "--format", "skops"),
    ("model", "register", "fraud", "--artifact", "wrong.py", "--format", "joblib", "--features", "a", *REGISTER,
     "--data-digest", DIGEST),
    ("model", "register", "fraud", "--url", "http://127.0.0.1:9/", "--data", "none.csv", *REGISTER),
    ("model", "register", "fraud", "--url", "http://127.0.0.1:9/", "--data", "wrong.py", "--code-commit", "1"),
    ("model", "register", "fraud", "--url", "http://127.0.0.1:9/", "--model-file", "none.pkl", *REGISTER),
    ("model", "register", "fraud", "--url", "http://127.0.0.1:9/", "--model-digest", "abc", "--data-digest", DIGEST,
     *REGISTER),
    ("model", "register", "fraud", "--url", "http://127.0.0.1:9/", "--lineage", "none.yaml"),
    ("model", "register", "fraud", "--url", "http://127.0.0.1:9/", "--lineage", "wrong.py"),
    ("model", "register", "fraud", "--url", "http://127.0.0.1:9/", "--metric", "auc"),
    ("model", "register", "fraud", "--url", "http://127.0.0.1:9/", "--metric", "auc=high"),
    ("model", "show", "frod"),
    ("model", "show", "fraud", "9"),
    ("model", "reproduce", "frod", "1"),
    ("model", "reproduce", "fraud", "9"),
    ("model", "reproduce", "fraud", "1"),  # adopted: nobody knows how it was made
    ("model", "reproduce", "fraud", "1", "--timeout", "long"),
    ("model", "keygen", "."),  # what is there is not overwritten
    ("model", "holdout", "frod"),
    ("model", "holdout", "fraud", "--release"),
    ("model", "holdout", "fraud", "--release", "--reason", "x"),  # it has none
    ("model", "register", "fraud", "--url", "http://127.0.0.1:9/", "--data-digest", DIGEST, "--model-digest", DIGEST,
     *REGISTER, "--data-type", "image"),
    ("model", "register", "fraud", "--url", "http://127.0.0.1:9/", "--fact", "device"),
    ("model", "anchor", "frod"),
    ("model", "anchor", "fraud", "99999999999999999999", "--reason", "x"),
    ("model", "anchor", "fraud", "2", "--reason", "x"),
    ("model", "anchor", "fraud", "1"),
    ("model", "safety", "frod", "--tier", "1"),
    ("model", "card", "fraud", "9"),
    ("model", "card", "fraud", "1", "--html", "--json"),
    ("model", "card", "fraud", "1", "--out", "plans"),
    ("model", "declare"),
    ("model", "declare", "frod"),
    ("model", "declare", "fraud", "none.yaml"),
    ("model", "declare", "fraud", "wrong.py"),
    ("model", "declare", "fraud", "wrong.yaml"),
    ("model", "inventory", "--csv", "--html"),
    ("model", "inventory", "--csv", "--out", "plans"),
    ("change", "triage", "frod"),
    ("change", "triage", "fraud", "--to", "9"),
    ("change", "triage"),
    ("change", "triage", "fraud", "--examples"),
    ("change", "baseline", "frod"),
    ("change", "baseline", "fraud", "1"),
    ("change", "baseline", "fraud", "9", "--reason", "x"),
    ("change", "envelope", "set", "fraud", "none.yaml", "--reason", "x"),
    ("change", "envelope", "set", "fraud", "wrong.py", "--reason", "x"),
    ("change", "envelope", "show", "fraud"),
    ("change", "envelope", "check", "fraud", "1"),
    ("change", "testset", "lock", "fraud", "none.parquet"),
    ("change", "testset", "lock", "fraud", "wrong.csv", "--limit", "0"),
    ("change", "testset", "check", "frod", "none.parquet"),
    ("change", "testset", "list", "--model", "frod"),
    ("change", "testset", "show", "s-0009"),
    ("change", "testset", "use", "s-0009", "1", "--purpose", "x"),
    ("change", "testset", "retire", "s-0009", "--reason", "x"),
    ("change", "tickets", "open", "fraud", "--reference", "none.csv", "--current", "none.csv", "--by", "site"),
    ("change", "tickets", "list", "--model", "frod"),
    ("change", "tickets", "show", "v-0009"),
    ("change", "tickets", "close", "v-0009", "--reason", " "),
    ("change", "tickets", "close", "v-0009", "--reason", "x"),
    ("change", "record", "fraud", "9"),
    ("change", "record", "frod", "1"),
    ("audit", "verify", "--anchors", "none.jsonl"),
    ("audit", "verify", "--anchors", "none.jsonl", "--public-key", "wrong.csv"),
    ("audit", "verify", "--anchor", "120"),
    ("audit", "anchor"),
    ("audit", "public-key"),
    ("audit", "export", "--model", "fraud", "-o", "plans"),
    ("audit", "export", "--model", "fraud", "-o", "new.zip"),
    ("audit", "verify-bundle", "none.zip", "--public-key", "ed25519:x"),
    ("audit", "verify-bundle", "wrong.csv", "--public-key", "ed25519:" + "A" * 43 + "="),
    ("model", "diff", "fraud", "1", "9"),
    ("model", "diff", "frod", "1", "2"),
    ("model", "diff", "fraud", "1", "1", "--threshold", "half"),
    ("ci", "run"),
    ("ci", "run", "fraud"),
    ("ci", "run", "frod", "1"),
    ("ci", "plan"),
    ("ci", "plan", "--since", "none"),
    ("ci", "export", "github"),
    ("ci", "show", "ci-0009"),
    ("ci", "list", "--model", "frod"),
    ("ci", "green", "fraud", "9"),
    ("ci", "golden", "fraud", "1", "--rows", "none.csv"),
    ("model", "safety", "fraud", "--tier", "7"),
    ("model", "standby", "frod"),
    ("model", "standby", "fraud", "--load", "2s"),
    ("model", "standby", "fraud", "--measure", "--load", "long"),
    ("incidents", "analyse", "--model", "frod"),
    ("incidents", "analyse", "--since", "lately"),
    ("incidents", "analyse", "--since", "2099-01-01"),
    ("incidents", "analyse", "--window", "0s"),
    ("incidents", "analyse", "--chart", "chart.gif"),
    ("recall", "open", "fraud", "--version", "9", "--from", "2026-01-01", "--to", "2026-01-02", "--reason", "x"),
    ("recall", "open", "fraud", "--version", "1", "--from", "soon", "--to", "2026-01-02", "--reason", "x"),
    ("recall", "open", "fraud", "--version", "1", "--from", "2026-01-03", "--to", "2026-01-02", "--reason", "x"),
    ("recall", "show", "k-0009"),
    ("recall", "notify", "k-0009", "--note", "x"),
    ("recall", "reread", "k-0009", "--note", "x"),
    ("drill", "run", "fraud"),
    ("drill", "run", "fraud", "--requests", "none.jsonl"),
    ("drill", "run", "fraud", "--requests", "wrong.py"),
    ("drill", "start", "fraud"),
    ("drill", "step", "d-0009", "1"),
    ("drill", "abort", "d-0009"),
    ("drill", "report", "d-0009"),
    ("drill", "judge", "none.json"),
    ("drill", "judge", "wrong.py"),
    ("drill", "review", "d-0009", "none.yaml"),
    ("drill", "review", "d-0009", "wrong.py"),
    ("drill", "close", "d-0009"),
    ("drill", "list", "--chart", "trend.svg"),
    ("plan", "import", "none.yaml"),
    ("plan", "import", "wrong.py"),
    ("plan", "import", "wrong.yaml"),
    ("plan", "import", "seatrial.yaml"),
    ("plan", "templates", "clincal"),
    ("plan", "validate", "none.yaml"),
    ("plan", "validate", "wrong.py"),
    ("plan", "validate", "wrong.yaml"),
    ("plan", "explain", "wrong.yaml"),
    ("plan", "explain", "plans/quick.yaml", "--model", "frod"),
    ("plan", "explain", "plans/quick.yaml", "--model", "fraud", "--effect", "2"),
    ("plan", "validate", "plans/quick.yaml", "--model", "frod"),
    ("plan", "forecast", "wrong.yaml"),
    ("plan", "forecast", "plans/quick.yaml"),
    ("plan", "forecast", "plans/quick.yaml", "--model", "frod"),
    ("plan", "forecast", "plans/quick.yaml", "--traffic", "20M"),
    ("plan", "forecast", "plans/quick.yaml", "--traffic", "5/day"),
    ("plan", "forecast", "plans/quick.yaml", "--traffic", "20M/day", "--baseline", "clicks=5%"),
    ("plan", "forecast", "plans/quick.yaml", "--traffic", "20M/day", "--plot", "power.svg"),
    ("plan", "simulate", "wrong.yaml"),
    ("plan", "simulate", "plans/quick.yaml"),
    ("plan", "simulate", "plans/quick.yaml", "--from-log", "frod"),
    ("plan", "simulate", "plans/quick.yaml", "--traffic", "lots"),
    ("analyze", "canary", "--plan", "plans/quick.yaml", "--log", "none.parquet"),
    ("analyze", "canary", "--plan", "plans/quick.yaml", "--log", "wrong.csv"),
    ("analyze", "canary", "--plan", "plans/quick.yaml", "--log", "right.csv", "--outcomes", "none.csv"),
    ("analyze", "canary", "--plan", "plans/quick.yaml", "--log", "right.csv", "--key", "key"),
    ("analyze", "canary", "--plan", "wrong.yaml", "--log", "right.csv"),
    ("analyze", "canary", "--plan", "plans/quick.yaml"),
    ("analyze", "interleaving"),
    ("analyze", "interleaving", "--log", "none.parquet"),
    ("analyze", "interleaving", "--log", "right.csv"),
    ("analyze", "counterfactual", "--log", "none.parquet"),
    ("analyze", "counterfactual", "--log", "right.csv", "--reward", "value"),
    ("analyze", "inputs", "--log", "none.parquet"),
    ("analyze", "inputs", "--log", "wrong.csv"),
    ("analyze", "inputs", "--log", "right.csv", "--request", "key", "--arm", "name"),
    ("analyze", "inputs", "--log", "right.csv", "--other", "right.csv", "--request", "key", "--arm", "name"),
    ("analyze", "inputs", "--log", "right.csv", "--other", "right.csv", "--request", "key", "--as-of", "=time"),
    ("analyze", "inputs", "--log", "right.csv", "--other", "right.csv", "--request", "key", "--feature", "valeu"),
    ("analyze", "inputs", "--log", "right.csv", "--other", "right.csv", "--tolerance", "2"),
    ("analyze", "inputs", "--log", "right.csv", "--other", "right.csv", "--max-divergence", "1"),
    ("shadow", "report", "frod"),
    ("shadow", "report", "fraud"),
    ("shadow", "report", "fraud", "--threshold", "high"),
    ("shadow", "report", "fraud", "--cost-per-day", "1", "--cost-per-1000", "1"),
    ("shadow", "report", "fraud", "--version", "99"),
    ("shadow", "add", "fraud", "1", "--share", "10%"),
    ("shadow", "add", "fraud", "99", "--share", "10%"),
    ("shadow", "add", "frod", "1", "--share", "10%"),
    ("shadow", "add", "fraud", "1", "--share", "lots"),
    ("shadow", "remove", "fraud", "1"),
    ("shadow", "list", "frod"),
    ("analyze", "shadow", "--log", "none.parquet"),
    ("analyze", "shadow", "--log", "wrong.csv"),
    ("analyze", "shadow", "--log", "right.csv", "--champion", "value", "--shadow", "value", "--segment", "country"),
    ("analyze", "shadow", "--log", "right.csv", "--champion", "value", "--shadow", "value", "--plan", "wrong.yaml"),
    ("analyze", "shadow", "--log", "right.csv", "--champion", "value", "--shadow", "value", "--cost-per-day", "9"),
    ("analyze", "shadow", "--log", "right.csv", "--champion", "value", "--shadow", "value", "--sampled", "name"),
    ("analyze", "drift", "none.parquet", "right.csv"),
    ("analyze", "drift", "right.csv", "wrong.csv"),
    ("calc", "psi", "--reference", "0.5,0.4", "--current", "0.5,0.5"),
    ("cadence", "optimise", "--cost", "200", "--loss", "1000"),
    ("cadence", "optimise", "--cost", "200", "--loss", "1000/pct-day", "--curve", "t.real", "--horizon", "9d"),
    ("cadence", "compare", "4h", "1h", "--cost", "15"),
    ("cadence", "compare", "1h", "4h", "--cost", "15", "--run", "true"),
    ("cadence", "curve", "--log", "none.csv"),
    ("cadence", "window", "--backtest", "none.csv"),
    ("trigger", "templates", "surge"),
    ("trigger", "lint", "wrong.yaml"),
    ("trigger", "explain", "none.yaml", "none.yaml"),
    ("trigger", "set", "fraud", "none.yaml"),
    ("trigger", "set", "fraud", "wrong.yaml"),
    ("trigger", "show", "fraud"),
    ("trigger", "test", "frod"),
    ("retrain", "run", "fraud"),
    ("retrain", "run", "fraud", "--timeout", "soon"),
    ("retrain", "status", "frod"),
    ("retrain", "status", "--timeline"),
    ("retrain", "status", "fraud", "--chart", "loop.gif"),
    ("retrain", "list", "frod"),
    ("retrain", "staleness", "frod"),
    ("retrain", "staleness", "fraud", "--every", "0s"),
    ("retrain", "log", "t-0009"),
    ("retrain", "cancel", "t-0009"),
    ("shadow", "inputs", "frod"),
    ("shadow", "inputs", "fraud"),
    ("calc", "ztest", "--x1", "9", "--n1", "5", "--x2", "1", "--n2", "5"),
    ("calc", "noninferiority", "--x1", "9", "--n1", "50", "--x2", "9", "--n2", "50", "--margin", "-0.01"),
    ("calc", "power", "--baseline", "5.2", "--effect", "-0.5%", "--traffic", "20M/day", "--share", "10%"),
    ("calc", "srm", "--counts", "1,2", "--shares", "50%"),
    ("calc", "interval", "--x", "9", "--n", "5"),
    ("calc", "rollback-impact", "--rate", "5M", "--seconds", "5"),
    ("calc", "standby-cost", "--pods", "8", "--pod-cost", "3000", "--rate", "5M/h", "--revenue", "much"),
    ("rollout", "start", "fraud", "2", "--plan", "plans/quick.yaml"),  # nothing runs
    ("rollout", "start", "fraud", "2", "--plan", "none.yaml"),
    ("rollout", "list", "--model", "frod"),
    ("rollout", "get", "frod"),
    ("rollout", "get", "fraud"),
    ("rollout", "get", "fraud", "--watch", "--json"),
    ("rollout", "status", "r-0099"),
    ("rollout", "explain", "r-0099"),
    ("rollout", "explain", "fraud", "--look", "3"),
    ("rollout", "replay", "r-0099"),
    ("rollout", "replay", "fraud"),
    ("rollout", "pause", "fraud"),
    ("rollout", "resume", "fraud"),
    ("rollout", "promote", "fraud"),
    ("rollout", "promote", "fraud", "--full"),
    ("rollout", "abort", "fraud"),
    ("rollout", "retry", "fraud"),
    ("rollout", "undo", "fraud"),
    ("rollout", "reconcile", "fraud"),
    ("rollout", "reconcile", "frod"),
    ("rollout", "reconcile", "r-0099", "--at", "tomorrow"),
    ("incidents", "show", "i-0099"),
    ("incidents", "close", "i-0099", "--choice", "hold", "--reason", "x"),
    ("incidents", "close", "i-0099", "--choice", "wait", "--reason", "x"),
    ("rollout", "withdraw", "fraud", "--unit", "site-1"),
    ("rollout", "alert", "r-0099", "--reason", "missed"),
    ("rollout", "start", "fraud", "2", "--plan", "plans/quick.yaml", "--override", "why"),
    ("approve", "a-0099"),
    ("approve", "a-0099", "--meaning", "maybe"),
    ("reject", "fraud", "--reason", "x"),
    ("approvals", "show", "a-0099"),
    ("approvals", "withdraw", "a-0099", "--reason", "x"),
    ("approvals", "emergency", "a-0099", "--reason", "x"),
    ("approvals", "review", "a-0099", "--reason", "x"),
    ("approvals", "request", "fraud", "2", "--plan", "none.yaml"),
    ("approvals", "request", "fraud", "2", "--plan", "plans/quick.yaml"),
    ("approve", "fraud"),
    ("approve", "r-0099"),
    ("rollback", "fraud", "--since", "yesterday"),
    ("rollback", "frod"),
    ("kill", "frod", "--reason", "x"),
    ("kill", "fraud", "--reason", " "),
    ("kill", "--reason", "x"),
    ("kill", "fraud", "--all", "--reason", "x"),
    ("kill", "fraud", "--to", "rules", "--reason", "x"),
    ("fallback", "set", "fraud"),
    ("fallback", "set", "frod", "--last", "banner"),
    ("fallback", "set", "fraud", "--rules", "none.yaml", "--reviewed-by", "bob"),
    ("fallback", "set", "fraud", "--rules", "wrong.py", "--reviewed-by", "bob"),
    ("fallback", "set", "fraud", "--rules", "wrong.yaml", "--reviewed-by", "bob"),
    ("fallback", "set", "fraud", "--rules", "right.rules.yaml"),
    ("fallback", "set", "fraud", "--review-limit", "0"),
    ("fallback", "show", "frod"),
    ("fallback", "show", "fraud"),
    ("fallback", "test", "fraud"),
    ("fallback", "test", "fraud", "--body", "none.json"),
    ("review", "show", "q-99"),
    ("review", "decide", "q-99", "--decision", "approve", "--reason", "x"),
    ("review", "decide", "q-99", "--decision", "approve", "--reason", "x", "--outcome", "y"),
    ("revive", "fraud", "--reason", "x"),
    ("outcomes", "import", "none.csv"),
    ("outcomes", "import", "wrong.py"),
    ("outcomes", "import", "wrong.csv", "--model", "fraud"),
    ("outcomes", "import", "right.csv", "--model", "frod"),
    ("outcomes", "import", "right.csv"),
    ("outcomes", "status", "frod"),
    ("report", "--out", "plans"),
    ("access", "grant", "ann", "--role", "operator", "--expires", "soon"),
    ("access", "grant", "a b", "--role", "operator"),
    ("access", "revoke", "nobody"),
    ("events", "erase", "frod", "--unit", "u1", "--yes"),
    ("events", "compact", "frod"),
    ("alerts", "test", "ops"),
    ("alerts", "retry", "ops"),
]  # fmt: skip

USAGE: list[tuple[str, ...]] = [
    ("nonsense",),
    ("rollout",),
    ("rollout", "strat"),
    ("incidents", "close", "i-0001"),
    ("model", "safety", "fraud", "--impact", "grave"),
    ("rollout", "start", "fraud"),
    ("rollout", "start", "fraud", "two", "--plan", "p"),
    ("recall", "open", "fraud", "--version", "1"),
    ("drill", "step", "d-0001", "first"),
    ("calc", "incident-rate", "--count", "-1", "--baseline", "0.5"),
    ("analyze", "drift", "right.csv"),
    ("cadence", "optimise"),
    ("cadence", "curve"),
    ("trigger", "explain", "wrong.yaml"),
    ("kill", "fraud"),
    ("shadow", "add", "fraud", "2"),
    ("fallback", "set", "fraud", "--last", "luck"),
    ("review", "decide", "q-1"),
    ("rollout", "withdraw", "fraud"),
    ("reject", "fraud"),
    ("approvals", "emergency", "a-0001"),
    ("approvals", "request", "fraud", "2"),
    ("rollout", "alert", "fraud", "--reason", "x", "--severity", "bad"),
    ("kill", "fraud", "--reason", "x", "--mode", "of"),
    ("access", "grant", "ann", "--role", "king"),
    ("init", "--api-port", "99999"),
    ("mlflow", "link", "fraud"),
    ("model", "show", "fraud", "2", "--jsn"),
    ("audit", "export", "--model", "fraud"),
    ("audit", "verify-bundle", "x.zip"),
    ("change", "record", "fraud", "two"),
    ("change", "schema", "lineage"),
    ("calc", "review-capacity", "--reviews", "15"),
]


@pytest.fixture
def place(shop: Path) -> Path:
    (shop / "wrong.py").write_text("import this\n: not yaml [\n")
    (shop / "wrong.yaml").write_text("name: p\nsteps: [{setWieght: 10%}]\nmetrics: []\n")
    (shop / "right.rules.yaml").write_text("features: {a: number}\ndefault: {answer: 0.5, reason: R0}\n")
    (shop / "wrong.csv").write_text("id,result\n1,2\n")
    (shop / "right.csv").write_text("key,name,value,time\nq1,label,1,2026-03-01T12:00:00Z\n")
    return shop


def wrong(said: Any) -> str:
    """What an answer to a mistake lacks: a code, and behind it more than what happened."""
    if "Traceback" in said.err or said.code not in (1, 2):
        return f"exit code {said.code}"
    if not re.search(r"✖ ST\d{4} ", said.err):
        return "no code"
    *_, last = said.err.rstrip().splitlines()
    return "" if last.startswith("  ") or "did you mean" in said.err else "no remedy"


@pytest.mark.slow
@pytest.mark.parametrize(
    "every", [pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(900)]), 8], ids=["all", "some"]
)
def test_a_mistake_is_answered_with_a_remedy(place: Path, run: Any, every: int) -> None:
    """One project for all: a mistake changes nothing."""
    lacking = {" ".join(words): (what, said) for words in HERE[::every] if (what := wrong(said := run(*words)))}
    assert lacking == {}
    assert run("model", "show", "fraud", "--json").json["versionCount"] == 2


def test_a_port_that_is_taken_is_told_at_the_start(place: Path, run: Any, port: int) -> None:
    with socket.socket() as other:  # somebody else has it, and is no seatrial
        other.bind(("127.0.0.1", port))
        assert wrong(run("up")) == ""


def test_a_wrong_call_is_answered_with_the_usage(place: Path, run: Any) -> None:
    for words in USAGE:
        said = run(*words)
        assert (said.code, "Usage" in said.err + said.out, "Traceback" in said.err) == (2, True, False), words


@pytest.mark.parametrize(
    ("text", "told_of"),
    [
        ("- a\n", "is not a map of settings"),
        ("project: [\n", "is not YAML"),
        ("gateway: {port: 1}\n", "project: "),
        ("project: shop\ngatway: {port: 1}\n", "gatway is unknown, did you mean 'gateway'?"),
        ("project: shop\napi: {prot: 1}\n", "api.prot is unknown, did you mean 'port'?"),
        ("project: shop\ntimeouts: {request: 2}\n", "timeouts.request"),
        ("project: shop\nstore: mysql://db\n", "is not supported"),
        ("project: shop\nstore: '://'\n", "store"),
    ],
)
def test_a_wrong_setting_is_named(text: str, told_of: str, place: Path, run: Any) -> None:
    (place / "seatrial.yaml").write_text(text)
    said = run("model", "list")
    assert wrong(said) == ""
    assert told_of in said.err


@pytest.mark.slow
def test_without_a_project_every_command_says_how_to_make_one(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in HERE:
        if words[0] in ("plan",) or words[:2] in (("rollout", "start"), ("outcomes", "import")):
            continue  # they read their file first
        said = run(*words)
        if "ST0801" in said.err:
            assert "`seatrial init` makes a project here." in said.err, words
        else:
            assert wrong(said) == "", words


def test_every_command_is_in_the_walk() -> None:
    walked = {words[: len(path)] for words in [*HERE, *USAGE] for path in LEAVES if words[: len(path)] == path}
    harmless = {("init",), ("up",), ("down",), ("doctor",), ("demo",), ("config", "show"), ("config", "schema"),
                ("plan", "schema"), ("model", "list"), ("ci", "init"), ("ci", "schema"),
                ("audit", "log"), ("audit", "verify"), ("access", "list"), ("approvals", "list"),
                ("events", "list"), ("alerts", "list"), ("incidents", "list"), ("review", "list"),
                ("recall", "list"), ("drill", "template"), ("trigger", "list"), ("mlflow", "status"),
                ("audit", "retention")}  # fmt: skip
    assert sorted(set(LEAVES) - walked - harmless) == []


def test_every_parameter_has_a_help_text() -> None:
    without = [
        f"{' '.join(path)} {parameter.name}"
        for path in LEAVES
        for parameter in _command(path).params
        if not getattr(parameter, "help", None)
    ]
    assert without == []


@pytest.mark.slow
def test_switches_are_shown_without_a_type(run: Any) -> None:
    for path in LEAVES:
        assert "<bool>" not in run(*path, "--help").out, path


def _leaves(command: Any = TREE, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, below in getattr(command, "commands", {}).items():
        yield from _leaves(below, (*path, name))
    if not hasattr(command, "commands"):
        yield path


def _command(path: tuple[str, ...]) -> Any:
    command = TREE
    for name in path:
        command = command.commands[name]
    return command


LEAVES = [*_leaves()]
