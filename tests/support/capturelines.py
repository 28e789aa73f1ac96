"""Lines of the capture log as Envoy writes them."""

import json

BODIES = ("req", "req_b64", "req_cut", "resp", "resp_b64", "resp_cut", "feat")


def written(facts):
    """A line of these facts: what the capture filter kept is an object of its own."""
    kept = {key: value for key, value in facts.items() if key in BODIES}
    return json.dumps({**{key: value for key, value in facts.items() if key not in BODIES}, "body": kept})


def read(line):
    """The facts of a line."""
    facts = json.loads(line)
    return facts | facts.pop("body", {})
