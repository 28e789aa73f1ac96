"""Units in an evidence document: what was counted comes back, and what was never counted takes no room."""

import json
from datetime import UTC, datetime

from seatrial.evidence.codec import from_document, to_document
from seatrial.evidence.facts import MutableFacts, Seen, UnitRow
from seatrial.evidence.snapshot import Evidence

T0 = datetime(2026, 3, 1, tzinfo=UTC)


def evidence(*events: str) -> Evidence:
    facts = MutableFacts()
    for n, arm in enumerate(("champion", "canary", "canary")):
        facts.absorb([UnitRow(f"u{n}", Seen(n, f"r{n}", 2, arm), frozenset(events))])
    return Evidence(at=T0, units=facts.counts(live={2}, mirrored=()))


def test_units_that_met_an_event_come_back() -> None:
    document = json.loads(json.dumps(to_document(evidence("errors"))))
    assert document["units"]["met"] == {"errors": [[2, "canary", 2], [2, "champion", 1]]}
    assert from_document(document).units == evidence("errors").units


def test_without_rare_events_there_is_nothing_to_write() -> None:
    document = to_document(evidence())
    assert "met" not in document["units"]
    assert from_document(document).units.met == {}
