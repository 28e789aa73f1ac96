"""Exercise 29.1(b): what a version is made of, and made again from; 29.24(a): what an image's lineage must tell."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from commandline import run_command
from seatrial.cli import main
from seatrial.control.reproduction.command import run_again
from seatrial.processes import free_port
from seatrial.registry.provenance import REQUIRED

TRAIN = """\
import csv, json, os
import joblib
from sklearn.linear_model import LogisticRegression

with open("train.csv") as file:
    rows = list(csv.DictReader(file))
x = [[float(row["amount"]), float(row["hour"])] for row in rows]
y = [int(row["fraud"]) for row in rows]
seed = SEED
model = LogisticRegression(C=1.0 + (seed % 999_983) / 10_000_000).fit(x, y)
joblib.dump(model, "model.joblib")
json.dump({"accuracy": model.score(x, y)}, open("metrics.json", "w"))
print("trained")
"""
FIXED, RANDOM = "1", "1 + int.from_bytes(os.urandom(4), 'big')"
DATA = "amount,hour,fraud\n" + "".join(f"{n % 17},{n % 24},{int(n % 17 > 11)}\n" for n in range(200))
Command = Callable[..., Any]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """A project and, beside it, a repository in which somebody trains; the command line in that repository."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    root, repository = tmp_path / "shop", tmp_path / "repository"
    repository.mkdir()
    run_command(capsys, "init", root, "--name", "shop", "--api-port", free_port(), "--gateway-port", free_port())
    monkeypatch.setenv("SEATRIAL_PROJECT", str(root))
    monkeypatch.chdir(repository)
    return lambda *arguments, code=0: run_command(capsys, *arguments, code=code)


def git(*arguments: str) -> None:
    who = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    names = ("-c", "user.name=ann", "-c", "user.email=ann@example.com")
    subprocess.run(["git", *names, *arguments], check=True, capture_output=True, env={**os.environ, **who})


def trained(seed: str = FIXED, *, pin: str = "") -> None:
    """Code and environment committed, data beside them, and the model trained as a person does it."""
    import sklearn

    Path("train.py").write_text(TRAIN.replace("SEED", seed))
    Path("requirements.txt").write_text(f"scikit-learn=={pin or sklearn.__version__}\nnumpy>=1\n")
    Path(".gitignore").write_text("train.csv\nmodel.joblib\nmetrics.json\nlineage.yaml\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "train")
    Path("train.csv").write_text(DATA)
    subprocess.run([sys.executable, "train.py"], check=True, capture_output=True)


def registered(shop: Command, accuracy: float = 0.9, **recipe: Any) -> None:
    made = {
        "command": ["python", "train.py"], "data": "train.csv", "model": "model.joblib", "metrics": "metrics.json",
        "environment": "requirements.txt", **recipe,
    }  # fmt: skip
    model = {"framework": "scikit-learn", "metrics": {"accuracy": accuracy}}
    Path("lineage.yaml").write_text(yaml.safe_dump({"model": model, "recipe": made}))
    shop("model", "register", "fraud", "--url", "http://127.0.0.1:9/", "--data", "train.csv",
         "--model-file", "model.joblib", "--lineage", "lineage.yaml")  # fmt: skip


def test_a_version_is_made_again_from_its_lineage_to_the_byte(shop: Command) -> None:
    trained()
    registered(shop)
    Path("model.joblib").unlink()
    Path("train.py").write_text("raise SystemExit('this is not what was committed')")
    document = shop("model", "reproduce", "fraud", "1", "--json")
    assert (document["reproduced"], document["by"], document["difference"]) == (True, "hash", None)
    assert [(check["what"], check["same"]) for check in document["checks"]] == [
        ("code", True), ("data", True), ("environment", True), ("command", True), ("model", True)
    ]  # fmt: skip
    assert "is not what was committed" in Path("train.py").read_text(), "the user's own tree is left alone"
    listed = subprocess.run(["git", "worktree", "list"], check=True, capture_output=True, text=True).stdout
    assert len(listed.splitlines()) == 1, "nothing is left behind"


def test_it_runs_without_secrets_but_with_the_same_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model trained with other kernels of linear algebra differs in its last bits."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    python, log = Path(sys.executable), tmp_path / "log"
    told = run_again(
        (str(python), "-c", "import os; print(dict(os.environ))"), tmp_path, python=python, log=log, timeout_s=60
    )
    assert (told, "hidden" in log.read_text(), "'OPENBLAS_CORETYPE': 'Haswell'" in log.read_text()) == ("", False, True)


def test_one_byte_of_data_is_the_first_difference(shop: Command) -> None:
    trained()
    registered(shop)
    Path("train.csv").write_text(DATA.replace("0,0,0", "0,1,0", 1))
    document = shop("model", "reproduce", "fraud", "1", "--json", code=3)
    assert (document["reproduced"], document["difference"]["what"]) == (False, "data")
    assert [check["what"] for check in document["checks"]] == ["code", "data"], "nothing is trained on other data"
    assert "data differs" in shop("model", "reproduce", "fraud", "1", code=3)
    Path("elsewhere.csv").write_text(DATA)
    assert shop("model", "reproduce", "fraud", "1", "--data", "elsewhere.csv", "--json")["reproduced"]


@pytest.mark.slow
def test_a_seed_that_is_not_fixed_is_found_and_a_stated_tolerance_covers_it(shop: Command) -> None:
    """Other bytes every time: reproduced only where somebody said how far the metrics may be."""
    trained(RANDOM)
    registered(shop)
    strict = shop("model", "reproduce", "fraud", "1", "--json", code=3)
    assert strict["difference"] == {
        "what": "metrics", "expected": "no tolerance is stated", "found": "nothing to hold them against", "same": False,
    }  # fmt: skip
    registered(shop, accuracy=0.99, tolerance={"accuracy": 0.2})
    lenient = shop("model", "reproduce", "fraud", "2", "--json")
    assert (lenient["reproduced"], lenient["by"]) == (True, "metrics")
    registered(shop, accuracy=0.3, tolerance={"accuracy": 0.01})
    far = shop("model", "reproduce", "fraud", "3", "--json", code=3)
    assert (far["difference"]["what"], far["difference"]["expected"]) == ("metrics", "accuracy 0.3 ± 0.01")


@pytest.mark.slow
def test_other_packages_and_a_dirty_tree_are_found_before_anything_is_trained(shop: Command) -> None:
    trained(pin="0.0.1")
    registered(shop)
    document = shop("model", "reproduce", "fraud", "1", "--json", code=3)
    assert document["difference"]["what"] == "environment"
    assert document["difference"]["expected"] == "scikit-learn==0.0.1"
    Path("train.py").write_text("print('tuned by hand')")
    registered(shop)
    document = shop("model", "reproduce", "fraud", "2", "--json", code=3)
    assert [check["what"] for check in document["checks"]] == ["code"]
    assert document["difference"]["found"] == "changes that were not committed"


@pytest.mark.slow
def test_a_command_that_fails_says_why(shop: Command) -> None:
    trained()
    registered(shop, command=["python", "-c", "raise SystemExit('out of luck')"])
    document = shop("model", "reproduce", "fraud", "1", "--json", code=3)
    assert document["difference"]["found"] == "exit 1: out of luck"
    registered(shop, command=["python", "-c", "print('forgot to save')"])
    document = shop("model", "reproduce", "fraud", "2", "--json", code=3)
    assert document["difference"]["found"] == "'model.joblib' was not written", "not the one that lies in the tree"


BASE = ("model", "register", "ct", "--url", "http://127.0.0.1:9/", "--code-commit", "1f0c2aa", "--data-digest",
        "sha256:" + "d" * 64, "--data-rows", "100", "--model-digest", "sha256:" + "a" * 64,
        "--model-framework", "torch 2")  # fmt: skip
SPAN = ("--data-start", "2026-01-01T00:00Z", "--data-end", "2026-02-01T00:00Z")
TOLD = {"device": "CT 7", "site": "north", "labeler": "dr-ann", "labelVersion": "3", "language": "en"}


def facts(*names: str) -> list[str]:
    return [part for name in names for part in ("--fact", f"{name}={TOLD[name]}")]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in REQUIRED.items() for name in names])
def test_each_fact_that_a_type_needs_is_missed_by_name(
    shop: Command, capsys: pytest.CaptureFixture[str], kind: str, name: str
) -> None:
    needed = REQUIRED[kind]  # type: ignore[index]
    others = facts(*(other for other in needed if other != name))
    with pytest.raises(SystemExit) as ended:
        main([*BASE, *SPAN, "--data-type", kind, *others])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "ST1582" in said
    assert [one for one in TOLD if f"data.provenance.{one} " in said] == [name]
    assert f"--fact {name}=" in said, "and how to give it"
    made = shop(*BASE, *SPAN, "--data-type", kind, *others, *facts(name), "--json")
    assert made["version"] == 1, "with it, it is registered"
    assert made["lineage"]["data"]["provenance"] == {one: TOLD[one] for one in needed}


def test_a_snapshot_without_its_time_range_and_a_clinical_model_without_a_type_are_refused(
    shop: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*flags: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main([*BASE, *flags])
        assert ended.value.code == 2
        return capsys.readouterr().err

    assert "data.start" in refused("--data-type", "tabular", "--data-end", "2026-02-01T00:00Z")
    assert "data.end" in refused("--data-type", "tabular", "--data-start", "2026-02-01T00:00Z")
    assert "ST1581" in refused(*SPAN, "--data-type", "image", "--fact", "scanner=CT 7")
    shop(*BASE)
    shop("model", "safety", "ct", "--impact", "clinical")
    assert "data.type" in refused(*SPAN)
    assert shop(*BASE, *SPAN, "--data-type", "tabular", "--json")["version"] == 2
    image = shop(*BASE, *SPAN, "--data-type", "image", *facts(*REQUIRED["image"]), "--json")
    assert image["version"] == 3
    newer = shop(*BASE, *SPAN, "--data-type", "image", *facts("device", "site", "labeler"),
                 "--fact", "labelVersion=4", "--json")  # fmt: skip
    changed = shop("model", "diff", "ct", image["version"], newer["version"], "--json")["changes"]
    assert [(one["part"], one["what"], one["before"], one["after"]) for one in changed] == [
        ("data", "labelVersion", "3", "4")
    ]


def test_what_a_triage_asks_for_can_be_told_by_flags(shop: Command) -> None:
    told = ("--target", "a finding", "--population", "adults", "--algorithm", "convolutional network")
    lineage = shop(*BASE, *told, "--json")["lineage"]
    assert (lineage["data"]["target"], lineage["data"]["population"]) == ("a finding", "adults")
    assert lineage["model"]["algorithm"] == "convolutional network"
    reasons = shop("change", "triage", "ct", "--from", 1, "--json", code=5)["reasons"]
    assert not {"target", "population", "algorithm"} & {one["what"] for one in reasons if one["rule"] == "unknown"}


def test_hours_of_the_time_range_are_a_difference_too(shop: Command) -> None:
    for end in ("2026-02-01T00:00Z", "2026-02-01T06:00Z"):
        shop(*BASE, "--data-start", "2026-01-01T00:00Z", "--data-end", end)
    (changed,) = shop("model", "diff", "ct", 1, 2, "--json")["changes"]
    assert (changed["before"], changed["after"]) == (
        "2026-01-01 to 2026-02-01", "2026-01-01 to 2026-02-01T06:00:00Z",
    )  # fmt: skip


def test_the_time_range_is_kept_in_utc(shop: Command) -> None:
    data = shop(*BASE, "--data-start", "2026-01-01T00:00:00Z", "--data-end", "2026-02-01T00:00:00Z", "--json")
    assert datetime.fromisoformat(data["lineage"]["data"]["start"]) == datetime(2026, 1, 1, tzinfo=UTC)
