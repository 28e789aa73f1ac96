"""Comparisons of inputs as people read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["id,side,balance,country,read_at", *rows]) + "\n")
    return path


def test_what_people_are_told(tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    champion = [f"q{n},v3,{n}.5,DE,2026-03-01T12:00:00Z" for n in range(400)]
    shadow = [f"q{n},v4,{n + 8 * (n % 10 == 0)}.5,DE,2026-03-01T11:5{9 - n % 2}:30Z" for n in range(401)]
    log = write(tmp_path / "both.csv", *champion, *shadow, shadow[0])
    sides = ("--arm", "side", "--champion", "v3", "--shadow", "v4")
    said = run("analyze", "inputs", "--log", log, *sides, "--as-of", "balance=read_at")
    assert said.code == 3
    first, *_, last = said.out.strip().splitlines()
    assert first == ("400 pairs with features as used on both sides · 1 unmatched shadow records · 1 duplicate records")
    assert last == "✖ diverges: balance in more than 1.00% of the pairs (proven)"
    (balance,) = [line.split() for line in said.out.splitlines() if line.startswith("balance")]
    assert balance[:3] == ["balance", "400", "240"]
    assert "90 s" in said.out
    fine = run("analyze", "inputs", "--log", log, *sides, "--feature", "country")
    assert (fine.code, "✔ no feature diverges in more than 1.00%" in fine.out) == (0, True)


def test_columns_are_found_or_asked_for(tmp_path: Path, run: Any) -> None:
    log = write(tmp_path / "both.csv", "q1,champion,1.5,DE,2026-03-01", "q1,shadow,1.5,DE,2026-03-01")
    assert run("analyze", "inputs", "--log", log).code == 0
    missing = run("analyze", "inputs", "--log", log, "--feature", "balanse")
    assert (missing.code, "ST0780" in missing.err, "Nearest is 'balance'" in missing.err) == (2, True, True)
    sides = run("analyze", "inputs", "--log", log, "--champion", "v1")
    assert (sides.code, "ST0781" in sides.err, "It has champion, shadow" in sides.err) == (2, True, True)


def test_a_rollout_without_a_shadow_has_no_inputs_to_show(shop: Path, run: Any) -> None:
    said = run("shadow", "inputs", "r-0009")
    assert (said.code, "Traceback" in said.err) == (1, False)
