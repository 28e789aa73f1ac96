"""What callers and the log agree on with a model: what may be said, and what cannot be honoured."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from seatrial.errors import UsageError
from seatrial.registry.contract import WIRE_FORMATS, Contract, pointer_problem
from seatrial.values import Duration

ADAPTER = TypeAdapter(Contract)
FULL = Contract(
    format="json", score="/items/*/risk", label="/a~1b/~0", rows="/items", output="risk", outcome_key="order",
    features=("amount", "land der lieferung"), retention=Duration.parse("30d"),
)  # fmt: skip


@pytest.mark.parametrize("contract", [Contract(), FULL, Contract(features=("*",)), Contract(score="")])
def test_a_contract_survives_json(contract: Contract) -> None:
    assert ADAPTER.validate_python(json.loads(json.dumps(contract.document()))) == contract


def test_the_document_names_only_what_was_agreed() -> None:
    assert Contract().document() == {}
    assert Contract(score="", outcome_key="order").document() == {"score": "", "outcomeKey": "order"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"format": "xml"}, "ST0130 contract: 'xml' is no wire format. mlflow, oip-v2"),
        ({"score": "output"}, "ST0131 contract: score: 'output' is not a JSON Pointer: write '/output'."),
        ({"label": "/a~2"}, "'~' is written '~0'"),
        ({"rows": "/" + "x" * 200}, "at most 200"),
        ({"label": "/a\nb"}, "printable"),
        ({"output": ""}, "ST0132 contract: output: '' is not a name"),
        ({"outcome_key": "x" * 201}, "outcomeKey"),
        ({"features": ("a", "a")}, "a name is there twice"),
        ({"features": ("*", "a")}, "all of them. Name no others beside it."),
        ({"features": ("a", "b\x00")}, "features: 'b"),
        ({"retention": Duration(0.0, "0d")}, "ST0133 contract: retention 0d keeps nothing"),
        ({"format": "mlflow", "rows": "/items"}, "ST0134 contract: rows: the rows of a mlflow request"),
        ({"format": "opaque", "score": "/x"}, "ST0134 contract: nothing is read from opaque bodies"),
    ],
)
def test_what_cannot_be_honoured_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        Contract(**given)


@pytest.mark.parametrize(
    "text", ['{"outcomkey": "x"}', '{"format": 3}', '{"features": "amount"}', "[]", '{"retention": "x"}']
)
def test_a_document_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_json(text)


def test_only_what_changes_the_reading_is_reading() -> None:
    plain = Contract()
    assert plain.reading() == Contract(features=("a",), retention=Duration.parse("1d")).reading()
    for change in ({"format": "json"}, {"score": "/x"}, {"label": "/x"}, {"rows": "/x"}, {"output": "x"}):
        assert Contract(**change).reading() != plain.reading()  # type: ignore[arg-type]
    assert Contract(outcome_key="x").reading() != plain.reading()


@given(
    st.text(max_size=8), st.sampled_from([None, *WIRE_FORMATS]), st.sampled_from(["score", "label", "rows", "output"])
)
def test_any_text_is_a_contract_or_a_usage_error(text: str, format: Any, field: str) -> None:
    try:
        contract = Contract(format=format, **{field: text})  # type: ignore[arg-type]
    except UsageError:
        return
    assert ADAPTER.validate_json(json.dumps(contract.document())) == contract
    assert field == "output" or not pointer_problem(text)
