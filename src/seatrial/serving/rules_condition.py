"""Conditions of a scorecard: comparisons of features with constants, joined by ``and``, ``or`` and ``not``.

The text is parsed by Python's own grammar and every node is checked against what is known here; nothing is ever
evaluated as Python. A comparison with a missing value is neither true nor false (Kleene's logic), and a rule speaks
only where its condition is true: ``not (amount > 5)`` says nothing of a request without an amount; ``missing(amount)``
does.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Value = float | str | bool | None
Row = Mapping[str, Value]
Kind = Literal["number", "string", "boolean"]
Truth = bool | None

LONGEST: Final = 2000
"""Characters of a condition; a deeper one would not be read by people either."""

_ORDERED: Final[Mapping[type[ast.cmpop], Callable[[float, float], bool]]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}
_MIRRORED: Final[Mapping[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Gt: ast.Lt, ast.GtE: ast.LtE, ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Eq: ast.Eq, ast.NotEq: ast.NotEq,
}  # fmt: skip


class ConditionError(ValueError):
    """A condition that is not understood; the message says which part."""


@dataclass(frozen=True, slots=True)
class Condition:
    """``holds`` takes a row; ``constants``: what each feature is compared with, by which regions can be told apart."""

    text: str
    holds: Callable[[Row], Truth]
    constants: Mapping[str, tuple[Value, ...]]


def parse(text: str, features: Mapping[str, Kind]) -> Condition:
    """Raises ``ConditionError``: syntax, an unknown feature, or a comparison that its kind does not have."""
    if len(text) > LONGEST:
        raise ConditionError(f"it is longer than {LONGEST} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConditionError(f"{text!r} is not a condition") from None
    parser = _Parser(features)
    holds = parser.truth(tree.body)
    return Condition(text, holds, {name: tuple(values) for name, values in parser.constants.items()})


ALWAYS: Final = Condition("true", lambda row: True, {})


@dataclass(slots=True)
class _Parser:
    features: Mapping[str, Kind]
    constants: dict[str, list[Value]] = field(default_factory=dict)

    def truth(self, node: ast.expr) -> Callable[[Row], Truth]:
        if isinstance(node, ast.BoolOp):
            parts = [self.truth(part) for part in node.values]
            return _all(parts) if isinstance(node.op, ast.And) else _any(parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return _not(self.truth(node.operand))
        if isinstance(node, ast.Compare):
            return self._comparisons(node)
        if isinstance(node, ast.Call):
            return self._missing(node)
        if isinstance(node, ast.Name):
            name = self._feature(node, "boolean")
            return lambda row: None if row.get(name) is None else row[name] is True
        raise ConditionError(f"{ast.unparse(node)!r} is neither true nor false")

    def _comparisons(self, node: ast.Compare) -> Callable[[Row], Truth]:
        """``1 < x <= 5`` is two comparisons."""
        sides = [node.left, *node.comparators]
        parts = [self._comparison(sides[n], op, sides[n + 1]) for n, op in enumerate(node.ops)]
        return parts[0] if len(parts) == 1 else _all(parts)

    def _comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Callable[[Row], Truth]:
        if isinstance(op, ast.In | ast.NotIn):
            return self._membership(left, right, negated=isinstance(op, ast.NotIn))
        if isinstance(right, ast.Name) and not isinstance(left, ast.Name) and type(op) in _MIRRORED:
            left, op, right = right, _MIRRORED[type(op)](), left
        if not isinstance(left, ast.Name) or isinstance(right, ast.Name):
            raise ConditionError(f"{ast.unparse(left)!r} and {ast.unparse(right)!r}: compare a feature with a constant")
        kind, constant = self._kind(left), self._constant(left, right)
        name = left.id
        if type(op) in _ORDERED:
            if kind != "number" or not isinstance(constant, float):
                raise ConditionError(f"{name!r} is a {kind}: it has no order")
            return _ordered(name, _ORDERED[type(op)], constant)
        if isinstance(op, ast.Eq | ast.NotEq):
            return _one_of(name, (constant,), negated=isinstance(op, ast.NotEq))
        raise ConditionError(f"{type(op).__name__} is no comparison of conditions")

    def _membership(self, left: ast.expr, right: ast.expr, *, negated: bool) -> Callable[[Row], Truth]:
        if not isinstance(left, ast.Name) or not isinstance(right, ast.List | ast.Tuple) or not right.elts:
            raise ConditionError("'in' is followed by a list of constants: country in ['FR', 'DE']")
        return _one_of(left.id, tuple(self._constant(left, item) for item in right.elts), negated=negated)

    def _missing(self, node: ast.Call) -> Callable[[Row], Truth]:
        known = isinstance(node.func, ast.Name) and node.func.id == "missing" and not node.keywords
        if not known or len(node.args) != 1 or not isinstance(node.args[0], ast.Name):
            raise ConditionError(f"{ast.unparse(node)!r}: the only function is missing(FEATURE)")
        name = node.args[0].id
        self._kind(node.args[0])
        return lambda row: row.get(name) is None

    def _constant(self, feature: ast.Name, node: ast.expr) -> Value:
        kind = self._kind(feature)
        try:
            value: Value = ast.literal_eval(node)
        except ValueError:
            raise ConditionError(f"{ast.unparse(node)!r} is not a constant") from None
        if kind == "number" and isinstance(value, int | float) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, {"number": float, "string": str, "boolean": bool}[kind]):
            raise ConditionError(f"{feature.id!r} is a {kind}, and {ast.unparse(node)} is none")
        self.constants[feature.id].append(value)
        return value

    def _kind(self, node: ast.Name) -> Kind:
        kind = self.features.get(node.id)
        if kind is None:
            raise ConditionError(
                f"{node.id!r} is not among the features: {', '.join(self.features) or 'there are none'}"
            )
        self.constants.setdefault(node.id, [])
        return kind

    def _feature(self, node: ast.Name, kind: Kind) -> str:
        if self._kind(node) != kind:
            raise ConditionError(f"{node.id!r} is a {self.features[node.id]}: compare it with something")
        return node.id


def _ordered(name: str, compare: Callable[[float, float], bool], constant: float) -> Callable[[Row], Truth]:
    def holds(row: Row) -> Truth:
        value = row.get(name)
        return compare(value, constant) if isinstance(value, int | float) else None

    return holds


def _one_of(name: str, values: tuple[Value, ...], *, negated: bool) -> Callable[[Row], Truth]:
    def holds(row: Row) -> Truth:
        value = row.get(name)
        return None if value is None else (value in values) is not negated

    return holds


def _all(parts: list[Callable[[Row], Truth]]) -> Callable[[Row], Truth]:
    def holds(row: Row) -> Truth:
        found = [part(row) for part in parts]
        return False if False in found else None if None in found else True

    return holds


def _any(parts: list[Callable[[Row], Truth]]) -> Callable[[Row], Truth]:
    def holds(row: Row) -> Truth:
        found = [part(row) for part in parts]
        return True if True in found else None if None in found else False

    return holds


def _not(part: Callable[[Row], Truth]) -> Callable[[Row], Truth]:
    def holds(row: Row) -> Truth:
        found = part(row)
        return None if found is None else not found

    return holds
