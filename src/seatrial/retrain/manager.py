"""Which trigger starts a run, which one waits, and why: one pure step after the other.

Time comes in with every call. The window between runs is counted in UTC from the start of the last one, so a change of
the clocks does not move it, and at exactly its end a trigger runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from seatrial.instants import in_utc
from seatrial.retrain.policy import Kind, Policy, Trigger
from seatrial.retrain.shift import Distance, Moved, further, moved

Cause = Literal["data", "inputs", "model", "routine"]
What = Literal["started", "suppressed", "waiting", "blocked", "recovered", "missed", "paged", "finished"]

_FIRST: tuple[Kind, ...] = ("drift", "performance", "manual", "webhook", "volume", "schedule")
"""Which of several triggers a run is named after: what says most about its cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was measured at a moment: PSI and distances by feature, a relative loss on matured outcomes, or rows.

    ``since``: from when on inputs were looked at, up to ``at``; None: nobody said.
    """

    at: datetime
    since: datetime | None = None
    psi: Mapping[str, float] = field(default_factory=dict)
    ks: Mapping[str, Distance] = field(default_factory=dict)
    loss: float | None = None
    mature: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Signal:
    """A trigger that holds now. ``value`` in the trigger's own unit; ``critical`` drift may pass the interval.

    ``moved``: what a trigger by Kolmogorov and Smirnov's test has found.
    """

    trigger: str
    kind: Kind
    since: datetime
    value: float | None = None
    detail: str = ""
    critical: bool = False
    moved: Moved | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A training run: why, by which trigger, and which others held at the same time, as its evidence."""

    number: int
    started: datetime
    cause: Cause
    trigger: Signal
    evidence: tuple[Signal, ...] = ()
    bypassed: bool = False


@dataclass(frozen=True, slots=True)
class Latched:
    """A trigger that has to wait. ``until``: when it is looked at again; None: when a run or a fault has ended."""

    signal: Signal
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Event:
    """What the manager did, and why in words; ``moved``: by which measurement, as in `Signal`."""

    at: datetime
    what: What
    trigger: str
    reason: str
    until: datetime | None = None
    run: int | None = None
    moved: Moved | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that the next step depends on; equal states and equal readings give equal steps.

    ``looked``: up to when schedules were asked. ``asked``: requests by people and webhooks, and due schedules, that no
    run has answered yet.
    """

    looked: datetime
    running: Run | None = None
    runs: int = 0
    last_start: datetime | None = None
    last_bypass: datetime | None = None
    latched: tuple[Latched, ...] = ()
    asked: tuple[Signal, ...] = ()
    readings: Mapping[str, Reading] = field(default_factory=dict)
    checks_failed: str | None = None
    paged: bool = False


def observed(policy: Policy, state: State, reading: Reading) -> State:
    """A reading is kept for every trigger that it says something about; an older one than is known changes nothing.

    Readings of the same moment are joined, so their order does not matter.
    """
    reading = replace(reading, at=in_utc(reading.at))
    readings = dict(state.readings)
    for trigger in policy.triggers:
        if _about(trigger, reading):
            known = readings.get(trigger.name)
            if known is None or known.at < reading.at:
                readings[trigger.name] = reading
            elif known.at == reading.at:
                readings[trigger.name] = _joined(known, reading)
    return replace(state, readings=readings)


def asked(policy: Policy, state: State, name: str, at: datetime, who: str) -> State:
    """Somebody, or a webhook, asks for a run. Raises ValueError for a trigger that is neither."""
    trigger = policy.trigger(name)
    if trigger is None or trigger.kind not in ("manual", "webhook"):
        raise ValueError(f"'{name}' is no manual trigger and no webhook of {policy.model}")
    signal = Signal(name, trigger.kind, in_utc(at), detail=f"asked for by {who}")
    return replace(state, asked=_with(state.asked, signal))


def checked(state: State, failure: str | None) -> State:
    """Checks of the data: what failed, or None. A failure of data is no reason to train on them."""
    return replace(state, checks_failed=failure, paged=state.paged and failure is not None)


def finished(state: State, at: datetime, outcome: str) -> tuple[State, tuple[Event, ...]]:
    """The run has ended, well or not. Raises ValueError where none is running."""
    if state.running is None:
        raise ValueError("no run is in progress")
    run = state.running
    event = Event(in_utc(at), "finished", run.trigger.trigger, outcome, run=run.number)
    return replace(state, running=None), (event,)


def step(policy: Policy, state: State, now: datetime) -> tuple[State, tuple[Event, ...]]:
    """What holds now is started, put off, blocked, or found to have recovered; at most one run starts.

    The rule that speaks first decides: checks of the data failed, and nothing is trained on them; a run is in progress;
    the interval after the last one, which critical drift passes (by its own limit) and people and webhooks pass. Raises
    ValueError for a moment before the last one.
    """
    now = in_utc(now)
    if now < state.looked:
        raise ValueError(f"time does not go back from {state.looked.isoformat()} to {now.isoformat()}")
    state, events = _scheduled(policy, state, now)
    signals = holding(policy, state)
    state, recovered = _recovered(state, signals, now)
    events += recovered
    if not signals:
        return state, tuple(events)
    if state.checks_failed is not None:
        return _blocked(state, signals, now, events)
    if state.running is not None:
        return _latched(state, signals, None, now, "waiting", f"run {state.running.number} is in progress", events)
    opens = None if state.last_start is None else state.last_start + policy.interval.delta
    if opens is None or now >= opens or any(signal.kind in ("manual", "webhook") for signal in signals):
        return _start(state, signals, now, events, bypassed=False)
    return _within(policy, state, signals, now, opens, events)


def holding(policy: Policy, state: State) -> tuple[Signal, ...]:
    """Every trigger that holds, by what it says of the cause and then by name: the order of arrival does not matter.

    A reading from before the last start is answered by that run.
    """
    found = [*state.asked]
    for trigger in policy.triggers:
        reading = state.readings.get(trigger.name)
        if reading is not None and (state.last_start is None or reading.at > state.last_start):
            signal = _signal(policy, trigger, reading)
            if signal is not None:
                found.append(signal)
    return tuple(sorted(found, key=lambda s: (_FIRST.index(s.kind), not s.critical, s.trigger)))


def moved_of(policy: Policy, trigger: Trigger, reading: Reading) -> tuple[Moved, ...]:
    """What a drift trigger by Kolmogorov and Smirnov's test has found; nothing for another one."""
    if trigger.drift is None or trigger.drift_measure != "ks":
        return ()
    watched = {name: one for name, one in reading.ks.items() if not trigger.features or name in trigger.features}
    return moved(watched, trigger.drift, policy.watch.alpha, start=reading.since, end=reading.at)


def cause_of(state: State, signals: Sequence[Signal]) -> Cause:
    """The root cause that decides between triggers: data, then inputs, then the model; nothing in particular last."""
    kinds = {signal.kind for signal in signals}
    if state.checks_failed is not None:
        return "data"
    return "inputs" if "drift" in kinds else "model" if "performance" in kinds else "routine"


def wakes(policy: Policy, state: State) -> datetime | None:
    """When to step next though nothing is measured: a schedule is due, or an interval has passed."""
    due = [trigger.cron.after(state.looked) for trigger in policy.triggers if trigger.schedule is not None]
    until = [one.until for one in state.latched if one.until is not None and one.until > state.looked]
    return min((*due, *until), default=None)


def _scheduled(policy: Policy, state: State, now: datetime) -> tuple[State, list[Event]]:
    """Schedules that fell due since the last look: the latest asks for one run, earlier ones are told as missed."""
    events, waiting = [], state.asked
    for trigger in policy.triggers:
        if trigger.schedule is None:
            continue
        due = [*trigger.cron.between(state.looked, now)]
        if missed := due[:-1]:
            times = _clock(missed[0]) + (f" to {_clock(missed[-1])}" if len(missed) > 1 else "")
            reason = f"nobody was there {len(missed)} times when it was due: {times}"
            events.append(Event(now, "missed", trigger.name, reason))
        if due:
            waiting = _with(waiting, Signal(trigger.name, "schedule", due[-1], detail=f"due at {_clock(due[-1])}"))
    return replace(state, looked=now, asked=waiting), events


def _signal(policy: Policy, trigger: Trigger, reading: Reading) -> Signal | None:
    if trigger.drift is not None:
        by = _by_distance if trigger.drift_measure == "ks" else _by_psi
        return by(policy, trigger, reading)
    mature = reading.mature >= trigger.min_mature
    if trigger.performance is not None and reading.loss is not None and mature and reading.loss > trigger.performance:
        detail = f"worse by {100 * reading.loss:.3g}% on {reading.mature:,} matured outcomes"
        return Signal(trigger.name, "performance", reading.at, reading.loss, detail)
    if trigger.volume is not None and reading.rows >= trigger.volume:
        return Signal(trigger.name, "volume", reading.at, reading.rows, f"{reading.rows:,} rows since the last run")
    return None


def _by_psi(policy: Policy, trigger: Trigger, reading: Reading) -> Signal | None:
    watched = {f: v for f, v in reading.psi.items() if not trigger.features or f in trigger.features}
    feature, psi = max(watched.items(), key=lambda item: (item[1], item[0]), default=("", 0.0))
    if trigger.drift is None or not psi > trigger.drift:
        return None
    return Signal(trigger.name, "drift", reading.at, psi, f"PSI of {feature} is {psi:g}", psi > policy.critical.psi)


def _by_distance(policy: Policy, trigger: Trigger, reading: Reading) -> Signal | None:
    found = moved_of(policy, trigger, reading)
    if not found:
        return None
    first, distance = found[0], found[0].distance.value
    return Signal(trigger.name, "drift", reading.at, distance, first.text, distance > policy.critical.ks, first)


def _recovered(state: State, signals: Sequence[Signal], now: datetime) -> tuple[State, list[Event]]:
    """Triggers that waited and no longer hold are closed."""
    held = {signal.trigger for signal in signals}
    gone = [one for one in state.latched if one.signal.trigger not in held]
    events = [Event(now, "recovered", one.signal.trigger, "no longer holds") for one in gone]
    return replace(state, latched=tuple(one for one in state.latched if one.signal.trigger in held)), events


def _blocked(
    state: State, signals: Sequence[Signal], now: datetime, events: list[Event]
) -> tuple[State, tuple[Event, ...]]:
    failure = state.checks_failed
    if not state.paged:
        named = ", ".join(signal.trigger for signal in signals)
        reason = f"checks of the data fail ({failure}): a fault of the data, not of the model"
        events = [*events, Event(now, "paged", named, reason)]
    reason = f"no training on data whose checks fail: {failure}"
    return _latched(replace(state, paged=True), signals, None, now, "blocked", reason, events)


def _within(
    policy: Policy, state: State, signals: Sequence[Signal], now: datetime, opens: datetime, events: list[Event]
) -> tuple[State, tuple[Event, ...]]:
    """Inside the interval: critical drift starts a run unless another did so within its own limit."""
    limit = None if state.last_bypass is None else state.last_bypass + policy.critical.interval.delta
    if not any(signal.critical for signal in signals):
        limit = opens
    elif limit is None or now >= limit:
        return _start(state, signals, now, events, bypassed=True)
    until = min(limit, opens)
    reason = f"a run started at {_clock(state.last_start)}, less than {policy.interval} ago"
    if until < opens:
        reason = (
            f"critical drift started a run at {_clock(state.last_bypass)}, less than {policy.critical.interval} ago"
        )
    return _latched(state, signals, until, now, "suppressed", reason, events)


def _latched(
    state: State, signals: Sequence[Signal], until: datetime | None, now: datetime, what: What, reason: str,
    events: list[Event],
) -> tuple[State, tuple[Event, ...]]:  # fmt: skip
    """All of them wait; each is told once, and again when it waits for something else."""
    known = {one.signal.trigger: one for one in state.latched}
    told = list(events)
    for signal in signals:
        before = known.get(signal.trigger)
        if before is None or before.until != until:
            told.append(Event(now, what, signal.trigger, f"{signal.detail}; {reason}", until, moved=signal.moved))
    return replace(state, latched=tuple(Latched(signal, until) for signal in signals)), tuple(told)


def _start(
    state: State, signals: Sequence[Signal], now: datetime, events: list[Event], *, bypassed: bool
) -> tuple[State, tuple[Event, ...]]:
    first, *others = sorted(signals, key=lambda s: not s.critical) if bypassed else signals
    run = Run(state.runs + 1, now, cause_of(state, signals), first, tuple(others), bypassed)
    why = {"inputs": "inputs have moved: a fresh window", "model": "worse without drift: the model itself",
           "routine": "as planned or asked for", "data": ""}[run.cause]  # fmt: skip
    past = "; critical, so within the interval" if bypassed else ""
    event = Event(now, "started", first.trigger, f"{first.detail}; {why}{past}", run=run.number, moved=first.moved)
    after = replace(
        state, running=run, runs=run.number, last_start=now, latched=(), asked=(),
        last_bypass=now if bypassed else state.last_bypass,
    )  # fmt: skip
    return after, (*events, event)


def _about(trigger: Trigger, reading: Reading) -> bool:
    return bool(
        (trigger.drift_measure == "psi" and reading.psi)
        or (trigger.drift_measure == "ks" and reading.ks)
        or (trigger.performance is not None and reading.loss is not None)
        or (trigger.volume is not None and reading.rows)
    )


def _joined(one: Reading, other: Reading) -> Reading:
    """Of two readings of one moment the worse of each."""
    psi = {f: max(one.psi.get(f, 0.0), other.psi.get(f, 0.0)) for f in sorted({*one.psi, *other.psi})}
    ks = {f: further(one.ks.get(f), other.ks.get(f)) for f in sorted({*one.ks, *other.ks})}
    since = min((r.since for r in (one, other) if r.since is not None), default=None)
    loss, mature = max((r.loss if r.loss is not None else float("-inf"), r.mature) for r in (one, other))
    return Reading(at=one.at, since=since, psi=psi, ks=ks, loss=None if loss == float("-inf") else loss, mature=mature,
                   rows=max(one.rows, other.rows))  # fmt: skip


def _with(waiting: tuple[Signal, ...], signal: Signal) -> tuple[Signal, ...]:
    """One request a trigger: asking twice is asking once."""
    return (*(one for one in waiting if one.trigger != signal.trigger), signal)


def _clock(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def from_start(at: datetime) -> State:
    """A model that nothing is known of yet; schedules count from here on.

    >>> from datetime import UTC
    >>> from_start(datetime(2026, 3, 1, tzinfo=UTC)).runs
    0
    """
    return State(looked=in_utc(at) - timedelta(microseconds=1))
