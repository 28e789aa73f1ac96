"""What was published of a model, as it is kept in the store between two looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from seatrial.control.mlflow.alias import Memory
from seatrial.control.mlflow.truth import REQUEST, Tags


@dataclass(frozen=True, slots=True)
class View:
    """``aliases``: what is remembered of each. ``tags``: as they were written last. ``heeded``: versions whose tag has
    asked for a rollout that is on record, and which still asks.
    """

    aliases: Mapping[str, Memory] = field(default_factory=dict)
    tags: Tags = field(default_factory=dict)
    heeded: frozenset[int] = frozenset()

    def remembering(self, alias: str, memory: Memory) -> View:
        return replace(self, aliases={**self.aliases, alias: memory})

    def tagged(self, number: int, key: str, value: str) -> View:
        """A tag is written; one that took the place of a request asks no more."""
        mine = {**self.tags.get(number, {}), key: value}
        heeded = self.heeded - {number} if key == REQUEST else self.heeded
        return replace(self, tags={**self.tags, number: mine}, heeded=heeded)

    def asked(self, number: int) -> View:
        """A tag asks for a rollout, and that is on record: its answer has to be written over it."""
        mine = {key: value for key, value in self.tags.get(number, {}).items() if key != REQUEST}
        return replace(self, tags={**self.tags, number: mine}, heeded=self.heeded | {number})

    def behind(self, wanted: Tags) -> Iterator[tuple[int, str, str]]:
        """Tags that are not written yet: version, key and value."""
        for number, tags in sorted(wanted.items()):
            mine = self.tags.get(number, {})
            yield from ((number, key, value) for key, value in tags.items() if mine.get(key) != value)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "aliases": {alias: asdict(memory) for alias, memory in self.aliases.items()},
            "tags": {str(number): dict(tags) for number, tags in self.tags.items()},
            "heeded": sorted(self.heeded),
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> View:
        return cls(
            {alias: _memory(memory) for alias, memory in document.get("aliases", {}).items()},
            {int(number): tags for number, tags in document.get("tags", {}).items()},
            frozenset(document.get("heeded", ())),
        )


def _memory(document: Mapping[str, Any]) -> Memory:
    return Memory(document["met"], document["published"], tuple(document["writing"]), tuple(document["heeded"]))
