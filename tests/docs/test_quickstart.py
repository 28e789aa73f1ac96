"""The quickstart's commands and files are what a reader needs. Its decisions are taken in tests/quickstart."""

from __future__ import annotations

from pathlib import Path

import pytest

from reader import SERVERS, STORY, Read, Step, answer_to, steps

EXAMPLES = Path(__file__).parents[2] / "examples" / "quickstart"


@pytest.mark.live
@pytest.mark.timeout(300)
@pytest.mark.slow
def test_every_command_works(reader: Read) -> None:
    """All blocks but those that wait for a decision, typed in an empty directory."""
    told = [
        step for step in steps(*(part for part in STORY if part != "A worse version")) if "--watch" not in step.text
    ]
    someone = reader(9001, 9002, 9003)
    looking = next(n for n, step in enumerate(told) if "seatrial doctor" in step.text)
    said = someone.go_through(told[: looking + 1])
    assert "purchase" in someone.page(8700), "the live page shows the model"
    said |= someone.go_through(told[looking + 1 :])
    assert "x-seatrial-arm: champion" in answer_to(said, "curl -s -i")
    assert "rollout 'r-0001' started" in answer_to(said, "rollout start")
    assert "✖" not in answer_to(said, "seatrial doctor"), "a project by the book is healthy"
    assert '"accepted":1' in answer_to(said, "/v1/outcomes").replace(" ", "")
    assert "purchase" in (someone.home / "report.html").read_text(encoding="utf-8")
    assert "stopped gateway" in answer_to(said, "seatrial down")


@pytest.mark.parametrize("path", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_the_files_of_the_page_are_those_of_the_example(path: Path) -> None:
    saved = {step.file: step.text for step in steps(*STORY, *SERVERS) if step.file}
    assert saved[path.name] == path.read_text(encoding="utf-8")
    assert sorted(saved) == sorted(path.name for path in EXAMPLES.iterdir())


def test_a_block_that_fails_would_be_found(reader: Read) -> None:
    with pytest.raises(AssertionError, match="there is no seatrial"):
        reader().follow(Step("bash", "seatrial rollout list\necho never\n"))
