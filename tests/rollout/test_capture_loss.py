"""Loss of captured requests: how much is too much, and when an arm loses more than the other."""

from datetime import UTC, datetime

import pytest

from seatrial.evidence.codec import from_document, to_document
from seatrial.evidence.snapshot import Captured, Evidence
from seatrial.rollout.alarms import CAPTURE_GAP, CAPTURE_SLACK, find_alarms
from seatrial.rollout.start import start
from seatrial.store.plans import parse_plan

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PLAN = parse_plan("""
name: capture
deadline: 10d
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{setWeight: 50%}, {pause: {duration: 2d}}]
""")


def alarms(**captured):
    """``canary``, ``champion``, ``shadow`` of phase 1: (logged, counted) or (logged, counted, lost)."""
    _, state = start(PLAN, "r-1", "m", 1, 2, "salt", NOW, "ann")
    capture = {(1, arm): Captured(*counts) for arm, counts in captured.items()}
    return [alarm.text for alarm in find_alarms(PLAN, state, Evidence(at=NOW, capture=capture))]


@pytest.mark.parametrize(
    ("missing", "counted", "found"),
    [
        (0, 1_000, False),
        (CAPTURE_SLACK, 1_000, False),
        (CAPTURE_SLACK + 1, 1_000, True),
        (round(CAPTURE_GAP * 1_000_000), 1_000_000, False),
        (round(CAPTURE_GAP * 1_000_000) + 1, 1_000_000, True),
    ],
)
def test_a_gap_is_tolerated_up_to_a_thousandth(missing, counted, found):
    both = (counted - missing, counted)
    assert bool(alarms(canary=both, champion=both)) == found
    assert bool(alarms(shadow=both)) == found


def test_more_lines_than_requests_are_as_wrong_as_fewer():
    assert alarms(canary=(1_100, 1_000), champion=(1_000, 1_000))


def test_without_envoys_word_nothing_is_claimed():
    assert alarms(canary=(10, None), champion=(1_000, 1_000)) == []


def test_what_ended_with_an_envoy_is_known_and_not_held_against_anyone():
    assert alarms(canary=(900, 1_000, 100), champion=(900, 1_000, 100)) == []
    assert "has 900" in alarms(canary=(900, 1_000, 90), champion=(900, 1_000, 100))[0], "ten more are missing"


def test_an_arm_that_loses_more_than_the_other_is_found_within_the_tolerance():
    assert alarms(canary=(99_930, 100_000), champion=(99_930, 100_000)) == [], "equal"
    (text,) = alarms(canary=(99_930, 100_000), champion=(99_999, 100_000))
    assert "lacks 70 of 100,000 canary requests and 1 of 100,000 champion requests" in text
    assert alarms(canary=(900, 1_000, 100), champion=(9_000, 9_000)), "though it ended with an Envoy"


def test_a_little_more_of_a_little_is_chance():
    assert alarms(canary=(998, 1_000), champion=(8_995, 9_000)) == []


def test_what_is_lost_is_in_the_document_only_where_something_is():
    evidence = Evidence(at=NOW, capture={(1, "canary"): Captured(9, 10, 1), (1, "champion"): Captured(10, 10)})
    document = to_document(evidence)
    assert document["capture"] == [[1, "canary", 9, 10, 1], [1, "champion", 10, 10]]
    assert from_document(document).capture == evidence.capture
