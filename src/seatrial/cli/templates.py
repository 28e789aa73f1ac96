"""The files that ``seatrial init`` writes.

A line that begins with ``#`` and no space is a setting at its default: without the ``#`` the file says the same. Other
comments begin with ``# ``.
"""

from __future__ import annotations

import json
from typing import Final

import yaml

CONFIG: Final = """\
# A seatrial project. What begins with '#' and no space is a setting at its default: uncomment it to change it.
# All settings and their forms: `seatrial config schema`. What is in force: `seatrial config show`.
project: {name}

# For people and pipelines: pages, HTTP API, metrics. Calls that change something need the token in .seatrial/run/token.
# names: further Host names it answers to. openReads: whether reading needs no token (null: on loopback it does not).
api:
  port: {api_port}
  #host: 127.0.0.1
  #names: []
  #openReads: null

# For your services: POST http://127.0.0.1:{gateway_port}/models/NAME/<path of your model server>
gateway:
  port: {gateway_port}
  #host: 127.0.0.1

# How long a client waits at most, and how long one version gets before the next one in its chain is asked.
#timeouts: {{request: 2s, attempt: 500ms}}

# What a model host may take of the memory, e.g. 2GiB (null: all there is).
#hosts: {{memory: null}}

# The log of requests as they came, bodies and unit ids, lives until it is read; what is kept of it lives longer.
#capture: {{rotate: 64MiB, rotateEvery: 1h, retention: 90d}}

# provenFor: how long a measured time to serve of a standby holds. retention: how long a champion that was replaced is
# kept as the way home (null: until the next promotion takes its place).
#standby: {{provenFor: 30d, retention: null}}

# How often the way home is rehearsed, by tier, and what a drill must achieve (null: nothing is due), for example
#   {{tier1: 30d, tier2: 91d, tier3: 365d, owner: ann, participants: [bob], businessHours: "09:00-17:00",
#    unannounced: true, seed: 7, share: 1%, targets: {{detect: 60s, zero: 60s}}}}
#drills: null

# Who says yes to a release before it begins (null: nobody is asked): people and their other names, who holds which
# function, who belongs to a model's owner; how many must is said by triage.yaml, and at least by this, for example
#   {{people: {{ann: [ann@example.com]}}, roles: {{risk: [ann, bob]}}, teams: {{credit: [carl]}},
#    least: {{count: 1, roles: [risk], within: 5d}}, expires: 30d,
#    emergency: {{roles: [admin], lasts: 4h, reviewWithin: 3d}}}}
#approvals: null

# Who is told when something happens, for example
#   - {{name: ops, format: slack, urlEnv: SLACK_URL, kinds: ["rollout.*"], minSeverity: warning}}
#alerts: []

# What proves that nobody rewrote the audit log: its end, signed and kept where the log's owner cannot change it.
# key and files lie outside of .seatrial; trusted: public keys that signed before. `seatrial model keygen` makes a key.
#   {{key: ~/keys/seatrial.pem, trusted: [], every: 1d, anchors: [{{name: vault, file: /mnt/worm/anchors.jsonl}}]}}
#audit: {{key: "", trusted: [], every: 1d, anchors: []}}

# How long records are kept (null: events as long as capture says, all else for ever), of all models or of one, as in
#   {{evidence: 3653d, models: {{credit: {{events: 365d}}}}}}. Tier 1 and regulated models have floors: docs/audit.md.
#retention: {{events: null, evidence: null, artifacts: null, audit: forever, decisions: forever, models: {{}}}}

# An MLflow server (trackingUri and registryUri empty: MLFLOW_TRACKING_URI and MLFLOW_REGISTRY_URI say where). models:
# the registered model of each model here. Whoever moves @champion there (onMoved: request, or revert) or tags a version
# seatrial.request=rollout asks for a rollout by `plan`, or by that of its model in `plans`, for example
#   {{trackingUri: "http://127.0.0.1:5000", models: {{fraud: fraud-risk}}, plan: plans/standard.yaml}}
#mlflow: {{trackingUri: "", registryUri: "", models: {{}}, poll: 10s, aliases: {{}}, onMoved: request, plan: "",
  #plans: {{}}, trustPickle: false, anchors: false}}

# Signed artifacts: key signs what is registered from here, trusted are the public keys that count, required the tiers
# of which nothing unsigned is loaded, for example {{key: ~/keys/seatrial.pem, trusted: ["ed25519:..."], required: [1]}}
#signing: {{key: "", trusted: [], required: []}}

# Models, rollouts, decisions and the audit log. SQLite here; in production for example
# postgresql://seatrial@db.internal/seatrial, with the extra seatrial[postgres].
#store: .seatrial/store.db

# wall: live traffic. replay: event time comes from the request header x-event-time, to rehearse on past data.
#clock: wall
"""

_METRICS: Final = """\
  - name: errors            # requests the new version did not answer with a valid prediction, counted once a unit
    kind: error_rate
    margin: {errors}
    limit: 20%              # beyond this the canary is taken out at once, without waiting for statistics
  - name: slow              # answers slower than the threshold, counted once a unit
    kind: latency
    threshold: 300ms
    margin: {slow}
  # What the predictions are worth matters most. It needs outcomes: what became of each prediction, reported within the
  # horizon (every pause must be longer). Here: how far the score was from a 0 or 1. Other kinds: docs/plans.md.
  {mark}- {{name: log_loss, kind: loss, loss: log_loss, outcome: {outcome}, horizon: {horizon}, margin: 5%}}
  # Of a model that answers with ranked lists: what was clicked, among the first k; and how alike a shadow's lists are,
  # by statistic rbo, topK or kendall.
  # - {{name: found, kind: ndcg, outcome: click, horizon: {horizon}, missing: zero, k: 10, role: signal}}
  # - {{name: lists, kind: agreement, statistic: rbo, floor: 0.8}}
"""

_REST: Final = """
# The rest, at its defaults: see docs/plans.md.
#timeBucket: 1h
#unit: null
#segments: []
#decision: null
#alpha: {rollback: 0.05, promotion: 0.05, srm: 0.001}
#strikes: {perStep: 2, total: 4}
#marginAtMost: null
#justifyMargins: null
#erosionAtMost: null
#onReconciledHarm: null
#backWithin: null
#pacing: null
#impact: null
#ethics: null
#floors: null
# A share of the units that stays on the version before after a promotion, until the last reconciliation: holdout: 5%.
#holdout: null
#holdoutUntil: null
# Of features that champion and shadow say they used; null: {maxDivergence: 1%, tolerance: 1e-9, staleness: 60s}.
#inputs: null
"""

_QUICK: Final = """\
# For a first try: some minutes of traffic decide. Wide margins, no shadow; plans/standard.yaml is for real releases.
# `seatrial plan validate FILE` checks it, `seatrial plan explain FILE` says what it means.
name: quick
description: 20% of the units, then half of them, then everyone.

# A guardrail can stop a release and must pass before everyone gets it. Its margin is the loss you can live with, with
# its unit: 2% (relative) or 1pp (points of a share).
metrics:
{metrics}
# A step ends when it has lasted its pause and every guardrail excludes a loss beyond `tolerance` margins (3x unless
# `analysis` says otherwise; the margin itself before everyone).
steps:
  - setWeight: 20%
  - pause: {{duration: 30s}}
  - setWeight: 50%
  - pause: {{duration: 30s}}

# How often the evidence is judged, and when to stop waiting for it.
lookEvery: 5s
deadline: 1h
onDeadline: abort
{rest}"""

_STANDARD: Final = """\
# A release plan: what is watched, how much loss is tolerable, and the steps from shadow to everyone.
# `seatrial plan validate FILE` checks it, `seatrial plan explain FILE` says what it means.
name: standard
description: Shadow first, then 1%, 10% and 50% of the units, then everyone.

# A guardrail can stop a release and must pass before everyone gets it; a signal is only shown. A margin is the loss you
# can live with, with its unit: 2% (relative) or 1pp (points of a share).
metrics:
{metrics}  - name: requests_per_unit # do units come back less often?
    kind: requests_per_unit
    role: signal

# Steps, one key each. `pause` is the least time; guardrails watch all along, and a step ends only when its samples are
# there and a loss beyond `tolerance` margins is excluded (3x by default, the margin itself before everyone).
# `pause: {{}}` waits for `seatrial rollout promote`.
steps:
  - shadow: {{share: 100%}}   # a copy of the requests; nobody sees the answers
  - pause: {{duration: 1h}}
  - analysis: {{minPairs: 500}}
  - setWeight: 1%
  - pause: {{duration: 1h}}
  - setWeight: 10%
  - pause: {{duration: 6h}}
  - setWeight: 50%
  - pause: {{duration: 12h}}
  - setWeight: 100%

# After this nothing advances any more: hold (keep the split and wait for somebody) or abort.
deadline: 14d
#onDeadline: hold
#lookEvery: 10s
{rest}"""


def files(*, name: str, api_port: int, gateway_port: int, outcome: str = "") -> dict[str, str]:
    """Path → text of a new project. ``outcome``: what will be reported about predictions; none is known if empty."""
    scored = {"mark": "" if outcome else "#", "outcome": _scalar(outcome or "label")}
    quick = _METRICS.format(errors="2pp", slow="5pp", horizon="10s", **scored)
    standard = _METRICS.format(errors="1pp", slow="2pp", horizon="30m", **scored)
    return {
        "seatrial.yaml": CONFIG.format(name=_scalar(name), api_port=api_port, gateway_port=gateway_port),
        "plans/quick.yaml": _QUICK.format(metrics=quick, rest=_REST),
        "plans/standard.yaml": _STANDARD.format(metrics=standard, rest=_REST),
    }


def _scalar(text: str) -> str:
    """Text as YAML reads it back: quoted where it would be a number, a truth value or two words with a colon."""
    try:
        plain = yaml.safe_load(f"[{text}]") == [text]
    except yaml.YAMLError:
        plain = False
    return text if plain else json.dumps(text, ensure_ascii=False)
