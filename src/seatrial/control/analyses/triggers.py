"""A retraining policy replayed on a history: which triggers fired, which waited, and which run each one got."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic import TypeAdapter, ValidationError

from seatrial.errors import NotFound, UsageError
from seatrial.retrain.cron import Cron
from seatrial.retrain.lint import lint
from seatrial.retrain.manager import (
    Event,
    Reading,
    Run,
    State,
    asked,
    checked,
    finished,
    from_start,
    observed,
    step,
    wakes,
)
from seatrial.retrain.policy import Critical, Policy, Training, Trigger
from seatrial.retrain.running import Command, Expected, Release, Watch
from seatrial.retrain.shift import Distance
from seatrial.stats.drift.samples import ks_p
from seatrial.values import Duration, to_camel

Document = dict[str, Any]

MOST_STEPS = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """What Kolmogorov and Smirnov's test said of a feature: the distance between so many values of the reference and
    so many current ones. ``p``: computed from these unless it is given."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"alias_generator": to_camel, "extra": "forbid"}

    distance: float
    reference: int
    current: int
    p: float | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.distance <= 1 and min(self.reference, self.current) >= 1 and 0 <= (self.p or 0.0) <= 1):
            raise ValueError("a distance and p lie between 0 and 1, and there are values on both sides")

    def read(self) -> Distance:
        p = ks_p(self.distance, self.reference, self.current) if self.p is None else self.p
        return Distance(value=self.distance, p_value=p, n_ref=self.reference, n_cur=self.current)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a history.

    ``drift``: PSI by feature; ``ks``: what the test said of it, both of the last ``window``; ``loss``: relative, with
    ``mature`` outcomes; ``rows``: since the last run; ``ask``: the name of a manual trigger or webhook; ``checks``:
    ``passed`` or what failed; ``down``: nobody looks for as long; ``run``: how the run in progress ended.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"alias_generator": to_camel, "extra": "forbid"}

    at: datetime
    drift: Mapping[str, float] = field(default_factory=dict)
    ks: Mapping[str, Apart] = field(default_factory=dict)
    window: Duration | None = None
    loss: float | None = None
    mature: int = 0
    rows: int = 0
    ask: str | None = None
    by: str = "somebody"
    checks: str | None = None
    down: Duration | None = None
    run: str | None = None


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What the manager would have done."""

    policy: Policy
    start: datetime
    end: datetime
    events: Sequence[Event]
    runs: Sequence[Run]
    state: State


@cache
def _policies() -> TypeAdapter[Policy]:
    return TypeAdapter(Policy)


@cache
def _entries() -> TypeAdapter[list[Entry]]:
    return TypeAdapter(list[Entry])


_PARTS = (Policy, Trigger, Critical, Training, Command, Watch, Expected, Release, Entry, Apart)
_KNOWN = sorted({to_camel(f.name) for of in _PARTS for f in fields(of)})


def read_policy(path: Path) -> Policy:
    """Raises NotFound (ST0390) or UsageError (ST0390 for the text, ST0391 for what cannot be honoured)."""
    policy = parse_policy(_text(path, "policy"), str(path))
    errors = [finding for finding in lint(policy) if finding.level == "error"]
    if errors:
        raise UsageError(
            "ST0391", f"'{path}': " + "; ".join(f.text for f in errors) + ".", remedy="See docs/cadence.md."
        )
    return policy


def parse_policy(text: str, source: str) -> Policy:
    """A policy from YAML, honoured or not. Raises UsageError (ST0390)."""
    document = _yaml(text, source)
    if not isinstance(document, Mapping):
        raise UsageError("ST0390", f"'{source}' is not a map of fields.", remedy="See `seatrial trigger templates`.")
    found: Policy = _validated(_policies(), document, source)
    return found


def read_history(path: Path) -> list[Entry]:
    """Entries in order of time, UTC where no zone is said. Raises NotFound or UsageError (ST0390)."""
    document = _yaml(_text(path, "history"), str(path))
    if not isinstance(document, list):
        raise UsageError("ST0390", f"'{path}' is not a list of entries.", remedy="e.g. - {at: 2026-03-09 03:00, drift: "
                         "{amount: 0.35}}")  # fmt: skip
    found = _validated(_entries(), document, str(path))
    zoned = [e if e.at.tzinfo else replace(e, at=e.at.replace(tzinfo=UTC)) for e in found]
    return sorted(zoned, key=lambda entry: entry.at)


def replay(
    policy: Policy, history: Sequence[Entry], *, start: datetime, until: datetime, lasts: timedelta, every: Cron | None
) -> Replay:
    """The manager's steps at every entry, schedule and end of an interval, or only at the times of ``every``.

    ``lasts``: what a run takes where the history does not say how it ended. Raises UsageError (ST0393) for entries that
    do not fit the policy, or a replay of more than 200,000 steps.
    """
    desk = _Desk(policy, from_start(start), [e for e in history if e.at <= until], up=start)
    told = any(entry.run is not None for entry in history)
    for _ in range(MOST_STEPS):
        moment = desk.next(None if told else lasts, every)
        if moment is None or moment > until:
            return Replay(policy=policy, start=start, end=until, events=desk.events, runs=desk.runs, state=desk.state)
        desk.take(moment, None if told else lasts)
    raise UsageError("ST0393", f"more than {MOST_STEPS:,} steps.", remedy="Replay a shorter time: --until TIME")


class _Desk:
    """Where entries wait until somebody looks at them."""

    def __init__(self, policy: Policy, state: State, pending: list[Entry], *, up: datetime) -> None:
        self.policy, self.state, self.pending, self.up = policy, state, pending, up
        self.events: list[Event] = []
        self.runs: list[Run] = []

    def next(self, lasts: timedelta | None, every: Cron | None) -> datetime | None:
        """When somebody looks again: something happens, and nobody is down, and it is the time of ``every``."""
        run = self.state.running
        candidates = [
            wakes(self.policy, self.state),
            self.pending[0].at if self.pending else None,
            run.started + lasts if run is not None and lasts is not None else None,
            self.up if self.up > self.state.looked else None,
        ]
        soonest = min((moment for moment in candidates if moment is not None), default=None)
        if soonest is None:
            return None
        moment = max(soonest, self.up)
        return moment if every is None else every.after(moment - timedelta(minutes=1))

    def take(self, moment: datetime, lasts: timedelta | None) -> None:
        """Everything up to a moment, and then one step."""
        while self.pending and self.pending[0].at <= moment:
            self._entry(self.pending.pop(0))
        run = self.state.running
        if run is not None and lasts is not None and run.started + lasts <= moment:
            self._ended(run.started + lasts, "it took as long as runs do")
        if moment < self.up:
            return
        before = self.state.runs
        self.state, done = step(self.policy, self.state, moment)
        self.events.extend(done)
        if self.state.running is not None and self.state.runs > before:
            self.runs.append(self.state.running)

    def _entry(self, entry: Entry) -> None:
        try:
            if entry.run is not None:
                self._ended(entry.at, entry.run)
            if entry.ask is not None:
                self.state = asked(self.policy, self.state, entry.ask, entry.at, entry.by)
        except ValueError as error:
            raise UsageError("ST0393", f"the entry of {entry.at.isoformat()}: {error}.") from None
        if entry.checks is not None:
            self.state = checked(self.state, None if entry.checks == "passed" else entry.checks)
        if entry.down is not None:
            self.up = max(self.up, entry.at + entry.down.delta)
        self.state = observed(self.policy, self.state, _reading(entry))

    def _ended(self, at: datetime, outcome: str) -> None:
        self.state, ended = finished(self.state, at, outcome)
        self.events.extend(ended)


def _reading(entry: Entry) -> Reading:
    return Reading(
        at=entry.at, since=None if entry.window is None else entry.at - entry.window.delta, psi=dict(entry.drift),
        ks={name: one.read() for name, one in entry.ks.items()}, loss=entry.loss, mature=entry.mature, rows=entry.rows,
    )  # fmt: skip


def replay_document(found: Replay) -> Document:
    """``seatrial.trigger-replay.v1``."""
    state = found.state
    return {
        "schema": "seatrial.trigger-replay.v1",
        "model": found.policy.model,
        "start": found.start.isoformat(),
        "end": found.end.isoformat(),
        "runs": [
            {
                "number": run.number,
                "started": run.started.isoformat(),
                "cause": run.cause,
                "trigger": run.trigger.trigger,
                "detail": run.trigger.detail,
                "moved": None if run.trigger.moved is None else run.trigger.moved.document(),
                "evidence": [{"trigger": s.trigger, "kind": s.kind, "detail": s.detail} for s in run.evidence],
                "bypassed": run.bypassed,
            }
            for run in found.runs
        ],
        "events": [
            {
                "at": e.at.isoformat(),
                "what": e.what,
                "trigger": e.trigger,
                "reason": e.reason,
                "suppressed_until": e.until.isoformat() if e.until and e.what == "suppressed" else None,
                "run": e.run,
                "moved": None if e.moved is None else e.moved.document(),
            }
            for e in found.events
        ],
        "waiting": [
            {"trigger": one.signal.trigger, "until": None if one.until is None else one.until.isoformat()}
            for one in state.latched
        ],
    }


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise NotFound("ST0390", f"there is no {what} '{path}'.", remedy="`seatrial trigger templates` shows policies."
                       ) from None  # fmt: skip
    except UnicodeDecodeError:
        raise UsageError("ST0390", f"'{path}' is not text.") from None


def _yaml(text: str, source: str) -> object:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError("ST0390", f"'{source}' is not YAML: {str(error).splitlines()[0]}.") from None


def _validated(adapter: TypeAdapter[Any], document: object, source: str) -> Any:
    try:
        return adapter.validate_python(document)
    except ValidationError as error:
        lines = "; ".join(_line(item["loc"], item["msg"], item["type"]) for item in error.errors()[:5])
        raise UsageError("ST0390", f"'{source}': {lines}.") from None


def _line(location: tuple[int | str, ...], message: str, kind: str) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        near = difflib.get_close_matches(str(location[-1]), _KNOWN, n=1, cutoff=0.5)
        return f"{where} is unknown{f', did you mean {near[0]!r}?' if near else ''}"
    if kind == "dataclass_type":
        return f"{where} is a map of fields"
    return f"{where}: {message.removeprefix('Value error, ')}"
