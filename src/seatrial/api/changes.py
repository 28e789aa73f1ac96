"""Changes: triage, the envelope, locked test sets and tickets of re-validation."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from fastapi import APIRouter

from seatrial.api.approvals import signer_of
from seatrial.api.deps import Approver, Operator, Wired
from seatrial.control.changes import baseline, envelopes, test_sets, tickets
from seatrial.control.changes.triage import assess
from seatrial.governance.tickets import Shift, Stratum
from seatrial.values import to_camel

router = APIRouter(prefix="/v1/changes", tags=["changes"])

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """A version whose review is on record elsewhere."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    version: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """``text``: the envelope as YAML."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    text: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """``hashes``: an artifact of this project that holds one hash a row of the file with ``digest``."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    model: str
    name: str
    digest: str
    row_count: int
    fields: tuple[str, ...]
    hashes: str
    use_limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A use of a test set outside seatrial."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    version: int
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """Why a test set is kept apart no longer."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A column that moved in a stratum."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    column: str
    measure: str
    value: float | None
    least: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """One value of one column that looks different."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    column: str
    value: str
    what: Literal["drift", "new", "gone"]
    rows: int
    shifts: tuple[Moved, ...] = ()

    def stratum(self) -> Stratum:
        shifts = tuple(Shift(**asdict(one)) for one in self.shifts)
        return Stratum(self.column, self.value, self.what, self.rows, shifts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Strata of a model that look different, and by what that was found."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    model: str
    cause: str
    strata: tuple[Affected, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What came of a ticket."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    resolution: str


@router.get("/testsets")
def list_test_sets(wired: Wired, model: str | None = None) -> dict[str, Any]:
    """Oldest first; of one model, or of all."""
    with wired.store.read() as tx:
        return test_sets.all_told(tx, model)


@router.post("/testsets", status_code=201)
def lock(body: Locked, wired: Wired, caller: Operator) -> dict[str, Any]:
    """From now on nobody trains on it."""
    given = {to_camel(name): value for name, value in asdict(body).items()}
    return wired.operations.changes.lock_test_set(given, actor=caller.name)


@router.post("/testsets/{test_set}/uses", status_code=201)
def use(test_set: str, body: Used, wired: Wired, caller: Operator) -> dict[str, Any]:
    """The same version for the same purpose counts once."""
    return wired.operations.changes.use_test_set(test_set, body.version, purpose=body.purpose, actor=caller.name)


@router.post("/testsets/{test_set}/retire")
def retire(test_set: str, body: Retired, wired: Wired, caller: Approver) -> dict[str, Any]:
    """From now on its rows may be trained on; what was known of it stays."""
    own = signer_of(caller, wired).own
    return wired.operations.changes.retire_test_set(test_set, reason=body.reason, actor=caller.name, own=own)


@router.get("/tickets")
def list_tickets(wired: Wired, model: str | None = None, open: bool = False) -> dict[str, Any]:
    """Oldest first; with ``open``, only those that are."""
    with wired.store.read() as tx:
        return tickets.tickets_told(tx, model, open_only=open)


@router.post("/tickets", status_code=201)
def open_ticket(body: Found, wired: Wired, caller: Operator) -> dict[str, Any]:
    """The open ticket of these strata, or a new one. Nothing in production changes."""
    strata = [one.stratum() for one in body.strata]
    return wired.operations.changes.open_ticket(body.model, strata, cause=body.cause, actor=caller.name)


@router.get("/tickets/{ticket}")
def show_ticket(ticket: str, wired: Wired) -> dict[str, Any]:
    with wired.store.read() as tx:
        return tickets.ticket_told(tx.tickets.get(ticket))


@router.post("/tickets/{ticket}/close")
def close_ticket(ticket: str, body: Resolved, wired: Wired, caller: Operator) -> dict[str, Any]:
    """With what came of it."""
    return wired.operations.changes.close_ticket(ticket, resolution=body.resolution, actor=caller.name)


@router.get("/{model}/triage/{version}")
def triage(model: str, version: int, wired: Wired, against: int | None = None) -> dict[str, Any]:
    """Material or not, with every reason, and the review that it needs."""
    with wired.store.read() as tx:
        return assess(tx, wired.project, model, version, against=against).document()


@router.put("/{model}/baseline")
def set_baseline(model: str, body: Approved, wired: Wired, caller: Approver) -> dict[str, Any]:
    """Hold changes against this version from now on."""
    own = signer_of(caller, wired).own
    return wired.operations.changes.set_baseline(model, body.version, reason=body.reason, actor=caller.name, own=own)


@router.get("/{model}/baseline")
def show_baseline(model: str, wired: Wired) -> dict[str, Any]:
    with wired.store.read() as tx:
        return baseline.baseline_document(tx, model)


@router.put("/{model}/envelope")
def set_envelope(model: str, body: Declared, wired: Wired, caller: Approver) -> dict[str, Any]:
    """In force from now on; the one before stays on record."""
    own = signer_of(caller, wired).own
    return wired.operations.changes.set_envelope(
        model, body.text, source="envelope", reason=body.reason, actor=caller.name, own=own
    )


@router.get("/{model}/envelope")
def show_envelope(model: str, wired: Wired) -> dict[str, Any]:
    with wired.store.read() as tx:
        return envelopes.envelope_document(tx, model)


@router.get("/{model}/envelope/{version}")
def check_envelope(model: str, version: int, wired: Wired) -> dict[str, Any]:
    """Whether a version is inside, with the traceability table."""
    with wired.store.read() as tx:
        return envelopes.check_document(tx, model, version)
