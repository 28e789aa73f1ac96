"""An alert: something that people want to hear of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """``key`` is the same whenever the same thing is told again. ``object`` is what it is about (``r-0003``, ``fraud``,
    ``gateway``), ``text`` one sentence for people, ``detail`` the same for programs (anything JSON holds).
    """

    key: str
    kind: str
    severity: Severity
    object: str
    text: str
    at: datetime
    model: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
