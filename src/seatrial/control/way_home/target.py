"""Where a model goes when it is sent home, or why it stays; and whether a version answers before anybody goes there.

Needs no controller: the way home is the same when there is none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from seatrial.control.documents.catalog import load
from seatrial.control.project import Project
from seatrial.control.render import Release, active_release
from seatrial.control.way_home.probe import is_ready, predicts, samples
from seatrial.control.way_home.proof import running_host
from seatrial.errors import Conflict
from seatrial.ids import VersionNumber
from seatrial.registry.version import ModelVersion
from seatrial.serving.process import HostProcess
from seatrial.store.db import Transaction

PROBE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a model would go: from ``present`` to ``home``, by the end of ``release`` or a change of champions."""

    present: VersionNumber
    home: ModelVersion
    release: Release | None

    @property
    def gist(self) -> tuple[int, int, tuple[str, int] | None]:
        """What must not change while the version to go back to is asked."""
        revision = None if self.release is None else (self.release.stored.id, self.release.stored.revision)
        return self.present, self.home.number, revision


def target_of(tx: Transaction, model: str, *, undo: bool = False) -> Target | str:
    """Where the model goes from here; or why it stays. Raises NotFound.

    A rollout that was taken back has brought everybody home: asking once more is no reason to go back further, unless a
    promotion is to be taken back by name (``undo``).
    """
    tx.models.get_model(model)
    release, pointers = active_release(tx, model), tx.models.pointers(model)
    if release is not None:
        home = tx.models.get_version(model, release.state.champion)
        return Target(present=release.state.candidate, home=home, release=release)
    champion, previous = pointers.get("champion"), pointers.get("previous")
    if champion is None:
        return f"{model}: nothing to roll back: it has no champion"
    if previous is None:
        return f"{model}: nothing to roll back: v{champion} is the champion, without a rollout and without a standby"
    past = tx.rollouts.list(model)
    if past and past[-1].status == "aborted" and not undo:
        made = next((one.id for one in reversed(past) if one.status == "promoted" and one.candidate == champion), None)
        more = f"; to take back v{champion} as well: `seatrial rollout undo {made}`" if made else ""
        return (
            f"{model}: nothing to roll back: rollout {past[-1].id} was taken back, v{champion} serves everybody{more}"
        )
    return Target(present=champion, home=tx.models.get_version(model, previous), release=None)


def taken_back(tx: Transaction, rollout: str) -> str:
    """Why there is nothing to undo; empty where there is. Raises Conflict where it cannot be undone any more."""
    state = load(tx.rollouts.get(rollout)).state
    if not state.over:
        return ""
    if state.status != "promoted":
        return f"rollout {rollout} is over and was taken back: nothing to undo"
    pointers = tx.models.pointers(state.model)
    champion, previous = pointers.get("champion"), pointers.get("previous")
    if champion == state.champion:
        return f"rollout {rollout} was undone already: v{champion} serves"
    if champion != state.candidate:
        raise Conflict(
            "ST0881",
            f"rollout '{rollout}' made v{state.candidate} the champion of '{state.model}', which is v{champion} now.",
            remedy=f"`seatrial rollback {state.model}` goes back from v{champion}.",
        )
    if previous != state.champion:
        raise Conflict(
            "ST0825", f"rollout '{rollout}' cannot be undone: v{state.champion} does not stand by any more.",
            remedy="Register its artifact again and roll it out; "
            f"`seatrial kill {state.model}` takes v{champion} out of traffic now.",
        )  # fmt: skip
    return ""


def answers(project: Project, model: str, number: int) -> bool:
    """Whether a version's host is ready, and gives predictions to what users asked last, where that is known."""
    host = running_host(project, model, number)
    if host is None or not is_ready(host[1], PROBE_S):
        return False
    asked = samples(project, model, host[0], glance=True)
    limit_s = project.config.timeouts.attempt.seconds
    return not asked or any(predicts(host[1], sample, limit_s) for sample in asked)


def lift_limit(project: Project, model: str, number: int) -> None:
    """A host that is scaled down takes everything from now on."""
    host = running_host(project, model, number)
    if host is not None and host[0].limit is not None:
        process = HostProcess(host[0], project.host_directory(model, number))
        if process.adopt():
            process.reread(replace(host[0].reading, limit=None))
