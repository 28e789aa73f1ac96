"""NDCG of served lists by the items that were clicked, as Ibis expressions: of a log, and of a user's own table.

A click is a grade of 1. What an item is worth at its place are whole billionths from a table, so that every engine and
every order of rows come to the same sums; the formula is ``stats.lists.ndcg_of_clicks``.
"""

from __future__ import annotations

from functools import reduce
from itertools import accumulate
from operator import add
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from seatrial.engines.expressions import EARLY
from seatrial.rollout.metric import Metric
from seatrial.stats.lists import discount

SERVED, CLICKS = "served", "clicks"
"""Tables of lists by exposure, and of outcomes that name an item."""

_BILLION = 1_000_000_000


def with_ndcg(rows: ir.Table, metric: Metric, name: str) -> ir.Table:
    """Rows with the NDCG of each as a column; null where nothing was clicked, or no list is known.

    Rows are as ``expressions.with_outcomes`` takes them, and outcomes count as there: of each item the highest
    revision, then the latest time, then the largest value. A value above 0 is a click.
    """
    served = ibis.table({"eid": "int64", "items": "array<string>"}, name=SERVED)
    clicks = ibis.table(
        {
            "c_rollout": "int64", "c_key": "string", "c_name": "string", "c_item": "string", "c_value": "float64",
            "c_revision": "int64", "c_time": "int64", "c_received": "int64",
        },
        name=CLICKS,
    )  # fmt: skip
    clicks = clicks.filter(clicks.c_name == metric.outcome)
    keyed = rows.select("rollout", "eid", "outcome_key", "t", "due", "deadline")
    known = keyed.join(
        clicks,
        [
            keyed.rollout == clicks.c_rollout,
            keyed.outcome_key == clicks.c_key,
            clicks.c_received <= keyed.due,
            clicks.c_time <= keyed.deadline,
            clicks.c_received > keyed.t - EARLY,
        ],
    )
    order = ibis.struct({"revision": known.c_revision, "time": known.c_time, "value": known.c_value})
    graded = known.group_by(["eid", "c_item"]).agg(value=known.c_value.argmax(order))
    graded = graded.filter(graded.value > 0)
    met = graded.join(served, "eid").mutate(gain=lambda t: _gain(t["items"].index(t.c_item), metric.depth))
    found = met.group_by("eid").agg(dcg=met.gain.sum(), clicked=met.count())
    found = found.select(judged=found.eid, **{name: found.dcg / _ideal(found.clicked, metric.depth)})
    return rows.left_join(found, rows.eid == found.judged).drop("judged")


def ndcg_of_lists(items: Any, clicked: Any, k: int) -> Any:
    """The same of two array columns of one row; an item that was clicked twice was clicked.

    Place by place, because engines spell functions of a list's elements too differently.
    """
    gains = [ibis.ifelse(clicked.contains(items[n]).fill_null(False), _worth(n), 0) for n in range(k)]
    once = array_distinct(clicked).length()
    judged = items.notnull() & (once > 0)
    return ibis.ifelse(judged, reduce(add, gains) / _ideal(once, k), ibis.null("float64"))


@ibis.udf.scalar.builtin(signature=((dt.Array(dt.string),), dt.Array(dt.string)))  # type: ignore[untyped-decorator]
def array_distinct(values: Any) -> Any:
    """Each value once, by the function that DuckDB and Spark have under this name."""


def _gain(place: Any, k: int) -> Any:
    """Billionths that an item at a place is worth; -1 is nowhere."""
    worth = ibis.literal([*map(_worth, range(k))], type="array<int64>")
    inside = (place >= 0) & (place < k)
    return ibis.ifelse(inside, worth[ibis.ifelse(inside, place, 0)], 0)


def _ideal(clicked: Any, k: int) -> Any:
    """Billionths of a list that has so many clicked items at its top."""
    best = ibis.literal([*accumulate(map(_worth, range(k)))], type="array<int64>")
    return best[ibis.least(clicked, k) - 1].cast("float64")


def _worth(place: int) -> int:
    return round(_BILLION * discount(place))
