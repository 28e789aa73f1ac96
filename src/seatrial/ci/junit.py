"""A run as JUnit XML, as CI servers show it."""

from __future__ import annotations

from xml.etree import ElementTree

from seatrial.ci.pipeline import GROUPS
from seatrial.ci.results import Run


def junit(run: Run) -> str:
    """One suite for code, data and model each; a step that was left out is skipped, and says why."""
    root = ElementTree.Element("testsuites", name=f"seatrial {run.event} {run.id}")
    for group in GROUPS:
        steps = [step for step in run.steps if step.group == group]
        failed = sum(step.status == "failed" for step in steps)
        skipped = sum(step.status in ("skipped", "left_out") for step in steps)
        suite = ElementTree.SubElement(
            root, "testsuite", name=group, tests=str(len(steps)), failures=str(failed), skipped=str(skipped),
            errors="0", time=f"{sum(step.seconds for step in steps):.3f}", timestamp=run.started_at.isoformat(),
        )  # fmt: skip
        for step in steps:
            case = ElementTree.SubElement(
                suite, "testcase", classname=f"{run.model or 'project'}.{group}", name=step.name,
                time=f"{step.seconds:.3f}",
            )  # fmt: skip
            if step.status == "failed":
                ElementTree.SubElement(case, "failure", message=step.reason)
            elif step.status != "passed":
                ElementTree.SubElement(case, "skipped", message=step.reason)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
