"""Standing shadows: versions that get copies beside the champion, in a rollout and outside of one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seatrial.errors import Conflict, NotFound, UsageError
from seatrial.ids import VersionNumber
from seatrial.registry.lifecycle import Stage
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction
from seatrial.values import Share

Document = dict[str, Any]

SCHEMA = "seatrial.shadows.v1"
MOST = 8
"""Standing shadows of one model: each costs a host, and every request that all of them get is copied so often."""

_PREFIX = "shadows."


@dataclass(frozen=True, slots=True)
class StandingShadow:
    """A version and the share of the units whose requests it gets copies of."""

    version: VersionNumber
    share: Share
    by: str
    since: datetime


def standing_shadows(tx: Transaction, model: str) -> tuple[StandingShadow, ...]:
    """By version."""
    setting = tx.settings.get(_PREFIX + model)
    kept = {} if setting is None else setting.value
    return tuple(
        StandingShadow(
            VersionNumber(int(version)), Share(one["points"]), one["by"], datetime.fromisoformat(one["since"])
        )
        for version, one in sorted(kept.items(), key=lambda item: int(item[0]))
    )


def check(tx: Transaction, model: str, version: int, share: Share) -> None:
    """Whether a version may be a standing shadow.

    Raises NotFound for what is not known, Conflict for the champion, an archived version or one too many (ST0703), and
    UsageError for a share of nobody (ST0705).
    """
    found = tx.models.get_version(model, version)
    if share.per_10k == 0:
        raise UsageError("ST0705", f"a shadow of {model} at 0% sees nothing.", remedy="e.g. --share 10%")
    pointers = tx.models.pointers(model)
    if pointers.get("champion") is None:
        raise Conflict(
            "ST0703", f"model '{model}' has no champion whose requests could be copied.",
            remedy="`seatrial model adopt` makes one.",
        )  # fmt: skip
    if pointers["champion"] == version:
        raise Conflict(
            "ST0703", f"{model} v{version} is the champion: it has nothing to be compared with.",
            remedy=f"`seatrial model show {model}` lists the others.",
        )  # fmt: skip
    if found.stage is Stage.ARCHIVED:
        raise Conflict("ST0703", f"{model} v{version} is archived.", remedy="Register its artifact again.")
    others = [one for one in standing_shadows(tx, model) if one.version != version]
    if len(others) >= MOST:
        names = ", ".join(f"v{one.version}" for one in others)
        raise Conflict(
            "ST0703", f"model '{model}' has {MOST} shadows: {names}.", remedy=f"`seatrial shadow remove {model} N`"
        )


def add(tx: Transaction, model: str, version: int, share: Share, *, actor: str, now: datetime) -> None:
    """From now on a version gets copies, or copies at another share. Errors as of ``check``."""
    check(tx, model, version, share)
    kept = _kept(tx, model)
    kept[str(version)] = {"points": share.per_10k, "by": actor, "since": iso_z(now)}
    tx.settings.put(_PREFIX + model, kept, now)
    tx.audit.append(actor, "shadow.add", model, {"version": version, "share": str(share)}, now)


def remove(tx: Transaction, model: str, version: int, *, actor: str, now: datetime) -> None:
    """No more copies. Raises NotFound (ST0704) for a version that gets none."""
    tx.models.get_model(model)
    kept = _kept(tx, model)
    if str(version) not in kept:
        known = ", ".join(f"v{n}" for n in kept) or "none"
        raise NotFound("ST0704", f"{model} v{version} is no standing shadow.", remedy=f"There is: {known}.")
    del kept[str(version)]
    tx.settings.put(_PREFIX + model, kept, now)
    tx.audit.append(actor, "shadow.remove", model, {"version": version}, now)


def shadows_document(tx: Transaction, model: str) -> Document:
    """The standing shadows of a model, and which of them rest: the champion and a candidate get no copies here."""
    tx.models.get_model(model)
    champion = tx.models.pointers(model).get("champion")
    candidates = {stored.candidate for stored in tx.rollouts.list(model, active=True)}
    return {
        "schema": SCHEMA,
        "model": model,
        "champion": champion,
        "shadows": [
            {
                "version": one.version,
                "share": one.share.per_10k / 10_000,
                "by": one.by,
                "since": iso_z(one.since),
                "rests": _rests(one.version, champion, candidates),
            }
            for one in standing_shadows(tx, model)
        ],
    }


def _rests(version: int, champion: int | None, candidates: set[VersionNumber]) -> str:
    """Why a version gets no copies as a standing shadow now; empty if it does."""
    if version == champion:
        return "it is the champion"
    return "it is the candidate of a rollout" if version in candidates else ""


def _kept(tx: Transaction, model: str) -> dict[str, Any]:
    setting = tx.settings.get(_PREFIX + model)
    return {} if setting is None else dict(setting.value)
