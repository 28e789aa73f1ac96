"""Where releases are asked for, signed, rejected and, in an emergency, let go; each act on the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from seatrial.control.approvals.case import Case, case_of, new_request, policy_of, read_case
from seatrial.control.approvals.requirement import wanted
from seatrial.control.project import Project
from seatrial.errors import Conflict, UsageError
from seatrial.governance.approvals.acts import Act
from seatrial.governance.approvals.emergency import unreviewed
from seatrial.governance.approvals.policy import MEANINGS, RELEASES, Meaning
from seatrial.governance.approvals.seats import seats
from seatrial.registry.people import Role
from seatrial.rollout.plan import Plan
from seatrial.store.db import Store, Transaction
from seatrial.store.plans import check_plan

SHORTEST = 8
"""Hex digits of a digest that name it."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Who acts. ``own``: by a token that was granted to them; the project's own token believes any name."""

    name: str
    role: Role
    own: bool


class Desk:
    """Requests for approval of releases; ``now``: the project's clock."""

    def __init__(self, project: Project, store: Store, now: Callable[[], datetime]) -> None:
        self._project, self._store, self._now = project, store, now

    def ask(self, model: str, version: int, plan: Plan, *, reason: str = "", actor: str) -> Case:
        """Ask for the approvals of a release; where somebody did, it is their request. Raises UsageError, NotFound."""
        policy_of(self._project)
        check_plan(plan, override=reason)
        now = self._now()
        with self._store.begin() as tx:
            known = case_of(tx, self._project, model, version, plan, now)
            return known or self.open(tx, model, version, plan, reason=reason, actor=actor)

    def open(self, tx: Transaction, model: str, version: int, plan: Plan, *, reason: str, actor: str) -> Case:
        """A new request, inside the caller's transaction."""
        change = wanted(tx, self._project, model, version).change
        made = new_request(tx, model, version, plan, change=change, reason=reason, actor=actor, now=self._now())
        return self._read(tx, tx.approvals.ask(made).id)

    def show(self, id: str) -> Case:
        with self._store.read() as tx:
            return self._read(tx, id)

    def sign(self, id: str, signer: Signer, *, meaning: Meaning, digest: str, reason: str = "") -> Case:
        """One signature on the evidence of this digest. Raises UsageError, or Conflict, that says what is wrong."""
        if meaning not in MEANINGS:
            raise UsageError("ST1471", f"{meaning!r} is no meaning of a signature.", remedy=", ".join(MEANINGS))
        with self._store.begin() as tx:
            case = self._for_signing(tx, id, signer, digest)
            self._check_own(case, signer, meaning)
            self._check_again(case, signer, meaning)
            if meaning in RELEASES:
                self._check_independent(tx, case, signer)
                self._check_seat(case, signer)
            act = Act(
                kind="sign", by=signer.name, at=self._now(), role=signer.role, meaning=meaning, reason=reason,
                reviewed=case.reviewed,
            )  # fmt: skip
            return self._add(tx, id, act)

    def reject(self, id: str, signer: Signer, *, digest: str, reason: str) -> Case:
        """No to this very evidence: nothing is released on it until who said so takes it back."""
        _require_reason(id, "a rejection", reason)
        with self._store.begin() as tx:
            case = self._for_signing(tx, id, signer, digest)
            act = Act(kind="reject", by=signer.name, at=self._now(), role=signer.role, reason=reason,
                      reviewed=case.reviewed)  # fmt: skip
            return self._add(tx, id, act)

    def withdraw(self, id: str, signer: Signer, *, reason: str) -> Case:
        """Take back one's own signature or rejection, or, as who asked, the whole request."""
        _require_reason(id, "taking something back", reason)
        with self._store.begin() as tx:
            case = self._open(tx, id)
            same = policy_of(self._project).identities.same
            mine = [one.act for one in case.standing.signed
                    if one.holds != "taken back" and same(one.act.by, signer.name)]  # fmt: skip
            if mine:
                self._check_token(signer)
                return self._add(tx, id, self._plain("withdraw", signer, reason, of=mine[-1].seq))
            self._check_may_close(case, signer)
            return self._add(tx, id, self._plain("close", signer, reason))

    def break_glass(self, id: str, signer: Signer, *, reason: str) -> Case:
        """Let the release begin without its approvals, for a limited time, and have that reviewed. Its own author may,
        too, where the policy gives them the role: nobody else may be there."""
        _require_reason(id, "an emergency", reason)
        policy, now = policy_of(self._project), self._now()
        with self._store.begin() as tx:
            case = self._open(tx, id)
            self._check_token(signer)
            if not policy.functions(signer.name, signer.role) & set(policy.emergency.roles):
                raise UsageError(
                    "ST1464", f"{id}: {signer.name} may not release it in an emergency.",
                    remedy=f"Who may: {', '.join(policy.emergency.roles)}.",
                )  # fmt: skip
            act = replace(
                self._plain("break_glass", signer, reason), reviewed=case.reviewed,
                until=now + policy.emergency.lasts.delta, due=now + policy.emergency.review_within.delta,
            )  # fmt: skip
            return self._add(tx, id, act)

    def review(self, id: str, signer: Signer, *, reason: str) -> Case:
        """What was found when an emergency was looked at afterwards, by somebody who had no part in it."""
        _require_reason(id, "a review", reason)
        with self._store.begin() as tx:
            case, acts = self._read(tx, id), tx.approvals.acts(id)
            self._check_token(signer)
            waiting = unreviewed(acts)
            if not waiting:
                raise Conflict("ST1466", f"{id} has no emergency to review.", remedy=f"`seatrial approvals show {id}`")
            same = policy_of(self._project).identities.same
            if any(same(signer.name, name) for name in (waiting[0].by, *case.request.authors)):
                raise UsageError(
                    "ST1465", f"{id}: {signer.name} made this release and does not review it.",
                    remedy="Four eyes: somebody else has to.",
                )  # fmt: skip
            return self._add(tx, id, self._plain("review", signer, reason, of=waiting[0].seq))

    # ── what is checked ────────────────────────────────────────────────────────────────────────────────────────────

    def _for_signing(self, tx: Transaction, id: str, signer: Signer, digest: str) -> Case:
        """The request, if this person may sign something there and has seen what it is about now."""
        case = self._open(tx, id)
        self._check_token(signer)
        given = digest.strip().removeprefix("sha256:").lower()
        if len(given) < SHORTEST or set(given) - set("0123456789abcdef"):
            raise UsageError(
                "ST1455", f"{id}: {digest!r} does not say which evidence was reviewed.",
                remedy=f"`seatrial approvals show {id}` shows it with its digest: --digest {_short(case)}",
            )  # fmt: skip
        if not case.reviewed.digest.removeprefix("sha256:").startswith(given):
            raise Conflict(
                "ST1456", f"{id}: the evidence is not what was reviewed ({digest}); now it is {_short(case)}.",
                remedy=f"Look at it again: `seatrial approvals show {id}`",
            )  # fmt: skip
        return case

    def _check_token(self, signer: Signer) -> None:
        if not signer.own:
            raise UsageError(
                "ST1458", f"the project's own token signs for nobody, also not for '{signer.name}'.",
                remedy=f"`seatrial access grant {signer.name} --role approver`, then SEATRIAL_TOKEN=...",
            )  # fmt: skip

    def _check_own(self, case: Case, signer: Signer, meaning: Meaning) -> None:
        same = policy_of(self._project).identities.same
        author = next((name for name in case.request.authors if same(signer.name, name)), None)
        if author is not None and meaning != "author":
            alias = "" if author == signer.name else f" (as '{author}')"
            raise UsageError(
                "ST1452", f"{case.request.id}: {signer.name} made or asked for this release{alias}, and signs it as "
                "author only.",
                remedy="Four eyes: somebody else has to.",
            )  # fmt: skip
        if author is None and meaning == "author":
            raise UsageError("ST1452", f"{case.request.id}: {signer.name} is not an author of this release.",
                             remedy=f"Its authors: {', '.join(case.request.authors)}.")  # fmt: skip

    def _check_again(self, case: Case, signer: Signer, meaning: Meaning) -> None:
        person = policy_of(self._project).identities.who(signer.name)
        for one in case.standing.signed:
            if one.holds == "holds" and one.person == person and one.act.meaning == meaning:
                raise Conflict(
                    "ST1454", f"{case.request.id}: {signer.name} has signed it, as '{one.act.by}'.",
                    remedy="Ask another.",
                )  # fmt: skip

    def _check_independent(self, tx: Transaction, case: Case, signer: Signer) -> None:
        owner = tx.models.get_model(case.request.model).owner
        if policy_of(self._project).in_team(signer.name, owner):
            raise UsageError(
                "ST1469", f"{case.request.id}: {signer.name} belongs to {owner}, who own {case.request.model}.",
                remedy="Somebody independent has to; --meaning review puts what they found on the record.",
            )  # fmt: skip

    def _check_seat(self, case: Case, signer: Signer) -> None:
        """Whoever cannot bring a release further is told now, and who can."""
        policy, standing = policy_of(self._project), case.standing
        people = {one.person: policy.functions(one.act.by, one.act.role) for one in standing.signed if one.counts}
        more = people | {policy.identities.who(signer.name): policy.functions(signer.name, signer.role)}
        filled = [sum(seat.by is not None for seat in seats(case.wanted.level, some)) for some in (people, more)]
        if filled[0] == filled[1] < case.wanted.level.people:
            raise UsageError(
                "ST1453", f"{case.request.id}: {signer.name} holds none of the roles that are missing.",
                remedy=f"It waits for {'; '.join(standing.missing)}.",
            )  # fmt: skip

    def _check_may_close(self, case: Case, signer: Signer) -> None:
        same = policy_of(self._project).identities.same
        if not any(same(signer.name, name) for name in case.request.authors):
            raise UsageError("ST1463", f"{case.request.id}: {signer.name} neither signed it nor asked for it.",
                             remedy=f"`seatrial approvals show {case.request.id}`")  # fmt: skip
        if case.standing.status == "rejected":
            raise Conflict(
                "ST1462", f"{case.request.id} is rejected: to ask anew does not undo that.",
                remedy="Change what was found wrong, or ask who rejected it to take that back.",
            )  # fmt: skip

    # ── internals ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, tx: Transaction, id: str) -> Case:
        request = tx.approvals.get(id)
        if request.kind == "step":
            raise UsageError("ST1461", f"{id} is about a stage of {request.rollout}.",
                             remedy=f"`seatrial approve {request.rollout}`")  # fmt: skip
        return read_case(tx, self._project, request, self._now())

    def _open(self, tx: Transaction, id: str) -> Case:
        case = self._read(tx, id)
        if case.over or case.standing.status == "closed":
            state = "released" if case.over else "withdrawn"
            raise Conflict("ST1461", f"{id} is {state}: there is nothing to sign.", remedy="`seatrial approvals list`")
        return case

    def _add(self, tx: Transaction, id: str, act: Act) -> Case:
        tx.approvals.add(id, act)
        return self._read(tx, id)

    def _plain(self, kind: str, signer: Signer, reason: str, *, of: int | None = None) -> Act:
        return Act(kind=kind, by=signer.name, at=self._now(), role=signer.role, reason=reason, of=of)  # type: ignore[arg-type]


def _short(case: Case) -> str:
    return case.reviewed.digest.removeprefix("sha256:")[:12]


def _require_reason(id: str, what: str, reason: str) -> None:
    if not reason.strip():
        raise UsageError("ST1459", f"{id}: {what} needs a reason.", remedy="Say why: --reason '...'.")
