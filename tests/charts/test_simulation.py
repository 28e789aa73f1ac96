from typing import Any

import pytest

from seatrial.charts.save import to_svg
from seatrial.charts.simulation import simulation_chart


def scenario(name: str, promoted: float, home: float) -> dict[str, Any]:
    never = {"median": None, "p90": None}
    shares = {"promoted": promoted, "home": home, "held": round(1 - promoted - home, 6)}
    days = {end: {"median": 3.25, "p90": 4.5} if share else never for end, share in shares.items()}
    return {"name": name, "ends": {end: {"share": share} for end, share in shares.items()}, "days": days}


DOCUMENT = {
    "plan": "standard",
    "releases": 1000,
    "scenarios": [scenario("no effect", 0.95, 0.02), scenario("ctr -6%", 0.0, 0.9)],
}


def test_bars_add_up_and_stand_in_the_order_of_the_scenarios(drawn: Any) -> None:
    ((layer, rows),) = drawn(simulation_chart(DOCUMENT), "bar")
    assert layer["encoding"]["y"]["sort"] == ["no effect", "ctr -6%"]
    for name in ("no effect", "ctr -6%"):
        parts = [row for row in rows if row["scenario"] == name]
        assert [row["from"] for row in parts][1:] == [row["to"] for row in parts][:-1]
        assert (parts[0]["from"], parts[-1]["to"]) == (0, pytest.approx(1))


def test_times_stand_beside_and_small_shares_have_no_number(drawn: Any) -> None:
    texts = [row for _, rows in drawn(simulation_chart(DOCUMENT), "text") for row in rows]
    assert "promoted 3.25 (4.5), home 3.25 (4.5)" in [row.get("text") for row in texts]
    assert "home 3.25 (4.5)" in [row.get("text") for row in texts]
    assert "2%" not in [row.get("share") for row in texts]
    assert "95%" in to_svg(simulation_chart(DOCUMENT))


def test_no_scenarios() -> None:
    with pytest.raises(ValueError, match="no picture"):
        simulation_chart({**DOCUMENT, "scenarios": []})
