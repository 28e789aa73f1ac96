"""What keeps a model from being released: never run, failed, too old, or of another model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest

from seatrial.ci.green import not_green
from seatrial.ci.junit import junit
from seatrial.ci.pipeline import pipeline_of
from seatrial.ci.results import Run, StepResult, run_document, run_of

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
PIPELINE = pipeline_of({
    "steps": [
        {"name": "units", "group": "code", "run": "x"},
        {"name": "gpu", "group": "model", "run": "x", "gpu": True, "events": ["nightly"], "maxAge": "36h"},
        {"name": "style", "group": "code", "run": "x", "blocking": False},
    ]
})  # fmt: skip
A, B = "sha256:a", "sha256:b"


def run(n: int, digest: str | None, ago_h: float = 1, **steps: Any) -> Run:
    results = tuple(
        StepResult(name=name, group="code", status=status, reason="why", gpu=name == "gpu")
        for name, status in steps.items()
    )
    return Run(
        id=f"ci-{n:04d}", event="commit", started_at=NOW - timedelta(hours=ago_h), actor="ann",
        model="fraud", version=2, digest=digest, steps=results,
    )  # fmt: skip


def missing(*runs: Run, digest: str | None = A) -> list[str]:
    return [why.split("'")[1] for why in not_green(PIPELINE, runs, digest, NOW)]


def test_all_green_lets_it_pass() -> None:
    assert missing(run(1, A, units="passed", gpu="passed")) == []
    assert missing(run(1, A, units="passed"), run(2, A, gpu="passed", style="failed")) == [], "in two runs, too"


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([], ["units", "gpu"]),
        ([run(1, B, units="passed", gpu="passed")], ["units", "gpu"]),
        ([run(1, None, units="passed", gpu="passed")], ["units", "gpu"]),
        ([run(1, A, units="passed", gpu="skipped")], ["gpu"]),
        ([run(1, A, units="left_out", gpu="passed")], ["units"]),
        ([run(1, A, units="passed", gpu="passed"), run(2, A, units="failed")], ["units"]),
        ([run(1, A, units="failed", gpu="passed"), run(2, A, units="passed")], []),
        ([run(1, A, units="passed", gpu="passed"), run(2, A, gpu="skipped")], []),
        ([run(1, A, 36, units="passed", gpu="passed")], []),
        ([run(1, A, 36.01, units="passed", gpu="passed")], ["gpu"]),
    ],
)
def test_what_is_missing(runs: list[Run], expected: list[str]) -> None:
    assert missing(*runs) == expected


def test_the_message_says_which_and_why() -> None:
    units, _ = not_green(PIPELINE, [run(1, B, units="passed", gpu="passed")], A, NOW)
    assert "never ran for this model (sha256:a); it last ran for sha256:b" in units
    (old,) = not_green(PIPELINE, [run(7, A, 40, units="passed", gpu="passed")], A, NOW)
    assert old == "step 'gpu' was green in ci-0007 at 2026-03-07 20:00, more than 36h ago"
    assert missing(run(1, A, units="passed", gpu="passed"), digest=None) == ["units", "gpu"]


def test_skipped_is_never_passed() -> None:
    skipped = run(1, A, units="skipped", gpu="skipped")
    assert skipped.status == "failed", "a run in which nothing passed has not passed"
    both = run(1, A, units="passed", gpu="skipped")
    assert (both.status, both.counts()["skipped"], both.counts()["passed"]) == ("passed", 1, 1)
    suites = ElementTree.fromstring(junit(both))
    assert [case.find("skipped").get("message") for case in suites.iter("testcase") if case.get("name") == "gpu"] == [
        "why"
    ]
    assert sum(int(suite.get("failures", "0")) for suite in suites) == 0


def test_a_run_is_read_back_as_it_was() -> None:
    told = run(1, A, units="passed", gpu="failed")
    assert run_of(run_document(told)) == told
    assert run_document(told)["groups"] == {"code": "failed", "data": "absent", "model": "absent"}
