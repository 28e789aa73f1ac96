"""What a policy says about the run itself: what is run, what is watched, and what becomes of its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from seatrial.values import Duration, Share, to_camel

_CONFIG: dict[str, Any] = {"alias_generator": to_camel, "extra": "forbid"}

Loss = Literal["log_loss", "squared", "absolute"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What trains. ``command``: program and arguments, without a shell; ``{project}`` stands for its directory.

    ``pass_environment``: names of variables that are handed on; of all others only where programs and languages are.
    ``cost_per_hour`` and ``cost`` (of each run) are booked, in whatever money the team counts in. ``trust_pickle``: its
    artifacts may be joblib files, and loading them runs code.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    command: tuple[str, ...]
    launcher: Literal["process", "ray"] = "process"
    timeout: Duration = Duration(3600.0, "1h")
    environment: Mapping[str, str] = field(default_factory=dict)
    pass_environment: tuple[str, ...] = ()
    cost_per_hour: float = 0.0
    cost: float = 0.0
    trust_pickle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a captured feature must be, or the data are at fault: share of missing values, inclusive bounds, values."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    nulls: Share = Share(500)
    min: float | None = None
    max: float | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is measured on the event log every ``every``: the last ``window`` against the champion's first one.

    ``min_rows``: below, nothing is said. ``outcome`` with its ``horizon`` and ``loss`` measure performance.
    ``columns``: what captured features must be; ``checks``: names of data steps of ``ci.yaml``. Where they fail,
    nothing is trained. ``alpha``: the chance of a reading that only noise explains, all features together.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    every: Duration = Duration(3600.0, "1h")
    window: Duration = Duration(86_400.0, "1d")
    min_rows: int = 500
    outcome: str | None = None
    horizon: Duration = Duration(0.0, "0s")
    loss: Loss = "log_loss"
    columns: Mapping[str, Expected] = field(default_factory=dict)
    checks: tuple[str, ...] = ()
    alpha: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What becomes of a trained model. ``plan``: a name in ``plans/``; None: it is registered, and that is all.

    ``start``: false asks a person to start the rollout. ``holdout``: the youngest matured exposures, kept from
    training; on them the challenger is compared with the champion, on at least ``min_rows``. ``unproven``: what happens
    where nobody can say whether it is better.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    plan: str | None = "standard"
    start: bool = True
    holdout: Duration = Duration(7 * 86_400.0, "7d")
    min_rows: int = 500
    unproven: Literal["keep", "start"] = "keep"
