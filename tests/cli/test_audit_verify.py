"""``audit verify`` at the terminal: an exit code and the name of the entry."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from seatrial.cli import main
from seatrial.store.db import Store


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "seatrial.yaml").write_text("project: shop\n")
    with Store.open(tmp_path / ".seatrial" / "store.db") as store, store.begin() as tx:
        for n in range(1, 6):
            tx.audit.append("ann", "test.act", f"thing/{n}", {}, datetime(2026, 3, 1, tzinfo=UTC))
    return tmp_path


def verify(project: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        main(["--project", str(project), "audit", "verify", *options])
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out + said.err


def rewrite(project: Path) -> None:
    """Another history from entry 4 on, each hash made to fit: what only an anchor elsewhere can tell."""
    path = project / ".seatrial" / "store.db"
    with sqlite3.connect(path) as db:
        for verb in ("update", "delete"):
            db.execute(f"DROP TRIGGER audit_no_{verb}")
        db.execute("DELETE FROM audit WHERE seq > 3")
        (left,) = db.execute("SELECT hash FROM audit WHERE seq = 3").fetchone()
        db.execute("UPDATE audit_head SET seq = 3, hash = ?", (left,))
    db.close()
    with Store.open(path) as store, store.begin() as tx:
        for n in (4, 5):
            tx.audit.append("bob", "test.act", f"thing/{n}", {}, datetime(2026, 3, 1, tzinfo=UTC))


def test_one_byte_is_enough(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = verify(project, capsys)
    assert (code, "5 entries, unbroken; the last one is 5:sha256:" in said) == (0, True)
    path = project / ".seatrial" / "store.db"
    with sqlite3.connect(path) as db:
        db.execute("DROP TRIGGER audit_no_update")
        db.execute("UPDATE audit SET object = CAST(x'f468696e672f33' AS TEXT) WHERE seq = 3")  # \xf4hing/3
    db.close()
    code, said = verify(project, capsys)
    assert code == 6
    assert "ST0620 audit log: entry 3: is not what was written." in said


def test_a_rewritten_history_is_found_by_an_anchor_from_before(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anchor = verify(project, capsys)[1].partition("the last one is ")[2].split()[0]
    assert verify(project, capsys, "--anchor", anchor)[0] == 0
    rewrite(project)
    assert verify(project, capsys)[0] == 0, "the chain alone cannot tell"
    code, said = verify(project, capsys, "--anchor", anchor)
    assert (code, "entry 5: is not the entry that was anchored" in said) == (6, True)
    assert verify(project, capsys, "--anchor", "5:0")[0] == 2
