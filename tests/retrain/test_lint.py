"""A policy that is not meant so is told: each warning by the change that brings it about."""

from dataclasses import replace

import pytest

from seatrial.cli.trigger import NAMES, template
from seatrial.control.analyses.triggers import parse_policy
from seatrial.retrain.lint import lint
from seatrial.retrain.policy import Critical, Policy, Training, Trigger
from seatrial.retrain.running import Release
from seatrial.values import Duration

DAY = Duration.parse("1d")


def told(policy: Policy) -> str:
    return "\n".join(f"{f.level}: {f.text}" for f in lint(policy))


@pytest.mark.parametrize("name", NAMES)
def test_templates_are_fine_and_miss_their_primary_trigger(name: str) -> None:
    policy = parse_policy(template(name), name)
    assert lint(policy) == ()
    without = replace(policy, triggers=tuple(t for t in policy.triggers if t.name != policy.primary))
    assert f"warning: the primary trigger '{policy.primary}' is not among the triggers" in told(without)


BASE = parse_policy(template("demand-forecast"), "base")


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (replace(BASE, triggers=BASE.triggers[:1]), "warning: nothing guards the primary trigger"),
        (replace(BASE, triggers=BASE.triggers[1:]), "warning: no schedule"),
        (replace(BASE, triggers=(BASE.triggers[0], BASE.triggers[3])), "warning: neither drift nor performance"),
        (replace(BASE, interval=Duration.parse("25h")), "warning: 'nightly' is due every 24 h, within the interval"),
        (replace(BASE, critical=Critical(psi=0.25)), "where drift is critical already"),
        (replace(BASE, training=Training(window=DAY, season=Duration.parse("7d"))), "shorter than one season, 7d"),
        (replace(BASE, triggers=(*BASE.triggers, Trigger(name="e", performance=0.1))), "set minMature"),
        (replace(BASE, triggers=(*BASE.triggers, BASE.triggers[0])), "error: two triggers are called 'nightly'"),
        (replace(BASE, triggers=(Trigger(name="x"),)), "error: trigger 'x' has none"),
        (replace(BASE, triggers=(Trigger(name="x", drift=0.1, volume=3),)), "error: trigger 'x' has drift, volume"),
        (replace(BASE, triggers=(Trigger(name="x", schedule="0 0 31 2 *"),)), "never comes"),
        (replace(BASE, triggers=(Trigger(name="x", drift=0.0),)), "error: trigger 'x': drift is a threshold above 0"),
        (replace(BASE, triggers=(Trigger(name="x", volume=5, min_mature=3),)), "minMature belongs to performance"),
        (replace(BASE, triggers=(Trigger(name="x", volume=5, features=("a",)),)), "features belong to drift"),
        (replace(BASE, release=Release(plan="../secret")), "error: release: '../secret' is not the name of a plan"),
        (replace(BASE, interval=Duration(0.0)), "error: an interval is longer than nothing"),
    ],
)  # fmt: skip
def test_each_finding(policy: Policy, said: str) -> None:
    assert said in told(policy)
    assert said not in told(BASE)


def test_a_schedule_at_exactly_the_interval_is_not_put_off() -> None:
    assert "put off" not in told(replace(BASE, interval=DAY))
