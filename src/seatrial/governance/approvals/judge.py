"""Whether what was signed is enough: a pure function of the request, the acts, the evidence as it is, and the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from seatrial.governance.approvals.acts import WORDS, Act, Request, Reviewed
from seatrial.governance.approvals.emergency import unreviewed
from seatrial.governance.approvals.policy import RELEASES, ApprovalPolicy, Level
from seatrial.governance.approvals.seats import Seat, seats

Status = Literal["waiting", "approved", "emergency", "rejected", "closed"]
Holds = Literal["holds", "void", "expired", "taken back", "their own", "not independent"]


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature or a rejection. ``changed``: the parts of the evidence that changed since, where it is void."""

    act: Act
    holds: Holds
    person: str
    changed: tuple[str, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether it is an approval that holds."""
        return self.holds == "holds" and self.act.kind == "sign" and self.act.meaning in RELEASES

    @property
    def text(self) -> str:
        """Why it does not hold, in a sentence; empty where it does."""
        who = f"{self.act.by}'s {self.act.meaning or 'rejection'}"
        match self.holds:
            case "holds":
                return ""
            case "void":
                what = ", ".join(WORDS.get(part, part) for part in self.changed) or "the evidence"
                return f"{who} is void: {what} changed since"
            case "expired":
                return f"{who} of {self.act.at:%Y-%m-%d} has expired"
            case "taken back":
                return f"{who} was taken back"
        return f"{who} does not count: {'it is of their own change' if self.holds == 'their own' else self.holds}"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a request stands. ``until``: how long an emergency lasts; ``reviews``: emergencies that wait for theirs."""

    status: Status
    seats: tuple[Seat, ...]
    signed: tuple[Signed, ...]
    missing: tuple[str, ...]
    until: datetime | None = None
    reviews: tuple[Act, ...] = ()

    @property
    def open(self) -> bool:
        """Whether the release may begin."""
        return self.status in ("approved", "emergency")


def judge(
    request: Request,
    acts: Sequence[Act],
    wanted: Level,
    evidence: Reviewed,
    policy: ApprovalPolicy,
    now: datetime,
    *,
    owner: str = "",
    since: datetime | None = None,
) -> Standing:
    """Everything that is missing, by name. ``owner``: of the model. ``since``: when the release began, if it did: a
    signature that held then does not run out under way.
    """
    signed = tuple(_signed(request, acts, evidence, policy, since or now, owner))
    approving = {one.person: one.act for one in signed if one.counts}
    filled = seats(wanted, {person: policy.functions(act.by, act.role) for person, act in approving.items()})
    refused = [one for one in signed if one.act.kind == "reject" and one.holds == "holds"]
    until = _until(acts, evidence, now)
    missing = (
        *(f"rejected by {one.act.by}: {one.act.reason}" for one in refused),
        *_empty(filled),
        *(one.text for one in signed if one.text and one.holds != "taken back" and one.person not in approving),
    )
    whole = all(seat.by is not None for seat in filled) and not refused
    closed = any(act.kind == "close" for act in acts)
    status: Status = (
        "closed" if closed
        else "approved" if whole
        else "emergency" if until is not None and not refused
        else "rejected" if refused
        else "waiting"
    )  # fmt: skip
    return Standing(status, filled, signed, () if whole else missing, until, unreviewed(acts))


def _signed(
    request: Request, acts: Sequence[Act], evidence: Reviewed, policy: ApprovalPolicy, at: datetime, owner: str
) -> Iterator[Signed]:
    back = {act.of for act in acts if act.kind == "withdraw"}
    identities = policy.identities
    for act in acts:
        if act.kind not in ("sign", "reject"):
            continue
        person, own = identities.who(act.by), any(identities.same(act.by, name) for name in request.authors)
        changed: tuple[str, ...] = ()
        holds: Holds = "holds"
        if act.seq in back:
            holds = "taken back"
        elif own and act.meaning in RELEASES:
            holds = "their own"
        elif policy.in_team(act.by, owner) and act.meaning in RELEASES:
            holds = "not independent"
        elif act.reviewed is None or act.reviewed.digest != evidence.digest:
            holds, changed = "void", () if act.reviewed is None else act.reviewed.changed(evidence)
        elif act.kind == "sign" and at >= act.at + policy.expires.delta:
            holds = "expired"
        yield Signed(act, holds, person, changed)


def _empty(filled: Sequence[Seat]) -> Iterator[str]:
    """``2 approvals of role risk``: what no one has filled, one line a function."""
    empty = [seat for seat in filled if seat.by is None]
    for role in dict.fromkeys(seat.role for seat in empty):
        found = [seat for seat in empty if seat.role == role]
        yield f"{len(found)} approval{'s' if len(found) > 1 else ''} {found[0].text}"


def _until(acts: Sequence[Act], evidence: Reviewed, now: datetime) -> datetime | None:
    """How long the latest emergency lasts: for what was released then, and no other."""
    ends = [act.until for act in acts if act.kind == "break_glass" and act.until is not None
            and act.reviewed is not None and act.reviewed.digest == evidence.digest]  # fmt: skip
    return max((end for end in ends if now < end), default=None)
