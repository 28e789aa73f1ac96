"""What callers and the log agree on with a model: how its bodies are read, and what is kept of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, Literal, get_args

from seatrial.errors import UsageError
from seatrial.values import Duration, to_camel

WireFormat = Literal["mlflow", "oip-v2", "tf-v1", "vertex", "sagemaker", "json", "opaque"]
WIRE_FORMATS: Final[tuple[str, ...]] = get_args(WireFormat)

EVERYTHING: Final = "*"
"""In the place of feature names: all of them."""

LONGEST_NAME: Final = 200

DEFAULT_TOP_K: Final = 10
MOST_ITEMS: Final = 100
"""Items of a ranked list that are kept of an answer, and as many as may be."""

_ESCAPE: Final = re.compile(r"~(?![01])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """Everything has a default that suits the usual formats; a model says only what they leave open.

    ``format``: the wire format; by path and shape of each request if None.
    ``score``, ``label``: JSON Pointers into the answer (``*`` stands for every element: ``/items/*/score``).
    ``rows``: JSON Pointer into the request, to the list of rows (format *json* only).
    ``output``: name of the tensor or column that is the answer, where there are several.
    ``items``, ``item_scores``: JSON Pointers to the ids of a ranked list, best first (``/items/*/id``), and to their
    scores; ``top_k``: how many are kept, 10 if None.
    ``outcome_key``: field of a row that its outcome is reported under; the request id if None.
    ``features``: names that are kept in the log, ``("*",)`` for all; none unless named here.
    ``retention``: how long predictions are kept; as long as the project says if None.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "alias_generator": to_camel,
        "populate_by_name": True,
    }

    format: WireFormat | None = None
    score: str | None = None
    label: str | None = None
    rows: str | None = None
    output: str | None = None
    items: str | None = None
    item_scores: str | None = None
    top_k: int | None = None
    outcome_key: str | None = None
    features: tuple[str, ...] = ()
    retention: Duration | None = None

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in WIRE_FORMATS:
            raise UsageError("ST0130", f"contract: {self.format!r} is no wire format.", remedy=", ".join(WIRE_FORMATS))
        self._check_pointers()
        self._check_names()
        self._check_combination()
        if self.retention is not None and self.retention.seconds <= 0:
            raise UsageError("ST0133", f"contract: retention {self.retention} keeps nothing.", remedy="e.g. 30d")

    def reading(self) -> tuple[str | None, ...]:
        """How bodies become rows and predictions: what evidence of one rollout must agree on."""
        ranked = self.items, self.item_scores, str(self.top_k or DEFAULT_TOP_K)
        return self.format, self.score, self.label, self.rows, self.output, *ranked, self.outcome_key

    def document(self) -> dict[str, Any]:
        """What differs from the defaults, as JSON.

        >>> Contract(format="json", outcome_key="order", retention=Duration.parse("30d")).document()
        {'format': 'json', 'outcomeKey': 'order', 'retention': '30d'}
        """
        named = {to_camel(f.name): getattr(self, f.name) for f in fields(self)}
        return {name: _plain(value) for name, value in named.items() if value not in (None, ())}

    def _check_pointers(self) -> None:
        for name in ("score", "label", "rows", "items", "item_scores"):
            pointer = getattr(self, name)
            if pointer is not None and (problem := pointer_problem(pointer)):
                raise UsageError(
                    "ST0131", f"contract: {to_camel(name)}: {problem}", remedy="e.g. /result/score (RFC 6901)"
                )

    def _check_names(self) -> None:
        given = [("output", self.output), ("outcomeKey", self.outcome_key), *(("features", f) for f in self.features)]
        for field, name in given:
            if name is not None and not (0 < len(name) <= LONGEST_NAME and name.isprintable()):
                raise UsageError(
                    "ST0132", f"contract: {field}: {name!r} is not a name (1 to {LONGEST_NAME} printable characters)."
                )
        if len(set(self.features)) != len(self.features):
            raise UsageError("ST0132", "contract: features: a name is there twice.")
        if EVERYTHING in self.features and len(self.features) > 1:
            raise UsageError("ST0132", "contract: features: '*' is all of them.", remedy="Name no others beside it.")

    def _check_combination(self) -> None:
        if self.rows is not None and self.format not in (None, "json"):
            raise UsageError(
                "ST0134", f"contract: rows: the rows of a {self.format} request are where that format has them.",
                remedy="Leave rows out, or use the format json.",
            )  # fmt: skip
        for name in ("item_scores", "top_k"):
            if getattr(self, name) is not None and self.items is None:
                raise UsageError(
                    "ST0134", f"contract: {to_camel(name)} is of a ranked list, and none is declared.",
                    remedy="Add items, e.g. /items/*/id",
                )  # fmt: skip
        if self.top_k is not None and not 1 <= self.top_k <= MOST_ITEMS:
            raise UsageError("ST0134", f"contract: topK is 1 to {MOST_ITEMS} items, not {self.top_k}.")
        pointed = any(place is not None for place in (self.score, self.label, self.output, self.items))
        if self.format == "opaque" and pointed:
            raise UsageError(
                "ST0134",
                "contract: nothing is read from opaque bodies, so score, label, items and output say nothing.",
                remedy="Use the format json.",
            )


def pointer_problem(text: str) -> str:
    """Why a text is not a JSON Pointer (RFC 6901); empty if it is one.

    >>> pointer_problem("score")
    "'score' is not a JSON Pointer: write '/score'."
    >>> pointer_problem("/items/*/score")
    ''
    """
    if text and not text.startswith("/"):
        return f"{text!r} is not a JSON Pointer: write '/{text}'."
    if _ESCAPE.search(text):
        return f"{text!r} is not a JSON Pointer: '~' is written '~0', and '/' in a name '~1'."
    if len(text) > LONGEST_NAME or not text.isprintable():
        return f"{text[:40]!r} is not a JSON Pointer of at most {LONGEST_NAME} printable characters."
    return ""


def _plain(value: object) -> object:
    if isinstance(value, Duration):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
