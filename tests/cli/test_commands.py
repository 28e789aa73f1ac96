"""What the commands say, where they say it, and how they end."""

from __future__ import annotations

import getpass
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from seatrial.ids import Digest
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Serving
from seatrial.store.plans import check_plan, read_plan

DIGEST = Digest("sha256:" + "a" * 64)
LINEAGE = ArtifactLineage(CodeRef("1f0c2aa", dirty=False), DataRef(DIGEST, 1000), ModelRef(DIGEST, "sklearn"))


# ── project ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_init_writes_a_plan_that_can_be_honoured_and_says_what_is_next(run: Any, root: Path) -> None:
    assert check_plan(read_plan(root / "plans" / "standard.yaml")).name == "standard"
    said = run("config", "show", "--json")
    assert said.json["config"]["project"] == "shop"
    other = run("init", root / "other")
    assert "seatrial --project" in other.out
    assert other.out.count("\n  seatrial") == 4


def test_init_overwrites_nothing(run: Any, root: Path) -> None:
    before = (root / "seatrial.yaml").read_text()
    said = run("init", ".")
    assert (said.code, said.out) == (1, "")
    assert "ST0863 'seatrial.yaml' is there already" in said.err
    assert (root / "seatrial.yaml").read_text() == before


def test_without_a_project_the_error_says_how_to_make_one(run: Any, tmp_path: Path) -> None:
    said = run("--project", tmp_path, "model", "list")
    assert said.code == 1
    assert "ST0801" in said.err
    assert "seatrial init" in said.err
    assert "Traceback" not in said.err


def test_version_help_and_usage(run: Any) -> None:
    assert run("--version").out.startswith("seatrial ")
    assert "rollout" in run("--help").out
    assert run("nonsense").code == 2
    assert run("rollout", "get").code == 2


def test_doctor_finds_what_is_wrong(run: Any, shop: Path) -> None:
    document = run("doctor", "--json").json
    checks = {check["name"]: check for check in document["checks"]}
    assert checks["audit log"]["found"].endswith("unbroken")
    assert checks["api port"]["found"].endswith("is free: not running")
    assert not checks["champion"]["ok"], "nothing listens on port 9"
    (shop / ".seatrial" / "run").chmod(0o755)
    said = run("doctor")
    assert said.code == 1
    assert "✖ directories" in said.out
    assert "chmod go-rwx" in said.out


def test_doctor_calls_a_broken_store_by_its_name(run: Any, root: Path) -> None:
    (root / ".seatrial" / "store.db").write_bytes(b"no database" * 1000)
    said = run("doctor")
    assert said.code == 6
    assert "✖ store" in said.out


def test_logs_shows_the_last_lines(run: Any, root: Path) -> None:
    (root / ".seatrial" / "log" / "control.log").write_text("one\ntwo\nthree\n")
    assert run("logs", "-n", "2").out == "two\nthree\n"
    said = run("logs", "gateway")
    assert said.code == 1
    assert "There are: control." in said.err


# ── models ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_adopt_and_register_without_a_running_system(run: Any, root: Path) -> None:
    assert run("model", "adopt", "fraud", "--url", "http://127.0.0.1:9/", "--owner", "risk").code == 0
    data, artifact = root / "train.csv", root / "model.skops"
    data.write_text('a,b\n1,"x\ny"\n2,z\n')
    artifact.write_bytes(b"weights")
    said = run(
        "model", "register", "fraud", "--artifact", artifact, "--format", "skops", "--features", "a, b",
        "--code-commit", "1f0c2aa", "--data", data, "--model-framework", "sklearn", "--param", "depth=6",
        "--param", "loss=log", "--metric", "auc=0.9", "--trusted-type", "x.Y", "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    version = said.json
    assert version["version"] == 2
    assert version["serving"]["features"] == ["a", "b"]
    assert version["lineage"]["data"]["rows"] == 2
    assert version["lineage"]["data"]["name"] == "train.csv"
    assert version["lineage"]["model"]["hyperparameters"] == {"depth": 6, "loss": "log"}
    assert version["lineage"]["model"]["digest"] == version["serving"]["artifact"]
    stored = root / ".seatrial" / "artifacts" / version["serving"]["artifact"].removeprefix("sha256:")
    assert (stored / "model.skops").read_bytes() == b"weights"
    assert run("model", "show", "fraud", "2", "--json").json == version
    assert [m["name"] for m in run("model", "list", "--json").json["models"]] == ["fraud"]
    table = run("model", "show", "fraud").out
    assert "1f0c2aa" in table
    assert "train.csv (2 rows)" in table


def test_a_lineage_file_that_names_the_file_means_the_stored_artifact(run: Any, root: Path) -> None:
    from seatrial.cli.model.lineage import file_digest

    artifact = root / "m.skops"
    artifact.write_bytes(b"weights")
    digest = "sha256:" + "c" * 64
    lineage = {
        "code": {"commit": "1f0c2aa", "dirty": False},
        "data": {"digest": digest, "rows": 3},
        "model": {"digest": file_digest(artifact), "framework": "sklearn"},
    }
    given = ("model", "register", "fraud", "--artifact", artifact, "--format", "skops", "--features", "a,b")
    given = (*given, "--lineage", "l.json")
    (root / "l.json").write_text(json.dumps(lineage))
    made = run(*given, "--json").json
    assert made["lineage"]["model"]["digest"] == made["serving"]["artifact"]
    assert made["lineage"]["code"]["commit"] == "1f0c2aa"
    lineage["model"]["digest"] = digest
    (root / "l.json").write_text(json.dumps(lineage))
    said = run(*given)
    assert (said.code, "ST0103" in said.err) == (2, True), "another artifact's lineage is refused"
    lineage["modle"] = lineage.pop("model")
    (root / "l.json").write_text(json.dumps(lineage))
    assert "lineage.modle is unknown" in (said := run(*given)).err
    assert "Did you mean 'model'?" in said.err


def test_what_is_missing_from_a_lineage_is_named(run: Any, root: Path) -> None:
    said = run("model", "register", "fraud", "--url", "http://127.0.0.1:9/", "--code-commit", "abc")
    assert said.code == 2
    assert "no data" in said.err
    assert "no model" in said.err


def test_git_tells_commit_and_changes(tmp_path: Path) -> None:
    import subprocess

    from seatrial.cli.model.lineage import git_code

    assert git_code(tmp_path) is None

    def git(*arguments: str) -> None:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        subprocess.run(command, check=True, capture_output=True)

    git("init", "-q")
    git("remote", "add", "origin", "https://user:secret@git.example/shop.git")
    (tmp_path / "a.py").write_text("a = 1\n")
    git("add", ".")
    git("commit", "-qm", "first")
    clean = git_code(tmp_path)
    assert clean is not None
    assert (clean["dirty"], clean["changes"], clean["repository"]) == (False, None, "https://git.example/shop.git")
    (tmp_path / "a.py").write_text("a = 2\n")
    dirty = git_code(tmp_path)
    assert dirty is not None
    assert (dirty["commit"], dirty["dirty"]) == (clean["commit"], True)
    assert dirty["changes"].startswith("sha256:")


# ── plans ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_field_of_a_plan_gets_the_nearest_name(run: Any, root: Path) -> None:
    metric = "{name: e, kind: error_rate, margin: 1pp}"
    (root / "p.yaml").write_text(f"name: p\nsteps: [{{setWieght: 10%}}]\nmetrics: [{metric}]")
    said = run("plan", "validate", "p.yaml")
    assert (said.code, said.out) == (2, "")
    assert "steps[0].setWieght is unknown, did you mean 'setWeight'?" in said.err
    assert run("plan", "validate", "p.yaml", "--json").json["problems"][0]["code"] == "ST0200"


def test_all_problems_of_a_plan_at_once(run: Any, root: Path) -> None:
    steps = "[{pause: {}}, {setWeight: 100%}]"
    (root / "p.yaml").write_text(f"name: p\nsteps: {steps}\nmetrics: [{{name: e, kind: latency}}]\n")
    said = run("plan", "validate", "p.yaml")
    assert said.code == 2
    assert {"ST0202", "ST0208", "ST0212", "ST0215"} <= set(said.err.split())
    document = run("plan", "validate", "p.yaml", "--json")
    assert (document.code, document.json["ok"], len(document.json["problems"])) == (2, False, 4)
    assert run("plan", "explain", "p.yaml").code == 2


def test_a_plan_is_explained(run: Any, shop: Path) -> None:
    plan = shop / "plans" / "standard.yaml"
    assert run("plan", "validate", plan).code == 0
    document = run("plan", "explain", plan, "--json").json
    assert [stage["name"] for stage in document["stages"]] == ["shadow", "canary 1%", "canary 10%", "canary 50%"]
    spent = sum(alpha for g in document["guardrails"] for alpha in g["alpha"].values())
    assert spent == pytest.approx(0.05)
    text = run("plan", "explain", plan, "--model", "fraud").out
    assert "canary 10%" in text
    assert "No forecast: no rollout of fraud has measured these guardrails yet." in text
    assert run("plan", "explain", plan, "--model", "nix").code == 1
    assert "properties" in json.loads(run("plan", "schema").out)


# ── rollouts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rollout_by_hand(run: Any, shop: Path, api: Any) -> None:
    started = run("rollout", "start", "fraud", 2, "--plan", "plans/standard.yaml")
    assert (started.code, started.out) == (0, "✔ rollout 'r-0001' started: fraud v2 by plans/standard.yaml\n")
    assert run("rollout", "status", "fraud").code == 0
    assert "⟳ r-0001\n├── ◌ shadow" in run("rollout", "get", "fraud").out
    document = run("rollout", "get", "r-0001", "--json").json
    assert (document["schema"], document["status"]) == ("seatrial.rollout.v1", "running")
    assert run("rollout", "pause", "fraud", "--reason", "lunch").out == "✔ rollout 'r-0001' paused; canary 0%\n"
    paused = run("rollout", "status", "fraud")
    assert (paused.code, "॥ Paused" in paused.out, "lunch" in paused.out) == (4, True, True)
    assert run("rollout", "resume", "fraud").code == 0
    assert "r-0001" in run("rollout", "list").out
    assert "no look has been taken" not in run("rollout", "explain", "fraud").out
    assert run("rollout", "abort", "fraud", "--reason", "enough").code == 0
    gone = run("rollout", "status", "r-0001", "--json")
    assert (gone.code, gone.json["status"]) == (3, "aborted")
    again = run("rollout", "abort", "r-0001")
    assert (again.code, again.out) == (0, "rollout 'r-0001' is aborted: nothing to do\n")
    assert run("rollout", "undo", "r-0001").code == 0
    assert run("rollout", "list", "--active", "--json").json["rollouts"] == []


def test_promote_full_needs_a_reason_and_undo_goes_back(run: Any, shop: Path, api: Any) -> None:
    run("rollout", "start", "fraud", 2, "--plan", "plans/standard.yaml")
    assert run("rollout", "promote", "fraud", "--full").code == 2
    said = run("rollout", "promote", "fraud", "--full", "--reason", "fire")
    assert (said.code, said.out) == (0, "✔ rollout 'r-0001' fully promoted; canary 100%\n")
    assert run("rollout", "status", "fraud").code == 0
    assert run("model", "show", "fraud", "--json").json["pointers"]["champion"] == 2
    assert run("rollout", "undo", "fraud").out == f"✔ fraud rolled back by {getpass.getuser()} in 1.2 ms: undo r-0001\n"


def test_undo_of_a_promotion_that_was_overtaken_is_a_conflict(run: Any, shop: Path, api: Any) -> None:
    for version in (2, 3):
        if version == 3:
            api.register("fraud", Serving(kind="url", url="http://127.0.0.1:9/"), LINEAGE, actor="ann")
        run("rollout", "start", "fraud", version, "--plan", "plans/standard.yaml")
        run("rollout", "promote", "fraud", "--full", "--reason", "fire")
    said = run("rollout", "undo", "r-0001")
    assert said.code == 1
    assert "which is v3 now" in said.err
    assert "seatrial rollback fraud" in said.err


def test_watching_ends_with_the_rollout_or_the_time(run: Any, shop: Path, api: Any) -> None:
    run("rollout", "start", "fraud", 2, "--plan", "plans/standard.yaml")
    waited = run("rollout", "status", "fraud", "--watch", "--timeout", "10ms")
    assert waited.code == 4
    assert run("rollout", "status", "fraud", "--watch", "--timeout", "soon").code == 2
    api.by_hand("r-0001", "abort", reason="over", actor="ann")
    followed = run("rollout", "get", "fraud", "--watch")
    assert (followed.code, "✖ Aborted" in followed.out) == (3, True)


def test_reading_works_and_changing_says_how_to_start_it_when_nothing_runs(run: Any, shop: Path) -> None:
    said = run("rollout", "start", "fraud", 2, "--plan", "plans/standard.yaml")
    assert (said.code, said.out) == (1, "")
    assert "the control plane of project 'shop' is not running" in said.err
    assert "seatrial up" in said.err
    assert run("rollout", "list").code == 0
    assert "there is no rollout 'r-0001'" in run("rollout", "get", "r-0001").err
    assert "has had no rollout" in run("rollout", "get", "fraud").err


def test_another_projects_server_gets_neither_token_nor_command(run: Any, shop: Path, api: Any, port: int) -> None:
    other = shop / "other"
    run("init", other, "--api-port", port, "--gateway-port", 1)
    said = run("--project", other, "model", "adopt", "fraud", "--url", "http://127.0.0.1:9/")
    assert said.code == 0, "it does not run, so it is written into its own store"
    said = run("--project", other, "rollout", "pause", "fraud")
    assert said.code == 1
    assert run("model", "list", "--json").json["models"][0]["versionCount"] == 2, "the other one is untouched"


# ── switches ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_kill_by_the_control_plane_prints_what_was_measured(run: Any, api: Any) -> None:
    assert run("kill", "fraud").code == 2, "a kill needs a reason"
    assert run("kill", "fraud", "--reason", "fire").out == f"✔ fraud killed by {getpass.getuser()} in 1.2 ms: fire\n"
    assert run("rollback", "fraud", "--json").json["split"] == {"v1": 1.0}


def test_kill_without_the_control_plane_writes_the_latch(run: Any, shop: Path) -> None:
    said = run("kill", "fraud", "--mode", "off", "--reason", "fire")
    assert said.code == 0
    assert "the latch is written and in force at the next start" in said.out
    assert "is not running" in said.err
    latch = json.loads((shop / ".seatrial" / "run" / "kill" / "fraud.json").read_text())
    assert (latch["mode"], latch["reason"]) == ("off", "fire")
    assert "off" in run("model", "show", "fraud").out
    assert run("kill", "frau", "--reason", "fire").code == 1
    assert run("revive", "fraud", "--reason", "over").code == 0
    assert not (shop / ".seatrial" / "run" / "kill" / "fraud.json").exists()


def test_kill_does_not_wait_for_a_control_plane_that_fails(run: Any, shop: Path, api: Any) -> None:
    def unavailable(*given: object, **named: object) -> None:
        from seatrial.errors import Unavailable

        raise Unavailable("ST0718", "Envoy did not confirm.")

    api.kill = unavailable
    said = run("kill", "fraud", "--reason", "fire")
    assert said.code == 0
    assert "Envoy did not confirm. Nor does its gateway run." in said.err
    assert (shop / ".seatrial" / "run" / "kill" / "fraud.json").exists()


# ── outcomes and audit ─────────────────────────────────────────────────────────────────────────────────────────────


def test_outcomes_come_from_files(run: Any, shop: Path) -> None:
    at = "2026-03-01T12:00:00Z"
    (shop / "o.csv").write_text(f"key,name,value,time\nq1,label,1,{at}\nq2,label,0,{at}\n")
    assert run("outcomes", "import", "o.csv", "--model", "fraud", "--json").json["accepted"] == 2
    assert (shop / ".seatrial" / "outcomes" / "outcomes.jsonl").read_text().count("\n") == 2
    assert run("outcomes", "import", "o.csv", "--model", "frau").code == 2
    assert run("outcomes", "import", "none.csv", "--model", "fraud").code == 2


def test_the_audit_log_is_shown_and_a_break_is_exit_6(run: Any, shop: Path) -> None:
    assert run("audit", "verify").out.startswith("✔ ")
    assert run("audit", "log", "--limit", 1, "--json").json["entries"][0]["action"] == "version.register"
    assert "version.register" in run("audit", "log").out
    with closing(sqlite3.connect(shop / ".seatrial" / "store.db")) as db, db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("UPDATE audit SET actor = 'eve' WHERE seq = 3")
    said = run("audit", "verify", "--json")
    assert said.code == 6
    assert said.json["firstBad"] == 3
    assert "entry 3" in said.err
    assert run("doctor").code == 6
