"""Plans that cannot be honoured are refused with a code and a remedy; every refusal has its healthy twin."""

from __future__ import annotations

import pytest

from seatrial.errors import PlanError
from seatrial.rollout.validate import problems
from seatrial.store.plans import check_plan, parse_plan

HEALTHY = """
name: p
timeBucket: 1h
lookEvery: 10s
deadline: 10d
metrics:
  - {name: loss, kind: loss, loss: log_loss, outcome: y, margin: 5%, horizon: 24h}
  - {name: errors, kind: error_rate, margin: 1pp}
steps:
  - shadow: {share: 100%}
  - pause: {duration: 2d}
  - setWeight: 10%
  - pause: {duration: 2d}
  - setWeight: 50%
  - pause: {duration: 2d}
"""


def test_the_healthy_plan_is_accepted() -> None:
    assert problems(parse_plan(HEALTHY)) == []


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("  - shadow: {share: 100%}\n", "", "ST0202"),
        ("setWeight: 50%", "setWeight: 5%", "ST0206"),
        ("setWeight: 10%", "setWeight: 100%", "ST0207"),
        ("  - setWeight: 50%\n  - pause: {duration: 2d}\n", "  - shadow: {share: 5%}\n", "ST0204"),
        ("share: 100%", "share: 0%", "ST0205"),
        ("margin: 1pp}", "margin: 1pp}\n  - {name: errors, kind: error_rate, margin: 1pp}", "ST0210"),
        ("margin: 5%, ", "", "ST0212"),
        ("outcome: y, ", "", "ST0213"),
        ("kind: loss, loss: log_loss, outcome: y,", "kind: ratio, numerator: y,", "ST0214"),
        ("kind: error_rate", "kind: latency", "ST0215"),
        (", horizon: 24h", "", "ST0216"),
        ("margin: 1pp}", "margin: 1pp, threshold: 1s}", "ST0217"),
        ("margin: 1pp}", "margin: 1pp, cap: 5}", "ST0217"),
        ("kind: loss, loss: log_loss,", "kind: mean, cap: 0,", "ST0222"),
        ("kind: loss, loss: log_loss,", "kind: mean, cap: .inf,", "ST0222"),
        ("margin: 1pp}", "margin: 1pp, failOn: inferior}", "ST0218"),
        ("margin: 1pp}", "margin: 1pp, limit: 5/h}", "ST0220"),
        ("margin: 5%,", "margin: 5%, historicEffect: 8%,", "ST0251"),
        ("margin: 5%,", "margin: 5%, historicEffect: 8pp,", "ST0256"),
        ("deadline: 10d", "deadline: 5d", "ST0230"),
        ("lookEvery: 10s", "lookEvery: 7s", "ST0231"),
        ("timeBucket: 1h", "timeBucket: 2h", "ST0232"),
        ("horizon: 24h", "horizon: 3d", "ST0203"),
        ("setWeight: 10%\n", "setWeight: 10%\n  - analysis: {minPairs: 5}\n", "ST0209"),
        ("setWeight: 50%\n", "setWeight: 50%\n  - analysis: {tolerance: 2x}\n", "ST0209"),
    ],
)
def test_what_cannot_be_honoured_is_refused(old: str, new: str, code: str) -> None:
    assert old in HEALTHY
    plan = parse_plan(HEALTHY.replace(old, new))
    assert code in [problem.code for problem in problems(plan)]
    with pytest.raises(PlanError, match=code):
        check_plan(plan)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("margin: 5%", "margin: -0.01", "with its unit"),
        ("margin: 5%", "margin: -1%", "without a sign"),
        ("margin: 5%", "margn: 5%", "did you mean 'margin'"),
        ("setWeight: 10%", "setWieght: 10%", "did you mean 'setWeight'"),
        ("share: 100%", "share: 101%", "0% to 100%"),
        ("duration: 2d", "duration: two days", "a duration such as"),
        ("kind: error_rate", "kind: errorrate", "error_rate"),
    ],
)
def test_what_cannot_be_read_names_the_field_and_the_remedy(old: str, new: str, told: str) -> None:
    with pytest.raises(PlanError, match="ST02") as caught:
        parse_plan(HEALTHY.replace(old, new, 1))
    assert told in str(caught.value)


def test_a_tolerance_in_shadow_is_read() -> None:
    assert problems(parse_plan(HEALTHY.replace("pause: {duration: 2d}", "analysis: {tolerance: 1x}", 1))) == []
