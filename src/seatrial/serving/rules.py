"""A scorecard: named rules that people have written and reviewed, for when no version of a model answers.

The same row gives the same answer and the same reason codes, on every machine and for ever: a scorecard knows no time,
no random number and no state.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, get_args

import yaml

from seatrial.errors import UsageError
from seatrial.serving import rules_condition
from seatrial.serving.rules_condition import Condition, ConditionError, Kind, Row, Value

Answer = float | str
Output = Literal["score", "probabilities", "label"]

_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_CARD_KEYS: Final = ("name", "features", "output", "bounds", "rules", "default")
_RULE_KEYS: Final = ("name", "when", "points", "decide", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Where ``when`` is true, ``points`` are added, or it is ``decide`` and no later rule is asked."""

    name: str
    when: Condition
    reason: str
    points: float | None = None
    decide: Answer | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one row, and why: the codes of the rules that spoke, in their order."""

    answer: Answer
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """Rules in their order. ``default``: the answer where no rule decides, to which points are added within ``bounds``.

    ``output``: *score* is a number, *probabilities* are ``[1 - score, score]``, *label* is text.
    """

    name: str
    features: Mapping[str, Kind]
    rules: tuple[Rule, ...]
    default: Answer
    default_reason: str
    output: Output = "score"
    bounds: tuple[float, float] = (0.0, 1.0)

    def decide(self, row: Row) -> Decision:
        """Of values as ``typed`` makes them."""
        total = 0.0
        reasons: list[str] = []
        for rule in self.rules:
            if rule.when.holds(row) is not True:
                continue
            if rule.decide is not None:
                return Decision(rule.decide, (*reasons, rule.reason))
            total += rule.points or 0.0
            reasons.append(rule.reason)
        if isinstance(self.default, str):
            return Decision(self.default, (self.default_reason,))
        low, high = self.bounds
        return Decision(min(max(self.default + total, low), high), tuple(reasons) or (self.default_reason,))

    def typed(self, row: Mapping[str, object]) -> Row:
        """The declared features of a row. A value of another kind is no value: rules never fail on an input.

        >>> card = Scorecard(name="x", features={"a": "number"}, rules=(), default=0.5, default_reason="D")
        >>> card.typed({"a": "much", "b": 1}), card.typed({"a": 2})
        ({'a': None}, {'a': 2.0})
        """
        return {name: _typed(row.get(name), kind) for name, kind in self.features.items()}

    @classmethod
    def parse(cls, text: str | bytes, where: str = "scorecard") -> Self:
        """Read YAML. Raises UsageError (ST0770 to ST0772), naming the rule; see ``rules_lint`` for what it would do."""
        try:
            document = yaml.safe_load(text)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UsageError("ST0770", f"{where} is not YAML: {error}.") from None
        return cls._of(_Document(document, where))

    @classmethod
    def _of(cls, told: _Document) -> Self:
        card = told.mapping(None, _CARD_KEYS)
        features = told.features(card.get("features"))
        output = card.get("output", "score")
        if output not in get_args(Output):
            told.refuse(f"output is {output!r}, not one of {', '.join(get_args(Output))}")
        bounds = told.bounds(card.get("bounds", [0, 1]), output)
        default = card.get("default")
        if default is None:
            told.refuse("there is no default: an answer where no rule speaks, e.g. default: {answer: 0.1, reason: R0}")
        given = told.mapping(default, ("answer", "reason"), "default")
        return cls(
            name=str(card.get("name") or told.where),
            features=features,
            rules=tuple(told.rule(n, item, features, output, bounds) for n, item in enumerate(told.rules(card), 1)),
            default=told.answer(given.get("answer"), output, bounds, "default"),
            default_reason=told.code(given.get("reason"), "default"),
            output=output,
            bounds=bounds,
        )


@dataclass(frozen=True, slots=True)
class _Document:
    """A parsed YAML document, and the words for what is wrong with it."""

    document: object
    where: str

    def refuse(self, problem: str, code: str = "ST0771") -> Any:
        raise UsageError(code, f"{self.where}: {problem}.", remedy="docs/fallback.md has a complete scorecard.")

    def mapping(self, value: object, known: Sequence[str], name: str = "") -> Mapping[str, Any]:
        found = self.document if value is None and not name else value
        if not isinstance(found, dict):
            self.refuse(f"{name or 'it'} is not a map of {', '.join(known)}")
        assert isinstance(found, dict)
        for key in found:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
                self.refuse(f"{name + '.' if name else ''}{key} is unknown, {hint}")
        return found

    def features(self, value: object) -> dict[str, Kind]:
        if not isinstance(value, dict) or not value:
            self.refuse("features is a map of names to number, string or boolean")
        assert isinstance(value, dict)
        for name, kind in value.items():
            if not isinstance(name, str) or not name.isidentifier() or kind not in get_args(Kind):
                self.refuse(f"features: {name}: {kind} is not a name with number, string or boolean")
        return value

    def rules(self, card: Mapping[str, Any]) -> list[object]:
        found = card.get("rules", [])
        if not isinstance(found, list):
            self.refuse("rules is a list")
        names = [item.get("name") for item in found if isinstance(item, dict)]
        for name in names:
            if names.count(name) > 1:
                self.refuse(f"two rules are called {name!r}")
        assert isinstance(found, list)
        return found

    def rule(
        self, n: int, value: object, features: Mapping[str, Kind], output: str, bounds: tuple[float, float]
    ) -> Rule:
        item = self.mapping(value, _RULE_KEYS, f"rule {n}")
        name = item.get("name")
        if not isinstance(name, str) or not name:
            self.refuse(f"rule {n} has no name")
        where = f"rule {name!r}"
        if (item.get("points") is None) == (item.get("decide") is None):
            self.refuse(f"{where} has either points or a decision (decide)")
        points, decide = item.get("points"), item.get("decide")
        if points is not None and (output == "label" or not _is_number(points)):
            self.refuse(f"{where}: points are numbers that are added to a score")
        answer = None if decide is None else self.answer(decide, output, bounds, where)
        reason = self.code(item.get("reason"), where)
        points = None if points is None else float(points)
        return Rule(
            name=str(name), when=self._condition(item, where, features), reason=reason, points=points, decide=answer
        )

    def answer(self, value: object, output: str, bounds: tuple[float, float], where: str) -> Answer:
        if output == "label":
            if not isinstance(value, str) or not value:
                self.refuse(f"{where}: {value!r} is not a label")
            return str(value)
        if not _is_number(value):
            self.refuse(f"{where}: {value!r} is not a score")
        assert isinstance(value, int | float)
        if not bounds[0] <= value <= bounds[1]:
            self.refuse(f"{where}: {value} is outside the bounds {bounds[0]:g} to {bounds[1]:g}")
        return float(value)

    def bounds(self, value: object, output: str) -> tuple[float, float]:
        fine = isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)) and value[0] < value[1]
        if not fine or (output == "probabilities" and value != [0, 1]):
            self.refuse(f"bounds are [least, most] (0 and 1 for probabilities), not {value}")
        assert isinstance(value, list)
        return float(value[0]), float(value[1])

    def code(self, value: object, where: str) -> str:
        if not isinstance(value, str) or not _CODE.fullmatch(value):
            self.refuse(f"{where}: {value!r} is no reason code (1 to 32 letters, digits, _ . -)")
        return str(value)

    def _condition(self, item: Mapping[str, Any], where: str, features: Mapping[str, Kind]) -> Condition:
        text = item.get("when")
        if text is True:
            return rules_condition.ALWAYS
        if not isinstance(text, str):
            self.refuse(f"{where} has no condition (when)")
        try:
            return rules_condition.parse(str(text), features)
        except ConditionError as error:
            return self.refuse(f"{where}: {error}", "ST0772")  # type: ignore[no-any-return]


def _typed(value: object, kind: Kind) -> Value:
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind == "string":
        return value if isinstance(value, str) else None
    return float(value) if _is_number(value) else None  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond any float
        return False
