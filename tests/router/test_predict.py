"""Answers: who is asked, what counts as no answer, and what the log says of it."""

from __future__ import annotations

import asyncio
import math
import threading

import numpy as np
import pytest

from routerparts import backend, of_arm
from seatrial.errors import Unavailable, UsageError
from seatrial.gateway.routes import Standing
from seatrial.gateway.settings import Settings
from seatrial.router import attempts
from seatrial.router.entry import BODY_BYTES
from seatrial.router.shadows import AT_ONCE, WAITING

ROW = {"amount": 12.5}


def failing(features):
    raise ValueError("account 17 is broken")


HANDLERS = {1: lambda row: 0.1, 2: lambda row: 0.2, "previous": lambda row: 0.0}


def logged(directory, router):
    assert router.flush(20)
    return directory.lines()


def test_each_arm_is_answered_by_its_version_and_logged(directory, router):
    for arm, value, version in (("canary", 0.2, "2"), ("champion", 0.1, "1")):
        unit = of_arm(router, arm)
        found = router.predict(unit, ROW, handlers=HANDLERS)
        assert (found.value, found.version, found.arm, found.level) == (value, version, arm, "primary")
        line = next(line for line in logged(directory, router) if line["id"] == found.id)
        assert line["unit"] == unit
        assert (line["arm"], line["version"], line["level"], line["code"]) == (arm, version, "primary", 200)
        assert (line["rollout"], line["phase"], line["attempts"]) == ("r-1", "3", 1)
        assert (line["req"], line["resp"]) == (
            '{"dataframe_records":[{"amount":12.5}]}',
            f'{{"predictions":[{value}]}}',
        )


INVALID = [None, math.nan, math.inf, [], [0.1, math.nan], {"score": math.nan}, np.float64("nan")]


@pytest.mark.parametrize("handler", [failing, *[lambda row, answer=answer: answer for answer in INVALID]])
def test_the_champion_answers_for_a_canary_that_gives_no_valid_answer(directory, router, handler):
    found = router.predict(of_arm(router, "canary"), ROW, handlers={**HANDLERS, 2: handler})
    assert (found.value, found.version, found.arm, found.level) == (0.1, "1", "canary", "champion")
    (line,) = logged(directory, router)
    assert (line["arm"], line["version"], line["level"], line["attempts"]) == ("canary", "1", "champion", 2)
    assert line["lower"] == "error"


@pytest.mark.parametrize(
    "answer", [0.5, "fraud", True, [0.1, 0.9], {"score": 0.5}, np.float64(0.5), np.array([0.1, 0.9])]
)
def test_what_is_an_answer_is_passed_on(router, answer):
    found = router.predict(of_arm(router, "canary"), ROW, handlers={**HANDLERS, 2: lambda row: answer})
    assert found.version == "2"
    assert np.array_equal(found.value, answer) if isinstance(answer, np.ndarray) else found.value == answer


def test_a_batch_has_an_answer_for_each_row_or_none_at_all(directory, router):
    unit, rows = of_arm(router, "canary"), [{"amount": 1}, {"amount": 2}]
    assert router.predict(unit, rows, handlers={**HANDLERS, 2: lambda rows: [0.3, 0.4]}).value == [0.3, 0.4]
    for short in ([0.3], 0.3, "ab"):
        found = router.predict(unit, rows, handlers={2: lambda rows, short=short: short, 1: lambda rows: [0.5, 0.6]})
        assert (found.version, found.value) == ("1", [0.5, 0.6])


def test_further_down_the_chain_is_the_standby(directory, router):
    found = router.predict(of_arm(router, "canary"), ROW, handlers={1: failing, 2: failing, "previous": HANDLERS[1]})
    assert (found.version, found.level) == ("0", "previous")
    found = router.predict(of_arm(router, "champion"), ROW, handlers={**HANDLERS, 1: failing})
    assert (found.version, found.arm, found.level) == ("0", "champion", "previous")


def test_where_nobody_answers_it_says_so_and_logs_it_without_the_errors_own_words(directory, router):
    with pytest.raises(Unavailable, match="ST0795 no version of model 'fraud' gave a valid answer in time; the last"):
        router.predict(of_arm(router, "canary"), ROW, handlers={1: failing, 2: failing})
    (line,) = logged(directory, router)
    assert (line["code"], line["version"], line["level"], line["attempts"]) == (500, "1", "champion", 2)
    assert line["resp"] == '{"error":"the handler failed: ValueError"}'


def test_a_version_that_the_service_does_not_have_is_that_versions_error(directory, router):
    found = router.predict(of_arm(router, "canary"), ROW, handlers={1: HANDLERS[1]})
    assert (found.version, found.level) == ("1", "champion")
    with pytest.raises(Unavailable, match="there is no handler for version 1"):
        router.predict(of_arm(router, "champion"), ROW, handlers={2: HANDLERS[2]})


def test_rules_are_known_by_their_level(directory):
    directory.put(fallbacks=(backend("rules-4", "rules"),))
    router = directory.router()
    found = router.predict(
        of_arm(router, "champion"), ROW, handlers={1: failing, "rules-4": failing, "rules": lambda row: 0.5}
    )
    assert (found.version, found.level, found.value) == ("rules-4", "rules", 0.5)


def test_an_answer_that_is_late_is_none_and_the_deadline_is_shared(directory, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(attempts, "monotonic", lambda: clock[0])

    def takes(seconds):
        def handler(row):
            clock[0] += seconds
            return seconds

        return handler

    directory.put(try_timeout_s=0.5, timeout_s=1.2)
    router = directory.router()
    canary = of_arm(router, "canary")
    assert router.predict(canary, ROW, handlers={1: takes(0.1), 2: takes(0.5)}).version == "2", "just in time"
    assert router.predict(canary, ROW, handlers={1: takes(0.5), 2: takes(0.6)}).version == "1"
    found = router.predict(canary, ROW, handlers={1: takes(0.51), 2: takes(0.51), "previous": takes(0.1)})
    assert found.version == "0", "0.18 s are left"
    with pytest.raises(Unavailable, match=r"the answer came after 0\.2 s, not within 0\.18 s"):
        router.predict(canary, ROW, handlers={1: takes(0.51), 2: takes(0.51), "previous": takes(0.2)})
    with pytest.raises(Unavailable, match=r"not within 0\.5 s"):
        router.predict(canary, ROW, handlers={1: takes(0.1), 2: takes(1.2)})
    assert [(line["code"], line["attempts"]) for line in logged(directory, router)] == [
        (200, 1),
        (200, 2),
        (200, 3),
        (504, 3),
        (504, 1),
    ]
    assert [line.get("lower") for line in directory.lines()] == [None, "timeout", "timeout", "timeout", None]


def test_a_handler_that_hangs_is_left_where_that_is_asked_for(directory):
    directory.put(try_timeout_s=1.0, timeout_s=60.0)
    router = directory.router(abandon=True)
    go_on = threading.Event()
    try:
        found = router.predict(of_arm(router, "canary"), ROW, handlers={**HANDLERS, 2: lambda row: go_on.wait(60)})
        assert (found.version, found.level) == ("1", "champion")
    finally:
        go_on.set()


def test_coroutines_are_awaited_and_cancelled_when_their_time_is_over(directory):
    directory.put(try_timeout_s=1.0, timeout_s=60.0)
    router = directory.router()
    cancelled = []

    async def quick(row):
        await asyncio.sleep(0)
        return 0.2

    async def hang(row):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(row)
            raise

    async def both():
        unit = of_arm(router, "canary")
        return [await router.predict_async(unit, ROW, handlers={**HANDLERS, 2: one}) for one in (quick, hang)]

    found = asyncio.run(both())
    assert [(one.version, one.level) for one in found] == [("2", "primary"), ("1", "champion")]
    assert cancelled == [ROW]
    assert router.predict(of_arm(router, "canary"), ROW, handlers={2: quick}).version == "2", "of either kind"


def test_a_model_that_is_switched_off_answers_nobody_and_says_so(directory, now):
    directory.kill("off", now)
    router = directory.router()
    with pytest.raises(Unavailable, match=r"ST0794 model 'fraud' is switched off\. `seatrial revive fraud`"):
        router.predict("alice", ROW, handlers=HANDLERS)
    (line,) = logged(directory, router)
    assert (line["arm"], line["code"], line["level"]) == ("none", 503, "off")
    assert "rollout" not in line


@pytest.mark.parametrize("features", [17, "text", [1, 2], None, [[0.1]]])
def test_features_without_names_are_refused(router, features):
    with pytest.raises(UsageError, match="ST0793 model 'fraud': features are"):
        router.predict("alice", features, handlers=HANDLERS)


def test_features_that_hold_themselves_are_refused(router):
    row = {}
    row["self"] = row
    with pytest.raises(UsageError, match="ST0793"):
        router.predict("alice", row, handlers=HANDLERS)


def test_of_a_long_body_only_the_length_is_kept_as_behind_envoy(directory, router):
    assert Settings.__dataclass_fields__["capture_bytes"].default == BODY_BYTES
    router.predict("alice", {"text": "ä" * BODY_BYTES}, handlers=HANDLERS)
    (line,) = logged(directory, router)
    assert "req" not in line
    assert int(line["req_cut"]) == len('{"dataframe_records":[{"text":""}]}') + 2 * BODY_BYTES
    assert line["resp"] == '{"predictions":[0.1]}' or line["arm"] == "canary"


class TestCopies:
    def test_the_shadow_is_asked_in_the_background_and_logged_under_the_same_id(self, directory, router):
        asked, unit = [], of_arm(router, "champion", copied=True)
        found = router.predict(unit, ROW, handlers={**HANDLERS, 2: lambda row: asked.append(dict(row)) or 0.7})
        assert (found.value, found.version) == (0.1, "1")
        live, copy = sorted(logged(directory, router), key=lambda line: line["arm"])
        assert asked == [ROW]
        assert (live["arm"], copy["arm"], copy["id"], copy["unit"]) == ("champion", "shadow", live["id"], unit)
        assert (copy["version"], copy["level"], copy["code"]) == ("2", "shadow", 200)
        assert (copy["rollout"], copy["phase"], copy["sampled"]) == ("r-1", "3", "2000")
        assert copy["resp"] == '{"predictions":[0.7]}'
        assert "req" not in copy

    def test_whoever_is_not_sampled_is_not_copied(self, directory, router):
        router.predict(of_arm(router, "champion"), ROW, handlers=HANDLERS)
        assert [line["arm"] for line in logged(directory, router)] == ["champion"]

    def test_a_standing_shadow_sees_the_last_points_and_belongs_to_no_rollout(self, directory):
        directory.put(standing=(Standing(backend("5", "shadow"), 7000),))
        router = directory.router()
        units = [f"u{n}" for n in range(50)]
        expected = {u for u in units if (found := router.decide(u)).arm == "champion" and found.point >= 3000}
        for unit in units:
            router.predict(unit, ROW, handlers={**HANDLERS, 5: lambda row: 0.5})
        assert router.flush(20)
        assert expected
        copies = [line for line in directory.lines() if line["arm"] == "shadow" and line["version"] == "5"]
        assert {line["unit"] for line in copies} == expected
        assert all("rollout" not in line and line["sampled"] == "7000" for line in copies)

    @pytest.mark.parametrize("handlers", [{2: failing}, {2: lambda row: math.nan}, {}])
    def test_a_shadow_that_fails_touches_nobody(self, directory, router, handlers):
        found = router.predict(of_arm(router, "champion", copied=True), ROW, handlers={1: HANDLERS[1], **handlers})
        assert found.value == 0.1
        codes = {line["arm"]: line["code"] for line in logged(directory, router)}
        assert codes["champion"] == 200
        assert codes["shadow"] >= 500

    def test_what_is_beyond_the_bound_is_shed_and_the_log_says_so(self, directory):
        directory.put(try_timeout_s=60.0, timeout_s=60.0)
        router, go_on, sent = directory.router(), threading.Event(), 200
        unit, handlers = (
            of_arm(router, "champion", copied=True),
            {1: HANDLERS[1], 2: lambda row: go_on.wait(60) and 0.7},
        )
        try:
            assert {router.predict(unit, ROW, handlers=handlers).value for _ in range(sent)} == {0.1}
        finally:
            go_on.set()
        copies = [line for line in logged(directory, router) if line["arm"] == "shadow"]
        shed = [line for line in copies if line.get("flags") == "UO"]
        assert (len(copies), len(shed)) == (sent, sent - AT_ONCE - WAITING)
        assert {line["code"] for line in shed} == {503}

    def test_a_shadow_that_hangs_is_given_up(self, directory):
        directory.put(try_timeout_s=1.0, timeout_s=60.0)
        router, go_on = directory.router(), threading.Event()
        try:
            unit = of_arm(router, "champion", copied=True)
            router.predict(unit, ROW, handlers={1: HANDLERS[1], 2: lambda row: go_on.wait(60)})
            lines = logged(directory, router)
        finally:
            go_on.set()
        assert {line["arm"]: (line["code"], line.get("flags")) for line in lines} == {
            "champion": (200, None),
            "shadow": (504, "UT"),
        }

    def test_in_an_event_loop_a_copy_is_a_task(self, directory, router):
        async def shadow(row):
            await asyncio.sleep(0)
            return 0.7

        async def one():
            unit = of_arm(router, "champion", copied=True)
            found = await router.predict_async(unit, ROW, handlers={**HANDLERS, 2: shadow})
            while router._shadows.busy:
                await asyncio.sleep(0.001)
            return found

        assert asyncio.run(one()).value == 0.1
        assert {line["arm"]: line["code"] for line in logged(directory, router)} == {"champion": 200, "shadow": 200}
