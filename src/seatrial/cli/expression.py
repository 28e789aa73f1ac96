"""A formula of one variable, as people write it: ``0.5*t``, ``3*(1 - exp(-t/10))``. Parsed, never run as Python."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

_OPERATORS: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: math.pow, ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "min": min,
    "max": max,
}
_LONGEST = 200


def formula(text: str, variable: str = "t") -> Callable[[float], float]:
    """The function. Raises ValueError for anything but numbers, the variable, + - * / **, sqrt, exp, log, min and max.

    The function raises ValueError where it has no value.

    >>> formula("0.5 * t**2")(3)
    4.5
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body if len(text) <= _LONGEST else None
    except (SyntaxError, ValueError):
        tree = None
    if tree is None:
        raise ValueError(f"'{text[:60]}' is not a formula of {variable}, such as 0.5*{variable} or sqrt({variable})")
    _check(tree, variable)

    def value(at: float) -> float:
        try:
            found = float(_value(tree, at))
        except (ArithmeticError, ValueError):
            found = math.nan
        if not math.isfinite(found):
            raise ValueError(f"'{text}' has no value at {variable} = {at:g}")
        return found

    return value


def _check(node: ast.AST, variable: str) -> None:
    if isinstance(node, ast.BinOp | ast.UnaryOp):
        fine = type(node.op) in _OPERATORS
        below: list[Any] = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.operand]
    elif isinstance(node, ast.Call):
        fine = isinstance(node.func, ast.Name) and not node.keywords and _takes(node.func.id, len(node.args))
        below = node.args
    elif isinstance(node, ast.Constant):
        fine, below = isinstance(node.value, int | float) and not isinstance(node.value, bool), []
    else:
        fine, below = isinstance(node, ast.Name) and node.id == variable, []
    if not fine:
        known = f"+ - * / **, {', '.join(_FUNCTIONS)}, numbers and {variable}"
        raise ValueError(f"'{ast.unparse(node)}' is not part of a formula: there are {known}")
    for part in below:
        _check(part, variable)


def _takes(name: str, arguments: int) -> bool:
    return arguments > 1 if name in ("min", "max") else name in _FUNCTIONS and arguments == 1


def _value(node: Any, at: float) -> float:
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left, at), _value(node.right, at))
    if isinstance(node, ast.UnaryOp):
        return _OPERATORS[type(node.op)](_value(node.operand, at))
    if isinstance(node, ast.Call):
        return _FUNCTIONS[node.func.id](*(_value(part, at) for part in node.args))  # type: ignore[attr-defined]
    return at if isinstance(node, ast.Name) else float(node.value)
