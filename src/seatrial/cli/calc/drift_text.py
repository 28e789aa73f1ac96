"""What ``seatrial calc psi`` says to people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Document = dict[str, Any]
Line = tuple[str, str]


def _psi_said(d: Document) -> str:
    if d["exceeds"]:
        return f"The distribution has moved: PSI {d['psi']:.4g}, above {d['threshold']:.4g}."
    return f"No drift by this threshold: PSI {d['psi']:.4g}, not above {d['threshold']:.4g}."


def _psi_figures(d: Document) -> Iterator[Line]:
    yield "PSI", f"{d['psi']:.7f}"
    yield "by bin", ", ".join(f"{part:.4f}" for part in d["parts"])
    yield "threshold", f"{d['threshold_asked']:g}"
    if d["chance_quantile"] is not None:
        yield (
            "by chance",
            f"up to {d['chance_quantile']:.4g} in {100 * (1 - d['alpha']):g}% of such samples without drift",
        )
        yield "p", f"{d['p_value']:.3g}"


def _psi_formula(d: Document) -> Iterator[str]:
    yield "PSI = Σ (p - q) ln(p / q), natural logarithm; the same in both directions"
    yield "It sees what moves between bins, not what moves inside one: `analyze drift` looks at the tails as well."


PAGES: dict[
    str, tuple[Callable[[Document], str], Callable[[Document], Iterator[Line]], Callable[[Document], Iterator[str]]]
] = {"psi": (_psi_said, _psi_figures, _psi_formula)}
