"""``model configure`` and the same flags on ``adopt`` and ``register``; ``--dtype``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("root")

ADOPT = ("model", "adopt", "fraud", "--url", "http://127.0.0.1:9/")


def contract(run: Any) -> Any:
    return run("model", "show", "fraud", "--json").json["contract"]


def test_flags_are_put_over_what_is_agreed(run: Any) -> None:
    assert run(*ADOPT, "--wire", "json", "--score", "/output", "--keep-feature", "amount").code == 0
    assert contract(run) == {"format": "json", "score": "/output", "features": ["amount"]}
    flags = ("--outcome-key", "order", "--retention", "30d", "--keep-feature", "a", "--keep-feature", "b")
    said = run("model", "configure", "fraud", *flags)
    assert (said.code, "outcomeKey order" in said.out) == (0, True)
    assert contract(run) == {
        "format": "json", "score": "/output", "outcomeKey": "order", "features": ["a", "b"], "retention": "30d",
    }  # fmt: skip
    shown = run("model", "show", "fraud").out
    assert "Contract:     format json" in shown
    assert "features a, b" in shown
    assert run("model", "configure", "fraud", "--reset", "--wire", "oip-v2", "--output-name", "p").code == 0
    assert contract(run) == {"format": "oip-v2", "output": "p"}
    assert "the defaults" in run("model", "configure", "fraud", "--reset").out
    assert "Contract" not in run("model", "show", "fraud").out
    audited = [entry["action"] for entry in run("audit", "log", "--json").json["entries"]]
    assert audited.count("model.configure") == 3


def test_what_cannot_be_honoured_changes_nothing(run: Any) -> None:
    assert run(*ADOPT, "--label", "/class").code == 0
    for flags, said in [
        ((), "ST0762"),
        (("--score", "output"), "write '/output'"),
        (("--retention", "soon"), "ST0133"),
        (("--wire", "mlflow", "--rows", "/items"), "ST0134"),
        (("--keep-feature", "*", "--keep-feature", "a"), "ST0132"),
        (("--wire", "xml"), "xml"),
    ]:
        refused = run("model", "configure", "fraud", *flags)
        assert (refused.code, said in refused.err) == (2, True), refused.err
        assert contract(run) == {"label": "/class"}
    unknown = run("model", "configure", "churn", "--wire", "json")
    assert (unknown.code, "no model 'churn'" in unknown.err) == (1, True)


def test_the_kinds_of_columns_are_given_for_all_or_for_none(run: Any, root: Path) -> None:
    artifact = root / "m.onnx"
    artifact.write_bytes(b"weights")
    digest = "sha256:" + "a" * 64
    given = (
        "model", "register", "fraud", "--artifact", artifact, "--format", "onnx", "--features", "amount,country",
        "--code-commit", "1f0c2aa", "--data-digest", digest, "--data-rows", "3", "--model-framework", "sklearn",
    )  # fmt: skip
    both = ("--dtype", "country=string", "--dtype", "amount=number")
    made = run(*given, *both, "--wire", "mlflow", "--json")
    assert made.json["serving"]["dtypes"] == ["number", "string"], "in the order of the features"
    assert contract(run) == {"format": "mlflow"}
    for dtypes, said in [
        (both[:2], "feature 'amount' has none"),
        ((*both, "--dtype", "zip=string"), "--dtype zip: there is no such feature"),
        (("--dtype", "amount=number", "--dtype", "country=date"), "dtypes"),
        (("--dtype", "amount"), "not KEY=VALUE"),
    ]:
        refused = run(*given, *dtypes)
        assert (refused.code, said in refused.err) == (2, True), refused.err


def test_through_a_running_control_plane(api: Any, run: Any) -> None:
    assert run("model", "configure", "fraud", "--wire", "json", "--score", "/output").code == 0
    with api.store.read() as tx:
        assert tx.models.get_model("fraud").contract.score == "/output"
