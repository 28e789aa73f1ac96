"""Decisions of a rollout, in order, never changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from seatrial.errors import IntegrityError
from seatrial.ids import Digest, RolloutId
from seatrial.store.canonical import as_utc
from seatrial.store.schema import decisions, rollouts


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """One decision. ``document`` is its JSON in full; ``evidence_digest`` names what it was judged on.

    ``given``: the JSON of what else it was taken on (state and signals); None for a start, which is given nothing.
    """

    rollout: RolloutId
    seq: int
    at: datetime
    action: str
    rule: str
    step: int | None
    document: str
    evidence_digest: Digest | None
    given: str | None = None


class Decisions:
    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def append(
        self,
        rollout: str,
        seq: int,
        at: datetime,
        action: str,
        rule: str,
        step: int | None,
        document_json: str,
        evidence_digest: str | None,
        given: str | None = None,
    ) -> bool:
        """Store a decision: True if it is new, False if the very same is there (a restarted controller decides again).

        Raises ``IntegrityError`` if another decision is stored under this number.
        """
        digest = None if evidence_digest is None else Digest(evidence_digest)
        decision = StoredDecision(RolloutId(rollout), seq, as_utc(at), action, rule, step, document_json, digest, given)
        stored = self._find(rollout, seq)
        if stored is None:
            self._db.execute(insert(decisions).values(asdict(decision)))
        elif stored != decision:
            changed = [name for name, value in asdict(stored).items() if value != getattr(decision, name)]
            raise IntegrityError(
                "ST0670",
                f"rollout {rollout}: decision {seq} ({stored.action}) is stored with another {' and '.join(changed)}.",
                remedy="The same evidence gives the same decision: keep both, and see what else wrote to the store.",
            )
        return stored is None

    def list(self, rollout: str) -> tuple[StoredDecision, ...]:
        query = select(decisions).where(decisions.c.rollout == rollout).order_by(decisions.c.seq)
        return tuple(StoredDecision(**row._mapping) for row in self._db.execute(query))

    def last(self, rollout: str) -> StoredDecision | None:
        query = select(decisions).where(decisions.c.rollout == rollout).order_by(decisions.c.seq.desc()).limit(1)
        row = self._db.execute(query).first()
        return None if row is None else StoredDecision(**row._mapping)

    def latest(self, model: str) -> dict[RolloutId, StoredDecision]:
        """The last decision of every rollout of a model that has one."""
        last = select(decisions.c.rollout, func.max(decisions.c.seq).label("seq"))
        mine = last.join(rollouts).where(rollouts.c.model == model).group_by(decisions.c.rollout).subquery()
        query = select(decisions).join(mine, (decisions.c.rollout == mine.c.rollout) & (decisions.c.seq == mine.c.seq))
        return {row.rollout: StoredDecision(**row._mapping) for row in self._db.execute(query)}

    def _find(self, rollout: str, seq: int) -> StoredDecision | None:
        query = select(decisions).where(decisions.c.rollout == rollout, decisions.c.seq == seq)
        row = self._db.execute(query).first()
        return None if row is None else StoredDecision(**row._mapping)
