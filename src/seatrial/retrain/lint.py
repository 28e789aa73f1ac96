"""What is wrong with a policy, and what is likely not meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import get_args

from seatrial.retrain.policy import Finding, Findings, Kind, Policy, Training, Trigger

_FROM = datetime(2025, 12, 29, tzinfo=UTC)
_PLAN = re.compile(r"\w[\w.-]*")
"""Names of files in a directory, and no way out of it."""

_DUE = 12
"""Times of a schedule of which the shortest gap is looked at."""


def lint(policy: Policy) -> Findings:
    """Errors first. A policy without errors can be honoured.

    >>> from seatrial.retrain.policy import Trigger
    >>> [f.text for f in lint(Policy(model="m", primary="daily", triggers=(Trigger(name="psi", drift=0.25),)))][0]
    "the primary trigger 'daily' is not among the triggers: there are psi"
    """
    errors = [Finding("ST0391", "error", text) for text in _errors(policy)]
    if any(len(trigger.kinds) != 1 or not _readable(trigger) for trigger in policy.triggers):
        return tuple(errors)
    return (*errors, *(Finding("ST0392", "warning", text) for text in _warnings(policy)))


def _errors(policy: Policy) -> Iterator[str]:
    names = [trigger.name for trigger in policy.triggers]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"two triggers are called '{name}'"
    for trigger in policy.triggers:
        yield from _trigger_errors(trigger)
    if policy.interval.seconds <= 0 or policy.critical.interval.seconds <= 0:
        yield "an interval is longer than nothing"
    if not (policy.critical.psi > 0 and 0 < policy.critical.ks <= 1):
        yield "critical: psi is above 0, and ks above 0 and at most 1"
    if policy.training.mode == "decay" and policy.training.window is None:
        yield "training: rows that decay have a half-life; name it, e.g. window: 90d"
    if any(span is not None and span.seconds <= 0 for span in (policy.training.window, policy.training.season)):
        yield "training: window and season are longer than nothing"
    yield from _running_errors(policy)


def _running_errors(policy: Policy) -> Iterator[str]:
    command, watch, release = policy.run, policy.watch, policy.release
    if command is not None:
        if not command.command or not command.command[0]:
            yield "run: there is no command"
        if command.timeout.seconds <= 0:
            yield f"run: the timeout {command.timeout} leaves no time"
        if min(command.cost, command.cost_per_hour) < 0:
            yield "run: a run costs nothing or something"
    if min(watch.every.seconds, watch.window.seconds) <= 0:
        yield "watch: every and window are spans of time that are not empty"
    if not 0 < watch.alpha < 1:
        yield f"watch: alpha is between 0 and 1, not {watch.alpha:g}"
    if watch.min_rows < 1 or release.min_rows < 1:
        yield "minRows is at least 1"
    if release.plan is not None and not _PLAN.fullmatch(release.plan):
        yield f"release: '{release.plan}' is not the name of a plan in plans/"
    if command is not None and watch.outcome is None and any(t.performance is not None for t in policy.triggers):
        yield "watch: performance is measured on an outcome; name it"


def _trigger_errors(trigger: Trigger) -> Iterator[str]:
    if len(trigger.kinds) != 1:
        said = ", ".join(trigger.kinds) or "none"
        yield f"trigger '{trigger.name}' has {said}: it is exactly one of {', '.join(get_args(Kind))}"
        return
    if trigger.schedule is not None:
        try:
            Trigger(name=trigger.name, schedule=trigger.schedule).cron  # noqa: B018 - it is read for its error
        except ValueError as error:
            yield f"trigger '{trigger.name}': {error}"
    sizes = {"drift": trigger.drift, "performance": trigger.performance, "volume": trigger.volume}
    for word, size in sizes.items():
        if size is not None and not size > 0:
            yield f"trigger '{trigger.name}': {word} is a threshold above 0, not {size:g}"
    if trigger.min_mature and trigger.performance is None:
        yield f"trigger '{trigger.name}': minMature belongs to performance"
    if trigger.features and trigger.drift is None:
        yield f"trigger '{trigger.name}': features belong to drift"
    if trigger.measure is not None and trigger.drift is None:
        yield f"trigger '{trigger.name}': measure belongs to drift"
    if trigger.measure == "ks" and trigger.drift is not None and trigger.drift > 1:
        yield f"trigger '{trigger.name}': distances of distributions end at 1, and {trigger.drift:g} is never reached"


def _warnings(policy: Policy) -> Iterator[str]:
    kinds = {trigger.kind for trigger in policy.triggers}
    known = ", ".join(trigger.name for trigger in policy.triggers) or "none"
    if policy.trigger(policy.primary) is None:
        yield f"the primary trigger '{policy.primary}' is not among the triggers: there are {known}"
    if len(policy.triggers) < 2:
        yield "nothing guards the primary trigger: a schedule does not see drift, and drift does not see a slow decline"
    if "schedule" not in kinds:
        yield "no schedule: if outcomes or drift stop arriving, nothing is trained and nobody is told"
    if kinds <= {"schedule", "manual", "webhook", "volume"}:
        yield "neither drift nor performance is watched: between two runs nobody sees the model grow old"
    for trigger in policy.triggers:
        yield from _trigger_warnings(policy, trigger)
    yield from _training_warnings(policy.training)


def _training_warnings(training: Training) -> Iterator[str]:
    """Of rows that nobody can know yet, all there are, the run says itself whether they cover a season."""
    window, season = training.window, training.season
    if training.mode != "sliding":
        return
    if window is None:
        yield "the training window has no length: all rows there are will be used; say mode: expanding, or window: 90d"
    elif season is not None and window.seconds < season.seconds:
        yield f"the training window ({window}) is shorter than one season, {season}"


def _trigger_warnings(policy: Policy, trigger: Trigger) -> Iterator[str]:
    if trigger.schedule is not None and (gap := _shortest_gap(trigger)) < policy.interval.seconds:
        yield (
            f"'{trigger.name}' is due every {gap / 3600:g} h, within the interval of {policy.interval} after a run: "
            "such runs are put off"
        )
    if trigger.performance is not None and not trigger.min_mature:
        yield f"'{trigger.name}' looks at any number of matured outcomes: a few make it jump; set minMature"
    critical = {"psi": policy.critical.psi, "ks": policy.critical.ks}
    if trigger.drift is not None and trigger.drift >= critical[trigger.drift_measure or "psi"]:
        measure = (trigger.drift_measure or "psi").upper()
        yield f"'{trigger.name}' begins at {measure} {trigger.drift:g}, where drift is critical already"


def _readable(trigger: Trigger) -> bool:
    return not [*_trigger_errors(trigger)]


def _shortest_gap(trigger: Trigger) -> float:
    """Seconds between neighbours among the next times."""
    cron, due = trigger.cron, [_FROM]
    for _ in range(_DUE):
        due.append(cron.after(due[-1]))
    return min((b - a).total_seconds() for a, b in pairwise(due[1:]))
