"""Tells of approvals that are waited for, and of emergencies that nobody reviewed in time."""

from __future__ import annotations

from datetime import datetime

from seatrial.control.alerting import alerts
from seatrial.control.approvals.case import Case, read_case
from seatrial.control.clock import Clock
from seatrial.control.project import Project
from seatrial.control.worker import Worker
from seatrial.governance.approvals.emergency import overdue
from seatrial.store.alert import Alert
from seatrial.store.db import Store, Transaction

PAUSE_S, TROUBLE_S = 30.0, 60.0


class ApprovalWatch(Worker):
    """Each thing is told once."""

    def __init__(self, project: Project, store: Store, clock: Clock) -> None:
        super().__init__("approvals", first_s=PAUSE_S, trouble_s=TROUBLE_S)
        self._project, self._store, self._clock = project, store, clock

    def turn(self) -> float:
        if self._project.config.approvals is not None:
            self.look()
        return PAUSE_S

    def look(self) -> None:
        """One look at what is not settled yet."""
        now = self._clock.now()
        with self._store.read() as tx:
            found = alerts_of(tx, self._project, now)
        if found:
            with self._store.begin() as tx:
                for alert in found:
                    tx.alerts.put(alert)


def alerts_of(tx: Transaction, project: Project, now: datetime) -> list[Alert]:
    """What there is to tell, also what was told before."""
    found = []
    for request in tx.approvals.unsettled():
        acts = tx.approvals.acts(request.id)
        for act in overdue(acts, now):
            assert act.due is not None
            found.append(alerts.of_review_overdue(request.model, request.id, act.by, act.due, now))
        if any(act.kind in ("start", "close") for act in acts):
            continue
        case = read_case(tx, project, request, now)
        if case.standing.status == "waiting":
            found.append(alerts.of_approval_request(request.model, request.id, _asks(case), now))
            if late(case, now):
                found.append(alerts.of_late_approval(request.model, request.id, _asks(case), now))
    return found


def late(case: Case, now: datetime) -> bool:
    """Whether those who are asked have had the time that the policy gives them."""
    within = case.wanted.level.within
    return within is not None and now >= case.request.requested_at + within.delta


def _asks(case: Case) -> str:
    request, missing = case.request, "; ".join(case.standing.missing)
    return f"{request.model} v{request.version}, asked for by {request.requested_by}, waits for {missing}"
