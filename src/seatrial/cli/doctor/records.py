"""What the store and the kill latches say: a broken log, and what somebody forgot."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING

from seatrial.cli.doctor.finding import Case, Finding, error, fine, warning
from seatrial.errors import SeatrialError

if TYPE_CHECKING:
    from seatrial.rollout.verdicts import Decision

PATIENCE = timedelta(seconds=2)
"""How long a doctor waits for a store that somebody else holds."""

FORGOTTEN = timedelta(days=2)
"""A rollout that waited over a weekend for a person was forgotten."""

WAITING = frozenset({"paused", "approval", "deadline"})
"""Rules that hold until a person does something."""


def audit_log(case: Case) -> Iterator[Finding]:
    report = case.tx.audit.verify()
    if report.ok:
        yield fine("audit log", f"{report.entries:,} entries, unbroken")
    else:
        broken = f"entry {report.first_bad}: {report.reason}"
        yield error("audit log", broken, "Compare with an export or a backup.", integrity=True)


def kill_latches(case: Case) -> Iterator[Finding]:
    from seatrial.gateway.kill import read_latches

    try:
        latches = read_latches(case.project.kill_latches)
    except SeatrialError as problem:
        yield error("kill latch", problem.message, problem.remedy, integrity=True)
        return
    for latch in latches:
        since = f"{latch.time:%Y-%m-%d %H:%M}"
        yield error(
            "kill latch", f"{latch.model} is killed ({latch.mode}) since {since} by {latch.actor}: {latch.reason}",
            f"`seatrial revive {latch.model} --reason ...` when it is over.",
        )  # fmt: skip


def chains(case: Case) -> Iterator[Finding]:
    """Chains whose last levels would not get their turn."""
    from seatrial.control.levels.fallbacks import check_time

    for model in case.tx.models.list_models():
        try:
            check_time(case.project, model.name, model.safety.fallback)
        except SeatrialError as problem:
            yield warning("timeouts", problem.message, problem.remedy)


def alerts(case: Case) -> Iterator[Finding]:
    """Alerts that reached nobody."""
    for (target, state), count in sorted(case.tx.alerts.undelivered().items()):
        if state == "failed":
            yield warning(
                "alerts", f"{count:,} are not delivered to {target}, and not tried any more",
                f"`seatrial alerts test {target}` says why; then `seatrial alerts retry {target}`.",
            )  # fmt: skip


def waiting_rollouts(case: Case) -> Iterator[Finding]:
    """Rollouts that wait for a person, and nobody comes."""
    from seatrial.control.states import decision_from_json

    for stored in case.tx.rollouts.list(active=True):
        decisions = [decision_from_json(kept.document) for kept in case.tx.decisions.list(stored.id)]
        waiting = [*takewhile(_waits, reversed(decisions))]
        if not waiting:
            continue
        now = datetime.now(UTC) if case.project.config.clock == "wall" else waiting[0].at
        if (waited := now - waiting[-1].at) >= FORGOTTEN:
            yield warning(
                "rollout", f"{stored.id} of {stored.model} waits for {waited.days} days: {waiting[-1].reason}",
                f"`seatrial rollout resume {stored.id}`, or `promote`, or `abort`.",
            )  # fmt: skip


def _waits(decision: Decision) -> bool:
    return decision.action == "pause" or (decision.action == "hold" and decision.rule in WAITING)
