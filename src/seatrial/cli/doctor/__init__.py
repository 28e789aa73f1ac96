"""``seatrial doctor``: what keeps a project from running or deciding, each with its remedy. Moves no traffic.

Each check is a function that yields findings; the two tables below are all of them. A mistake that nobody made gives no
line, except where it is good to know what was looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.cli.doctor import endpoints, machine, plans, records, running, traffic
from seatrial.cli.doctor.finding import Case, Check, Finding, StoreCheck, error, fine

if TYPE_CHECKING:
    from seatrial.control.project import Project

__all__ = ["Finding", "examine"]

CHECKS: tuple[Check, ...] = (
    machine.python,
    machine.clock,
    machine.directories,
    machine.disk,
    machine.envoy,
    machine.proxies,
    machine.timeouts,
    running.ports,
    running.control_plane,
    running.capture_log,
    plans.valid,
)
"""In the order in which a start would fail."""

STORE_CHECKS: tuple[StoreCheck, ...] = (
    records.audit_log,
    records.kill_latches,
    records.chains,
    records.alerts,
    records.waiting_rollouts,
    endpoints.answer,
    endpoints.differ,
    endpoints.are_not_ours,
    traffic.arrives,
    traffic.is_answered,
    traffic.has_units,
    traffic.has_outcomes,
    plans.can_decide,
)


def examine(project: Project) -> list[Finding]:
    """All checks. Those of the store follow only where it opens."""
    found = [finding for check in CHECKS for finding in check(project)]
    return [*found, *_store(project)]


def _store(project: Project) -> Iterator[Finding]:
    from sqlalchemy.exc import SQLAlchemyError

    from seatrial.errors import IntegrityError, SeatrialError
    from seatrial.store import migrate
    from seatrial.store.db import Store

    if "://" not in project.store_url and not Path(project.store_url).exists():
        yield fine("store", f"{project.store_url} is made by `seatrial up`")
        return
    try:
        with Store.open(project.store_url, patience=records.PATIENCE) as store, store.read() as tx:
            yield fine("store", f"opens, schema {migrate.current_revision(tx.connection)}")
            case = Case(project, tx)
            for check in STORE_CHECKS:
                yield from check(case)
    except IntegrityError as broken:
        yield error("store", broken.message, broken.remedy, integrity=True)
    except SeatrialError as problem:
        yield error("store", problem.message, problem.remedy)
    except SQLAlchemyError as broken:
        reason = f"{project.store_url} cannot be read: {getattr(broken, 'orig', broken)}"
        yield error("store", reason, "Restore it from a backup.", integrity=True)
