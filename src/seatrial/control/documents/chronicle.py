"""The decisions of a rollout as a reader wants them: what moved something is shown, what changed nothing is folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.control.recorder import MOVES
from seatrial.ids import Digest
from seatrial.rollout.verdicts import Decision


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A decision that is shown (``quiet`` empty), or a run of decisions that changed nothing and are folded away.

    ``changed``: the verdicts that are new with it, as ``errors pass``.
    """

    decision: Decision | None
    evidence: str | None = None
    changed: tuple[str, ...] = ()
    quiet: tuple[Decision, ...] = ()


def chronicle(decisions: Sequence[Decision], digests: Sequence[Digest | None]) -> list[LogEntry]:
    """Decisions that moved something or changed a verdict; what lies between is folded."""
    entries: list[LogEntry] = []
    quiet: list[Decision] = []
    seen: dict[tuple[str, str], str] = {}

    def fold() -> None:
        if quiet:
            entries.append(LogEntry(None, quiet=tuple(quiet)))
            quiet.clear()

    for decision, digest in zip(decisions, digests, strict=True):
        verdicts: dict[tuple[str, str], str] = {(v.metric, v.arms): v.verdict for v in decision.verdicts}
        changed = tuple(f"{of[0]} {verdict}" for of, verdict in verdicts.items() if seen.get(of) != verdict)
        gone = bool(verdicts) and not seen.keys() <= verdicts.keys()
        seen = verdicts or seen
        if changed or gone or decision.action in MOVES or decision.rule == "manual":
            fold()
            entries.append(LogEntry(decision, digest, changed))
        else:
            quiet.append(decision)
    fold()
    return entries
