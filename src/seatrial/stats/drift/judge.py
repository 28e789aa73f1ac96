"""What counts as drift: sure *and* large, over all columns at once, and not only once.

A p-value alone finds drift in any two large samples; a distance alone finds it in any two small ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from seatrial.stats.checks import check_alpha
from seatrial.stats.drift.measures import Measure, MeasureName
from seatrial.stats.multiplicity import benjamini_hochberg

LEAST_VALUES: Mapping[MeasureName, float] = MappingProxyType(
    {"psi": 0.1, "ks": 0.1, "wasserstein": 0.1, "tail": 0.5, "mmd": 0.1, "js": 0.1, "chi2": 0.1, "missing": 0.02}
)
"""The size from which a difference matters: PSI's usual 0.1; about a quarter of a standard deviation for the others."""

NUMERIC: tuple[MeasureName, ...] = ("psi", "tail")
CATEGORICAL: tuple[MeasureName, ...] = ("psi",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """``measures``: what a column is judged by where that is not the default; missing values are judged in any case.

    ``alpha``: of the windows without any drift, how many may raise a finding at all. Raises ValueError outside (0, 1).
    """

    alpha: float = 0.05
    least: Mapping[MeasureName, float] = field(default_factory=dict)
    measures: Mapping[str, tuple[MeasureName, ...]] = field(default_factory=dict)
    everywhere: tuple[MeasureName, ...] = ()

    def __post_init__(self) -> None:
        check_alpha(self.alpha)

    def of(self, column: str, found: Sequence[Measure]) -> tuple[Measure, ...]:
        """The measures of a column that are judged."""
        there = {measure.name for measure in found}
        usual = NUMERIC if "ks" in there else CATEGORICAL
        asked = {*(self.measures.get(column) or self.everywhere or usual), "missing"}
        return tuple(measure for measure in found if measure.name in asked)

    def enough(self, measure: MeasureName) -> float:
        return self.least.get(measure, LEAST_VALUES[measure])


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A measure of a column as judged. ``adjusted``: its p-value among all that were tested with it."""

    column: str
    measure: MeasureName
    value: float | None
    p_value: float | None
    adjusted: float | None
    least: float
    drift: bool


def judge(columns: Mapping[str, Sequence[Measure]], rules: Rules) -> tuple[Finding, ...]:
    """Every judged measure, in order of columns. Drift: adjusted p-value at most alpha, and a value large enough.

    All measures of all columns are one family (Benjamini-Hochberg): in a window in which nothing has changed, alpha is
    the chance of any finding; where some columns have, about that share of the findings is false.

    >>> from seatrial.stats.drift.measures import Measure
    >>> sure, small = Measure("psi", 0.3, 1e-9), Measure("psi", 0.01, 1e-9)
    >>> [(f.column, f.drift) for f in judge({"a": [sure], "b": [small]}, Rules())]
    [('a', True), ('b', False)]
    """
    judged = [(name, measure) for name, found in columns.items() for measure in rules.of(name, found)]
    tested = [measure.p_value for _, measure in judged if measure.p_value is not None]
    adjusted = iter(benjamini_hochberg(tested).tolist() if tested else ())
    findings = []
    for name, measure in judged:
        p = None if measure.p_value is None else float(next(adjusted))
        least = rules.enough(measure.name)
        large = measure.value is not None and measure.value >= least
        drift = large and p is not None and p <= rules.alpha
        findings.append(Finding(column=name, measure=measure.name, value=measure.value, p_value=measure.p_value,
                                adjusted=p, least=least, drift=drift))  # fmt: skip
    return tuple(findings)


def persistent(windows: Sequence[Iterable[Finding]], times: int) -> tuple[frozenset[str], ...]:
    """For each window in order, the columns that drifted in it and in the ``times`` - 1 windows before it.

    Raises ValueError for fewer than one.

    >>> def window(*names): return [Finding(column=n, measure="psi", value=1.0, p_value=0.0, adjusted=0.0, least=0.1,
    ...                                     drift=True) for n in names]
    >>> [sorted(found) for found in persistent([window("a"), window("a", "b"), window("b")], 2)]
    [[], ['a'], ['b']]
    """
    if times < 1:
        raise ValueError("drift lasts for at least one window")
    seen = [frozenset(f.column for f in findings if f.drift) for findings in windows]
    return tuple(
        frozenset.intersection(*seen[i - times + 1 : i + 1]) if i + 1 >= times else frozenset()
        for i in range(len(seen))
    )
