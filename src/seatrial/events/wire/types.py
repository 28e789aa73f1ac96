"""What reading a body gives: rows, predictions, or an error with a kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NoReturn, Self

from seatrial.registry.contract import DEFAULT_TOP_K, Contract, WireFormat, pointer_problem

WireErrorKind = Literal["non_json", "schema", "unsupported", "stream", "nan", "row_count", "no_predictions"]

UNSCORED: Final[frozenset[str]] = frozenset({"unsupported", "stream"})
"""Kinds that say nothing about the model: the answer may be perfect, it is only not read here."""


class WireError(ValueError):
    """A body that is not what its format asks for; ``kind`` is the stable word for logs and evidence."""

    def __init__(self, kind: WireErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind: WireErrorKind = kind


def bad_schema(message: str) -> NoReturn:
    raise WireError("schema", message)


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """Where a response keeps its answer when the format leaves room.

    ``score``, ``label``: JSON Pointers into the response (``*`` stands for every element: ``/items/*/score``).
    ``rows``: JSON Pointer into the *request* to the list of rows. ``output``: name of the output tensor or column.
    ``items``, ``item_scores``: JSON Pointers to the ids of a ranked list, best first, and to their scores; the first
    ``top_k`` are kept.
    """

    score: str | None = None
    label: str | None = None
    rows: str | None = None
    output: str | None = None
    items: str | None = None
    item_scores: str | None = None
    top_k: int = DEFAULT_TOP_K

    def __post_init__(self) -> None:
        for pointer in (self.score, self.label, self.rows, self.items, self.item_scores):
            if pointer is not None and (problem := pointer_problem(pointer)):
                raise ValueError(problem)

    @classmethod
    def of(cls, contract: Contract) -> Self:
        return cls(
            contract.score, contract.label, contract.rows, contract.output, contract.items, contract.item_scores,
            contract.top_k or DEFAULT_TOP_K,
        )  # fmt: skip

    @property
    def points(self) -> bool:
        """Whether the answer's place is declared."""
        return self.score is not None or self.label is not None or self.items is not None


DEFAULT: Final = ResponseSpec()


@dataclass(frozen=True, slots=True)
class Request:
    """The rows of a prediction request.

    ``features`` has one mapping per row when the columns are named; ``vectors`` one sequence per row when they are not;
    neither when the rows are only counted. ``id`` is the request id of the Open Inference Protocol, to be echoed.
    """

    format: WireFormat
    rows: int
    features: tuple[Mapping[str, object], ...] | None = None
    vectors: tuple[Sequence[object], ...] | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """The ids of a ranked list, best first, and the score of each where the answer tells them."""

    items: tuple[str, ...]
    scores: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """One entry per row: a number to rank by, a class label, or both; neither where a row has no scalar summary.

    ``rankings``: one a row where the answer is a ranked list, else empty.
    """

    scores: tuple[float | None, ...]
    labels: tuple[str | None, ...]
    rankings: tuple[Ranking, ...] = ()

    def __len__(self) -> int:
        return len(self.scores)
