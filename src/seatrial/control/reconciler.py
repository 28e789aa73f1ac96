"""Reconciling rollouts long after their end: when it is due, by hand, and what follows from harm.

Nothing here holds the controller's locks while the log is read. A result is a function of the records, so taking one
twice changes nothing. Harm opens an incident, once for each metric of a rollout; traffic moves only where the plan says
``onReconciledHarm: rollback``.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial

from seatrial.control.alerting import alerts
from seatrial.control.clock import Clock
from seatrial.control.documents.catalog import find_rollout, load
from seatrial.control.documents.incidents import incident_of, way_home
from seatrial.control.documents.views import Document, plain
from seatrial.control.follow_up import next_visit, visits
from seatrial.control.journal import Homecoming
from seatrial.control.project import Project
from seatrial.control.render import Release
from seatrial.control.worker import Worker
from seatrial.engines.reconcile import Followed, follow
from seatrial.errors import Conflict, UsageError
from seatrial.events.units import unit_hash
from seatrial.rollout.maturity import enrolment
from seatrial.rollout.reconciliation.judge import Reconciliation, reconcile, wanted
from seatrial.rollout.reconciliation.schedule import followed, schedule
from seatrial.rollout.reconciliation.wording import reconciled_text, reconciliation_text
from seatrial.rollout.state import RolloutState
from seatrial.store.canonical import canonical, iso_z
from seatrial.store.db import Store, Transaction
from seatrial.store.follow_ups import StoredFollowUp
from seatrial.store.incidents import StoredIncident
from seatrial.store.leases import LeaseLost

log = logging.getLogger("seatrial.control")

ACTOR = "seatrial"
PAUSE_S = 5.0
TRY_AGAIN_S = 60.0


class Reconciler(Worker):
    """Follows the releases of one project.

    ``until``: event time up to which everything is captured; ``go_home`` puts a model's standby back in traffic and
    records it.
    """

    def __init__(
        self,
        project: Project,
        store: Store,
        clock: Clock,
        *,
        until: Callable[[], datetime],
        go_home: Callable[[Homecoming], None],
    ) -> None:
        super().__init__("reconciler", first_s=PAUSE_S, trouble_s=TRY_AGAIN_S)
        self._project, self._store, self._clock = project, store, clock
        self._until, self._go_home = until, go_home
        self._one_at_a_time = threading.Lock()

    def turn(self) -> float:
        """Whatever is due. A replay is driven by its clock, not by this thread."""
        if self._project.config.clock != "replay":
            self.take(self._until())
        return PAUSE_S

    def take(self, until: datetime) -> None:
        """Every reconciliation that is due, in order; then what plans want done about harm.

        A rollout that cannot be reconciled does not keep the others from it; the first error is raised in the end.
        """
        errors = []
        with self._one_at_a_time:
            with self._store.read() as tx:
                due = tx.follow_ups.due(until)
            for following in due:
                try:
                    self._visit(following, until)
                except LeaseLost:
                    raise
                except Exception as error:
                    log.exception("rollout %s could not be reconciled", following.rollout)
                    errors.append(error)
            self._heed(until)
        if errors:
            raise errors[0]

    def by_hand(self, rollout: str, at: datetime | None, *, actor: str) -> Document:
        """Reconcile a rollout as of ``at`` (now, unless given), and record it.

        Raises NotFound; UsageError where nothing outlasts the rollout, or the time is not between its canary and now;
        Conflict where nobody ever met the candidate.
        """
        now = self._clock.now()
        with self._store.read() as tx:
            release = load(tx.rollouts.get(find_rollout(tx, rollout)))
        _require(release, at or now, now)
        with self._one_at_a_time:
            found = self._found(release, at or now)
            return self._record(release, found, now, actor)

    def _visit(self, following: StoredFollowUp, until: datetime) -> None:
        """All looks at one rollout that have become due since the last visit."""
        with self._store.read() as tx:
            release = load(tx.rollouts.get(following.rollout))
        dues, since = schedule(release.plan, release.state), following.next_at or until
        for at in sorted({due.at for moment, due in visits(dues) if since <= moment <= until}):
            self._record(release, self._found(release, at), until, ACTOR)
        with self._store.begin() as tx:
            tx.follow_ups.move(following.rollout, next_visit(dues, until))

    # ── one reconciliation ─────────────────────────────────────────────────────────────────────────────────────────

    def _found(self, release: Release, at: datetime) -> Reconciliation:
        plan, state = release.plan, release.state
        window = enrolment(state)
        assert window is not None
        start, end = window
        asked = Followed(
            rollout=state.rollout,
            model=state.model,
            candidate=state.candidate,
            phases=frozenset(phase.number for phase in state.phases if 0 < phase.weight < 10_000),
            started=start,
            ended=end or at,
            bucket_s=plan.time_bucket.seconds,
            holdout=plan.holdout is not None,
        )
        name_of = partial(unit_hash, key=self._project.secrets().unit_key)
        events, outcomes = self._project.events, self._project.outcomes
        evidence, reach = follow(events, outcomes, asked, wanted(plan, state, at), at, name_of)
        with self._store.read() as tx:
            later = [one for one in tx.rollouts.list(state.model) if one.id != state.rollout]
        others = tuple(one.id for one in later if start < one.created_at <= at)
        return reconcile(plan, state, at, evidence, reach, others=others)

    def _record(self, release: Release, found: Reconciliation, now: datetime, actor: str) -> Document:
        """Result, audit entry, incidents and alerts in one transaction; the very same again is not kept twice."""
        document = reconciliation_document(release, found)
        rollout = release.state.rollout
        with self._store.begin() as tx:
            if tx.follow_ups.put(rollout, found.at, canonical(document), taken_at=now, actor=actor):
                tx.audit.append(actor, "rollout.reconcile", rollout, _gist(found), now)
            opened = self._open(tx, release, found, now)
        return {**document, "opened": [incident.id for incident in opened]}

    def _open(self, tx: Transaction, release: Release, found: Reconciliation, now: datetime) -> list[StoredIncident]:
        """Incidents about a release that is still the champion; of one that is gone, nothing is left to decide."""
        state = release.state
        if state.status != "promoted" or tx.models.pointers(state.model).get("champion") != state.candidate:
            return []
        opened = []
        for metric in found.harms():
            document = incident_of(release, found, metric, way_home(tx, state))
            key = f"{state.rollout}/{metric.metric}"
            incident = tx.incidents.open(key, state.rollout, state.model, canonical(document), now=now)
            if incident is not None:
                tx.alerts.put(alerts.of_incident(incident.id, state, document, now))
                log.warning("incident %s: %s", incident.id, document["text"])
                opened.append(incident)
        return opened

    # ── what plans want done ───────────────────────────────────────────────────────────────────────────────────────

    def _heed(self, now: datetime) -> None:
        """Bring the standby back where the plan says so; again and again, until it is done or somebody chose."""
        with self._store.read() as tx:
            found = [(one, load(tx.rollouts.get(one.rollout))) for one in tx.incidents.list(open_only=True)]
        for incident, release in found:
            if release.plan.on_reconciled_harm == "rollback" and self._is_home(incident, release.state, now):
                with self._store.begin() as tx:
                    tx.incidents.close(incident.id, "roll_back", "the plan says so", actor=ACTOR, now=now)

    def _is_home(self, incident: StoredIncident, state: RolloutState, now: datetime) -> bool:
        """Bring the standby back if that can be done. True if it is back, also since before a crash."""
        with self._store.read() as tx:
            if tx.models.pointers(state.model).get("champion") == state.champion:
                return True
            if way_home(tx, state):
                return False
        reason = f"{incident.id}: {json.loads(incident.document)['text']} (onReconciledHarm: rollback)"
        self._go_home(Homecoming(state.model, state.candidate, state.champion, ACTOR, reason, now.isoformat()))
        return True


def reconciliation_document(release: Release, found: Reconciliation) -> Document:
    """``seatrial.reconciliation.v1``: every metric with its effect, its maturity by cohort, and what confounds it."""
    metrics = []
    for metric in found.metrics:
        difference = metric.difference
        metrics.append({
            **plain(metric),
            "text": reconciled_text(metric),
            "difference": difference and dict(zip(("estimate", "lower", "upper"), difference, strict=True)),
            "surrogates": [{"metric": name, "correlation": r} for name, r in metric.surrogates],
        })  # fmt: skip
    return {
        "schema": "seatrial.reconciliation.v1",
        **plain(found),
        "model": release.state.model,
        "candidate": release.state.candidate,
        "champion": release.state.champion,
        "by": "arm of the first exposure (intention to treat)",
        "text": reconciliation_text(found, release.plan.holdout),
        "metrics": metrics,
    }


def _gist(found: Reconciliation) -> Document:
    """What a person wants to have read before choosing, for the audit log."""
    return {
        "at": iso_z(found.at),
        "day": found.day,
        "daysSince": found.days_since,
        "exposed": found.exposed,
        "metrics": {
            m.metric: {"verdict": m.verdict, "estimate": m.estimate, "lower": m.lower, "upper": m.upper}
            for m in found.metrics
        },
        "confounds": [confound.text for confound in found.confounds],
    }


def _require(release: Release, at: datetime, now: datetime) -> None:
    """Raises UsageError or Conflict for what cannot be reconciled."""
    plan, rollout = release.plan, release.state.rollout
    if not followed(plan):
        raise UsageError(
            "ST0325", f"rollout '{rollout}': no metric of plan '{plan.name}' outlasts the canary.",
            remedy="A proportion, mean or ratio whose horizon is longer than a step is reconciled.",
        )  # fmt: skip
    window = enrolment(release.state)
    if window is None:
        raise Conflict(
            "ST0324", f"rollout '{rollout}' never had a canary: no unit met the candidate.",
            remedy="`seatrial rollout get` shows how far it came.",
        )  # fmt: skip
    if not window[0] < at <= now:
        raise UsageError(
            "ST0326", f"rollout '{rollout}' cannot be reconciled as of {at:%Y-%m-%d %H:%M}.",
            remedy=f"Its canary began on {window[0]:%Y-%m-%d %H:%M}, and now is {now:%Y-%m-%d %H:%M}.",
        )  # fmt: skip
