"""What the gateway should do now, as plain values. Everything Envoy is told is computed from a ``RouteTable``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, Literal

from seatrial.errors import NotFound, UsageError
from seatrial.gateway.assignment import POINTS
from seatrial.ids import HOLDOUT

MEBIBYTE: Final = 1024 * 1024
MAX_BODY_BYTES: Final = 4 * MEBIBYTE
OFF: Final = "off"
UNAVAILABLE: Final = "unavailable"
PRIMARY: Final = "primary"
AGAIN: Final = "again"

RULES, REVIEW, BANNER = "rules", "review", "banner"
STAND_INS: Final = (RULES, REVIEW, BANNER)
"""Levels that answer without any version of the model."""

ORDER: Final[Mapping[str, int]] = {PRIMARY: 0, "champion": 0, "previous": 1, RULES: 2, REVIEW: 3, BANNER: 3}
"""How far down a level is: a chain only goes down."""

Lowered = Literal["killed", "unavailable"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_SALT: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")  # goes into a regex substitution: no backslash, no colon
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,64}")  # headers with underscores are dropped at the door
_LABEL: Final = re.compile(r"[A-Za-z0-9._+-]{1,128}")
_HOST: Final = re.compile(r"[A-Za-z0-9.:_-]{1,253}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model host listens: an address or a DNS name, and a port."""

    host: str
    port: int

    def __post_init__(self) -> None:
        _require(bool(_HOST.fullmatch(self.host)), f"{self.host!r} is not the name or address of a host.")
        _require(0 < self.port < 65_536, f"{self.host}: {self.port} is not a port.")


@dataclass(frozen=True, slots=True)
class Backend:
    """A served version and the level it has in the log: ``primary``, ``champion``, ``previous``, ``shadow`` ..."""

    version: str
    endpoint: Endpoint
    level: str = PRIMARY

    def __post_init__(self) -> None:
        _require(bool(_LABEL.fullmatch(self.version)), f"{self.version!r} is not the name of a version.")
        _require(bool(_LABEL.fullmatch(self.level)), f"{self.level!r} is not the name of a level.")


@dataclass(frozen=True, slots=True)
class Standing:
    """A shadow beside any rollout: it gets copies of what the champion answers at the last ``points`` points."""

    backend: Backend
    points: int

    def __post_init__(self) -> None:
        _require(self.backend.level == "shadow", f"the level of a shadow is 'shadow', not {self.backend.level!r}.")
        _require(0 < self.points <= POINTS, f"a shadow has 1 to {POINTS} points, not {self.points}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRoute:
    """The traffic of one model.

    Of 10,000 points the canary has the first ``canary_weight``, the next ``mirrored`` stay on the champion and are
    copied to the shadow, the rest is the champion alone. Requests whose ``segment_header`` holds a value of
    ``mirrored_by`` have so many mirrored points instead (``assignment.mirrored_for``). What the champion answers at
    the last points is also copied to the ``standing`` shadows (``assignment.copied_to``). A client waits
    ``timeout_s`` at most; one version gets ``try_timeout_s`` before the next one in the chain is asked. ``rollout``
    and ``phase`` are stamped on every logged request. ``fallbacks`` are asked in their order when the champion
    gives no answer. ``lowered``: why a chain begins below the champion. ``killed="off"`` answers 503 without asking
    anybody. Units in ``withdrawn`` are the champion's and in no arm. The last ``held`` points are answered by the
    ``holdout``, in an arm of its own.
    """

    model: str
    salt: str
    unit_header: str
    champion: Backend
    canary: Backend | None = None
    shadow: Backend | None = None
    canary_weight: int = 0
    mirrored: int = 0
    mirrored_by: tuple[tuple[str, int], ...] = ()
    segment_header: str | None = None
    standing: tuple[Standing, ...] = ()
    rollout: str | None = None
    phase: int | None = None
    timeout_s: float = 2.0
    try_timeout_s: float = 0.5
    fallbacks: tuple[Backend, ...] = ()
    lowered: Lowered | None = None
    killed: str | None = None
    withdrawn: tuple[str, ...] = ()
    holdout: Backend | None = None
    held: int = 0
    max_body_bytes: int = MAX_BODY_BYTES

    def __post_init__(self) -> None:
        self._check_names()
        self._check_split()
        self._check_limits()

    def chain(self, arm: str) -> list[Backend]:
        """Who is asked, in order. On the canary's chain the champion is a fallback and says so."""
        own = {"canary": self.canary, HOLDOUT: self.holdout}.get(arm)
        if own is None or own == self.champion:
            return [self.champion, *self.fallbacks]
        level = "champion" if self.champion.level == PRIMARY else self.champion.level
        below = [one for one in self.fallbacks if one.version != own.version]
        return [own, replace(self.champion, level=level), *below]

    def _check_names(self) -> None:
        _require(bool(_NAME.fullmatch(self.model)), f"{self.model!r} is not the name of a model.")
        _require(
            bool(_SALT.fullmatch(self.salt)), f"{self._of()} {self.salt!r} is not a salt (letters, digits, . _ -)."
        )
        _require(bool(_HEADER.fullmatch(self.unit_header)), f"{self._of()} {self.unit_header!r} is not a header.")
        reserved = self.unit_header.lower().startswith(("x-seatrial-", "x-envoy-"))
        _require(not reserved, f"{self._of()} header {self.unit_header!r} is removed from every request.")
        if self.segment_header is not None:
            _require(
                bool(_HEADER.fullmatch(self.segment_header)), f"{self._of()} {self.segment_header!r} is no header."
            )
        stamped = self.rollout is None or bool(_LABEL.fullmatch(self.rollout))
        _require(stamped, f"{self._of()} {self.rollout!r} is not the id of a rollout.")
        both = (self.rollout is None) == (self.phase is None)
        _require(both, f"{self._of()} rollout and phase go together.")

    def _check_split(self) -> None:
        _require(0 <= self.held < POINTS, f"{self._of()} a holdout of {self.held} points leaves nobody.")
        _require(not self.held or self.holdout is not None, f"{self._of()} points are held for no version.")
        free = POINTS - self.held
        fits = self.canary_weight >= 0 and self.mirrored >= 0 and self.canary_weight + self.mirrored <= free
        _require(fits, f"{self._of()} canary {self.canary_weight} and mirrored {self.mirrored} exceed {POINTS} points.")
        _require(not self.canary_weight or self.canary is not None, f"{self._of()} canary weight without a canary.")
        _require(not self.mirrored_by or self.segment_header is not None, f"{self._of()} shares of an unnamed segment.")
        most = max((points for _, points in self.mirrored_by), default=0)
        least = min((points for _, points in self.mirrored_by), default=1)
        fits = least > 0 and (not self.mirrored_by or self.mirrored > 0) and self.canary_weight + most <= free
        _require(fits, f"{self._of()} every segment mirrors some points, up to {POINTS} with the canary.")
        _require(not self.mirrored or self.shadow is not None, f"{self._of()} mirrored traffic without a shadow.")

    def _check_limits(self) -> None:
        fits = 0 < self.try_timeout_s <= self.timeout_s
        _require(fits, f"{self._of()} one try ({self.try_timeout_s} s) must fit into the timeout ({self.timeout_s} s).")
        _require(0 < self.max_body_bytes <= 64 * MEBIBYTE, f"{self._of()} the body limit is 1 byte to 64 MiB.")
        _require(self.killed in (None, OFF), f"{self._of()} killed is {self.killed!r}, not 'off'.")

        shadow = () if self.shadow is None else (("shadow", self.shadow.level),)
        for role, level in (*shadow, *(("fallback", one.level) for one in self.fallbacks)):
            told_apart = level not in (PRIMARY, AGAIN)  # or a fallback's answer would count as the champion's own
            _require(told_apart, f"{self._of()} the {role} has level {level!r}; say 'shadow', 'previous' or 'rules'.")
        depths = [ORDER.get(one.level, 0) for one in (self.champion, *self.fallbacks)]
        goes_down = all(above < below for above, below in pairwise(depths))
        _require(goes_down, f"{self._of()} a chain goes down: previous, rules, then review or banner.")

    def _of(self) -> str:
        return f"model {self.model!r}:"


@dataclass(frozen=True, slots=True)
class RouteTable:
    """All models at one generation.

    ``replay``: event time comes from the request header ``x-event-time``. ``unavailable``: models that are known and
    that nobody can answer for now; they answer 503 and say so.
    """

    generation: int
    models: tuple[ModelRoute, ...] = ()
    replay: bool = False
    unavailable: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require(self.generation >= 0, f"generation {self.generation} is negative.")
        for name in self.unavailable:
            _require(bool(_NAME.fullmatch(name)), f"{name!r} is not the name of a model.")
        names = [*(route.model for route in self.models), *self.unavailable]
        twice = sorted({name for name in names if names.count(name) > 1})
        _require(not twice, f"the route table has a model twice: {', '.join(twice)}.")

    def model(self, name: str) -> ModelRoute:
        """The route of a model, or ``NotFound``."""
        for route in self.models:
            if route.model == name:
                return route
        known = ", ".join(route.model for route in self.models) or "none"
        raise NotFound("ST0702", f"the gateway has no model {name!r}.", remedy=f"It knows: {known}.")

    def to_json(self) -> str:
        """The table as JSON text; ``from_json`` gives an equal table back."""
        models = [_as_dict(route) for route in self.models]
        table = {
            "generation": self.generation,
            "models": models,
            "replay": self.replay,
            "unavailable": list(self.unavailable),
        }
        return json.dumps(table, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RouteTable:
        """Read ``to_json``. Unknown or missing fields are an error, never a guess."""
        try:
            data = json.loads(text)
            models = tuple(_model_route(item) for item in data.pop("models"))
            unavailable = tuple(data.pop("unavailable", ()))
            return cls(models=models, unavailable=unavailable, **_known(cls, data))
        except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise UsageError("ST0701", f"this is not a route table: {error}.") from error


_as_dict = lru_cache(4096)(asdict)  # a table of many models is written whenever one of them changes


def _model_route(data: dict[str, Any]) -> ModelRoute:
    roles = ("champion", "canary", "shadow", "holdout")
    backends = {role: _backend(data[role]) for role in roles if data.get(role) is not None}
    several = {
        "withdrawn": tuple(data.get("withdrawn", ())),
        "fallbacks": tuple(_backend(item) for item in data.get("fallbacks", ())),
    }
    standing = tuple(Standing(_backend(one["backend"]), one["points"]) for one in data.get("standing", ()))
    shares = tuple((str(value), int(points)) for value, points in data.get("mirrored_by", ()))
    return ModelRoute(
        **{**_known(ModelRoute, data), **backends, **several, "mirrored_by": shares, "standing": standing}
    )


def _backend(data: dict[str, Any]) -> Backend:
    endpoint = Endpoint(**_known(Endpoint, data["endpoint"]))
    return Backend(**{**_known(Backend, data), "endpoint": endpoint})


def _known(cls: type, data: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(data) - {field.name for field in fields(cls)})
    _require(not unknown, f"{cls.__name__} has no field {', '.join(unknown)}.")
    return dict(data)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UsageError("ST0700", message)
