"""The plan library: commented plans to start from, by name. `standard` is the one that ``seatrial init`` writes."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from seatrial.cli import templates
from seatrial.errors import UsageError

NAMES: Final = ("standard", "fast", "clinical", "regulated", "shadow-only")
"""From what most begin with to what fewest need."""


@dataclass(frozen=True, slots=True)
class Template:
    """A plan of the library: ``about`` is its own description, ``text`` its YAML with comments."""

    name: str
    about: str
    text: str


def template(name: str) -> Template:
    """Raises UsageError (ST0303) for a name that the library does not have."""
    from seatrial.store.plans import parse_plan

    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5)
        hint = f"Did you mean '{near[0]}'? " if near else ""
        raise UsageError(
            "ST0303", f"there is no plan template '{name}'.", remedy=f"{hint}There are: {', '.join(NAMES)}."
        )
    text = _text(name)
    return Template(name, parse_plan(text, source=name).description, text)


def _text(name: str) -> str:
    if name == "standard":
        return templates.files(name="project", api_port=0, gateway_port=0)["plans/standard.yaml"]
    return files("seatrial.cli").joinpath("plans", f"{name}.yaml").read_text(encoding="utf-8")
