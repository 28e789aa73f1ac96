"""``python -m benchmarks [NAME ...] [--quick] [--json FILE]``: run them in turn, print the tables."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import drift, evidence, gateway, outcomes, rollback, router, startup
from benchmarks.machine import Missing, describe
from benchmarks.table import Result

BENCHMARKS: dict[str, Callable[[bool], Result]] = {
    "gateway": lambda quick: gateway.bench(seconds=2 if quick else 4, rounds=1 if quick else 3),
    "rollback": lambda quick: rollback.bench(swaps=5 if quick else 50),
    "outcomes": lambda quick: outcomes.bench(batches=20 if quick else 200),
    "router": lambda quick: router.bench(decisions=20_000 if quick else 500_000),
    "evidence": lambda quick: evidence.bench(exposures=100_000 if quick else 5_000_000, rounds=1 if quick else 3),
    "drift": lambda quick: drift.bench(rows=5_000 if quick else 100_000, rounds=1 if quick else 5, install=not quick),
    "startup": lambda quick: startup.bench(rounds=1 if quick else 5),
}


def main() -> None:
    """Print what was measured; a benchmark whose rivals are not installed is named with what is missing."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all without a name")
    parser.add_argument("--quick", action="store_true", help="a few seconds each: shows that it runs, not how fast")
    parser.add_argument("--exposures", type=_millions, metavar="100M", help="size of the evidence benchmark's log")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    if given.exposures:
        BENCHMARKS["evidence"] = lambda quick: evidence.bench(given.exposures, rounds=1 if quick else 3)
    head = f"{datetime.now(UTC):%Y-%m-%d}, {describe()}, Python {platform.python_version()}"
    print(f"# Benchmarks\n\n{head}\n", flush=True)
    results = []
    for name in given.names or BENCHMARKS:
        print(f"... {name}", file=sys.stderr, flush=True)
        results.append(_run(name, given.quick))
        print(results[-1].markdown(), flush=True)
    if given.json:
        given.json.write_text(json.dumps({"machine": head, "results": [asdict(r) for r in results]}, indent=1) + "\n")


def _millions(text: str) -> int:
    return int(text.removesuffix("M")) * (1_000_000 if text.endswith("M") else 1)


def _run(name: str, quick: bool) -> Result:
    try:
        return BENCHMARKS[name](quick)
    except Missing as missing:
        return Result(name, name.capitalize(), skipped=str(missing))


if __name__ == "__main__":
    main()
