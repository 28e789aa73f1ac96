"""The files that ``seatrial init`` writes."""

from __future__ import annotations

from typing import Final

CONFIG: Final = """\
# A seatrial project. All settings: `seatrial config schema`. What is in force: `seatrial config show`.
project: {name}

# Where models, rollouts, decisions and the audit log are kept. SQLite here; in production for example
# store: postgresql://seatrial@db.internal/seatrial
store: .seatrial/store.db

# The control plane's API (token in .seatrial/run/token), and the gateway that your clients call:
# POST http://127.0.0.1:{gateway_port}/models/NAME/<path of your model server>
api:
  port: {api_port}
gateway:
  port: {gateway_port}

# How long a client waits at most, and how long one version gets before the next one in its chain is asked.
timeouts:
  request: 2s
  attempt: 500ms

# wall: live traffic. replay: event time comes from the request header x-event-time, to rehearse on past data.
clock: wall
"""

PLAN: Final = """\
# A release plan: what is watched, how much loss is tolerable, and the steps from shadow to everyone.
# Check it with `seatrial plan validate FILE`, see what it means with `seatrial plan explain FILE`.
apiVersion: seatrial/v1
kind: Plan
name: standard
description: Shadow first, then 1%, 10% and 50% of the units, then everyone.

# Metrics. A guardrail can stop the release and must pass before everyone gets it; a signal is only shown.
# A margin is the loss you can live with, with its unit: 2% (relative) or 1pp (points of a share).
metrics:
  - name: errors            # requests the new version did not answer with a valid prediction, counted once a unit
    kind: error_rate
    margin: 1pp
    limit: 20%              # beyond this the canary is taken out at once, without waiting for statistics
  - name: slow              # answers slower than the threshold, counted once a unit
    kind: latency
    threshold: 500ms
    margin: 2pp
  - name: requests_per_unit # do units come back less often?
    kind: requests_per_unit
    role: signal
  # What the predictions are worth is what matters most. Send outcomes (`seatrial outcomes import`) and add, e.g.:
  # - name: log_loss        # the model's own score against what happened
  #   kind: loss
  #   loss: log_loss
  #   outcome: label        # the name your outcomes carry
  #   horizon: 24h          # how long after the prediction the outcome counts
  #   margin: 2%
  # - name: conversion
  #   kind: proportion
  #   outcome: converted
  #   horizon: 7d
  #   margin: 1%

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
onDeadline: hold
"""
