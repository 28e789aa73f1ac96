"""Errors that say what happened, to which object, and what to do next."""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """Exit codes of the command line; also carried by errors so that every face agrees."""

    OK = 0
    ERROR = 1
    USAGE = 2
    GATE_FAILED = 3
    UNDECIDED = 4
    APPROVAL_NEEDED = 5
    INTEGRITY = 6


class SeatrialError(Exception):
    """Base of all errors a user can meet.

    ``code`` is stable (``ST0203``), ``message`` names the object and what happened, ``remedy`` says what to do.
    """

    exit_code = Exit.ERROR

    def __init__(self, code: str, message: str, *, remedy: str = "") -> None:
        super().__init__(f"{code} {message}" + (f" {remedy}" if remedy else ""))
        self.code = code
        self.message = message
        self.remedy = remedy


class UsageError(SeatrialError):
    """The call itself is wrong: an unknown name, a missing option, a value of the wrong form."""

    exit_code = Exit.USAGE


class NotFound(SeatrialError):
    """The named object does not exist."""


class Conflict(SeatrialError):
    """Somebody else changed the object first (compare-and-swap lost), or it is busy."""


class ApprovalNeeded(Conflict):
    """People still have to say yes."""

    exit_code = Exit.APPROVAL_NEEDED


class PlanError(UsageError):
    """A plan that cannot be honoured."""


class IllegalTransition(SeatrialError, ValueError):
    """A stage move that the declared table does not allow."""


class IntegrityError(SeatrialError):
    """Stored data is not what was written: a broken hash chain, a changed artifact."""

    exit_code = Exit.INTEGRITY


class Unavailable(SeatrialError):
    """A part that is needed does not answer: Envoy, a model host, the store, the control plane."""
