"""How good and how bad the demo's models are, with the release they were made for and with the wrong ones.

    OMP_NUM_THREADS=1 python benchmarks/flights_models.py

Relative log loss of the challenger against the champion; paired z over all flights (what a shadow sees) and the mean z
over 100 salts of a 10% canary (what a canary sees), both clustered by aircraft. Positive is worse.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import xxhash
from numpy.typing import NDArray

from seatrial.demo import offline, train

Floats = NDArray[np.float64]
SALTS, CANARY = 100, 1_000
WINDOWS = {
    "Jan-Feb": (date(2013, 1, 1), date(2013, 3, 1)),
    "May-Jun": (date(2013, 5, 1), date(2013, 7, 1)),
    "May-15 Jul": (date(2013, 5, 1), date(2013, 7, 15)),
    "May-Jul": (date(2013, 5, 1), date(2013, 8, 1)),
    "Jun-Jul": (date(2013, 6, 1), date(2013, 8, 1)),
}
JULY, AUGUST = (date(2013, 7, 1), 31), (date(2013, 8, 1), 31)
CASES = [
    ("Jan-Feb", "May-Jun", "minutes", [(JULY[0], 2), (JULY[0], 5), (JULY[0], 10), JULY]),
    *(("Jan-Feb", "May-Jun", release, [JULY]) for release in ("hours", "celsius", "no-weather")),
    *(("May-Jun", "May-Jun", release, [AUGUST]) for release in ("hours", "celsius", "no-weather")),
    *(
        ("May-Jun", window, release, [(date(2013, *start), days) for start in starts for days in (2, 5, 10)])
        for window, starts in (
            ("May-15 Jul", [(7, 16), (7, 20), (7, 25), (8, 1), (8, 10)]),
            ("May-Jul", [(8, 1), (8, 10)]),
            ("Jun-Jul", [(8, 1), (8, 10)]),
        )
        for release in ("minutes", "hours")
    ),
]


def losses(events: pd.DataFrame, model: str) -> Floats:
    late = events.label.astype(float).to_numpy()
    score = events[model].to_numpy()
    return np.asarray(-(late * np.log(score) + (1 - late) * np.log(1 - score)), dtype=np.float64)


def ratio(n: Floats, total: Floats) -> tuple[float, float]:
    """Mean per event and its variance, from one (n, total) per cluster."""
    mean = float(total.sum() / n.sum())
    rest = total - mean * n
    return mean, float(rest @ rest / n.sum() ** 2 * len(n) / (len(n) - 1))


def per_unit(units: NDArray[np.int64], values: Floats) -> tuple[Floats, Floats]:
    """Events and sum of values of each unit."""
    return np.bincount(units).astype(np.float64), np.bincount(units, values).astype(np.float64)


def paired(units: NDArray[np.int64], difference: Floats) -> float:
    mean, variance = ratio(*per_unit(units, difference))
    return float(mean / variance**0.5)


def canary(names: list[str], units: NDArray[np.int64], champion: Floats, challenger: Floats) -> float:
    (n, old), (_, new) = per_unit(units, champion), per_unit(units, challenger)
    values = []
    for salt in range(SALTS):
        hit = np.array([xxhash.xxh64_intdigest(f"{salt}:{name}".encode()) % 10_000 < CANARY for name in names])
        (one, first), (two, second) = ratio(n[~hit], old[~hit]), ratio(n[hit], new[hit])
        values.append((two - one) / (first + second) ** 0.5)
    return float(np.mean(values))


def main() -> None:
    models = {name: train.train(*window) for name, window in WINDOWS.items()}
    for name, made in models.items():
        print(f"{name:11} {made.dataset.rows} flights", {key: round(value, 4) for key, value in made.metrics.items()})
    print("champion challenger  release    from       days    loss  pair z  10% z")
    for old, new, release, windows in CASES:
        for start, days in windows:
            end = start + timedelta(days=days)
            events = offline.events(models[old].pipeline, models[new].pipeline, start, end, release=release)
            events = events.dropna(subset=["label", "unit"])
            codes, names = pd.factorize(events.unit)
            champion, challenger = losses(events, "champion"), losses(events, "challenger")
            change = challenger.mean() / champion.mean() - 1
            z = paired(codes, challenger - champion), canary(list(names), codes, champion, challenger)
            print(f"{old:8} {new:11} {release:10} {start} {days:4d} {change:+7.1%} {z[0]:+7.1f} {z[1]:+6.1f}")


if __name__ == "__main__":
    main()
