"""One alias: what the store says, what MLflow shows, and what that means. Pure; no clock.

Three values are told apart: the *truth* (the store), what was *published* last, and what is *observed*. Where what is
observed is neither published nor about to be, somebody else has moved the alias. That is asked for once; then the alias
is put back to the truth.

MLflow has no compare-and-swap, and an alias no history: of two people who move one alias between two looks, the second
is seen. What is observed is looked at again right before it is written over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


class _Unknown:
    """The store's version is not known to MLflow: nothing can be said by this alias."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()

Target = int | None
"""Where an alias points to: a version of the registered model, or nowhere."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of an alias between looks, and over restarts.

    ``met``: whether it was ever looked at. ``published``: what it was when it was last in order. ``writing``: what was
    about to be written since, each of which may have been, by a process that did not live to say so. ``heeded``: the
    value of another hand that is on record and is about to be put back, if there is one.
    """

    met: bool = False
    published: Target = None
    writing: tuple[Target, ...] = ()
    heeded: tuple[Target, ...] = ()


NEVER: Final = Memory()


@dataclass(frozen=True, slots=True)
class Moved:
    """Somebody else moved the alias: ``to`` where, from ``published`` where it was left."""

    published: Target
    to: Target


@dataclass(frozen=True, slots=True)
class Look:
    """What follows from one look. ``write``: whether ``to`` is to be written over what was ``seen``."""

    memory: Memory
    seen: Target
    write: bool = False
    to: Target = None
    moved: Moved | None = None


def look(truth: Target | _Unknown, observed: Target, memory: Memory) -> Look:
    """Hold an alias against the truth.

    >>> calm = look(1, 1, Memory()).memory
    >>> found = look(1, 2, calm)
    >>> found.moved, found.write, found.to
    (Moved(published=1, to=2), True, 1)
    >>> look(1, 2, found.memory).moved is None  # the same hand, still to be put back
    True
    >>> look(3, 1, calm).moved is None  # the store moved
    True
    """
    if not memory.met:
        memory = Memory(met=True, published=observed)  # what was there before anybody was asked is nobody's request
    wanted = memory.published if isinstance(truth, _Unknown) else truth
    if observed == wanted:
        return Look(Memory(met=True, published=wanted), observed)
    after = replace(memory, writing=(*(one for one in memory.writing if one != wanted), wanted))
    if observed in memory.heeded:
        return Look(after, observed, write=True, to=wanted)
    if observed == memory.published or observed in memory.writing:
        return Look(replace(after, heeded=()), observed, write=True, to=wanted)
    moved = Moved(memory.published, observed)
    return Look(replace(after, heeded=(observed,)), observed, write=True, to=wanted, moved=moved)


def written(to: Target) -> Memory:
    """What is remembered once a value is known to be written."""
    return Memory(met=True, published=to)
