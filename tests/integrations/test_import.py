"""Manifests as people have them in their clusters, read as plans: what is taken over, warned of and refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from seatrial.errors import UsageError
from seatrial.integrations.manifests import read_manifests
from seatrial.store.plans import check_plan, plan_of

ROLLOUT = """
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: fraud-scorer, namespace: ml}
spec:
  replicas: 8
  selector: {matchLabels: {app: fraud-scorer}}
  template: {spec: {containers: [{name: scorer, image: "registry.example.com/fraud:1.9"}]}}
  strategy:
    canary:
      canaryService: fraud-canary
      stableService: fraud-stable
      trafficRouting: {istio: {virtualService: {name: fraud}}}
      analysis:
        templates: [{templateName: success-rate}]
        startingStep: 2
        args: [{name: service, value: fraud-canary}]
      steps:
        - setMirrorRoute: {name: mirror, percentage: 35, match: [{method: {exact: POST}}]}
        - pause: {duration: 30m}
        - setCanaryScale: {weight: 10}
        - setWeight: 5
        - pause: {duration: 10m}
        - setWeight: 20
        - pause: {duration: 600}
        - analysis: {templates: [{templateName: latency}]}
        - setWeight: 60
        - pause: {}
        - setWeight: 100
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: success-rate}
spec:
  args: [{name: service}]
  metrics:
    - name: success-rate
      interval: 5m
      count: 6
      failureLimit: 3
      successCondition: result[0] >= 0.95
      provider:
        prometheus:
          address: http://prometheus.example.com:9090
          query: |
            sum(irate(istio_requests_total{destination_service=~"{{args.service}}",response_code!~"5.*"}[5m]))
            / sum(irate(istio_requests_total{destination_service=~"{{args.service}}"}[5m]))
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: latency}
spec:
  dryRun: [{metricName: p99.*}]
  metrics:
    - name: p99-latency
      initialDelay: 2m
      failureCondition: result[0] > 0.25
      provider:
        prometheus:
          query: |
            histogram_quantile(0.99, sum(rate(http_request_duration_seconds_bucket{job="fraud"}[5m])) by (le))
"""

CANARY = """
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: ranker, namespace: prod}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: ranker}
  progressDeadlineSeconds: 60
  service: {port: 9898}
  analysis:
    interval: 1m
    threshold: 10
    maxWeight: 50
    stepWeight: 20
    mirror: true
    metrics:
      - {name: request-success-rate, thresholdRange: {min: 99}, interval: 1m}
      - {name: request-duration, thresholdRange: {max: 500}, interval: 30s}
    webhooks:
      - {name: load-test, url: "http://loadtester.test/", metadata: {cmd: "hey -z 1m http://ranker/"}}
      - {name: sign-off, type: confirm-promotion, url: "http://gate.test/"}
"""


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def said(warnings: tuple[str, ...]) -> str:
    return "\n".join(warnings)


def test_an_argo_rollout() -> None:
    imported = read_manifests(ROLLOUT, "rollout.yaml")
    plan = check_plan(plan_of(imported.plan))
    assert plan.name == "fraud-scorer"
    assert imported.plan["steps"] == [
        {"shadow": {"share": "35%"}}, {"pause": {"duration": "30m"}},
        {"setWeight": "5%"}, {"pause": {"duration": "10m"}},
        {"setWeight": "20%"}, {"pause": {"duration": "600s"}},
        {"setWeight": "60%"}, {"pause": {}}, {"setWeight": "100%"},
    ]  # fmt: skip
    assert imported.plan["metrics"] == [
        {"name": "success-rate", "kind": "error_rate", "margin": "1pp", "limit": "5%"},
        {"name": "p99-latency", "kind": "latency", "threshold": "250ms", "margin": "2pp", "role": "dryRun"},
    ]
    warned = said(imported.warnings)
    for weaker in (
        "holds 6 samples against a constant", "failureLimit 3", "have no margin", "What is inconclusive",
        "There are no outcomes", "splits requests", "setCanaryScale", "mirror's match", "initialDelay",
    ):  # fmt: skip
        assert weaker in warned, weaker


def test_a_flagger_canary() -> None:
    imported = read_manifests(CANARY, "canary.yaml")
    check_plan(plan_of(imported.plan))
    assert imported.plan["steps"] == [
        {"shadow": {"share": "100%"}}, {"pause": {"duration": "1m"}},
        {"setWeight": "20%"}, {"pause": {"duration": "1m"}},
        {"setWeight": "40%"}, {"pause": {"duration": "1m"}}, {"pause": {}},
    ]  # fmt: skip
    assert imported.plan["metrics"] == [
        {"name": "errors", "kind": "error_rate", "margin": "1pp", "limit": "1%"},
        {"name": "slow", "kind": "latency", "threshold": "500ms", "margin": "2pp", "limit": "1%"},
    ]
    warned = said(imported.warnings)
    for weaker in ("at least 99%", "threshold 10", "have no margin", "There are no outcomes", "load test", "confirm-"):
        assert weaker in warned, weaker


def test_a_manifest_without_analysis_gets_a_guardrail() -> None:
    bare: dict[str, Any] = {
        "kind": "Rollout", "metadata": {"name": "bare"},
        "spec": {"strategy": {"canary": {"steps": [{"setWeight": 50}, {"pause": {"duration": "1h"}}]}}},
    }  # fmt: skip
    imported = read_manifests(yaml.safe_dump(bare), "bare.yaml")
    assert [m["kind"] for m in imported.plan["metrics"]] == ["error_rate"]
    assert "without looking at anything" in said(imported.warnings)


def test_a_metric_without_a_condition_is_a_success_there() -> None:
    text = changed(ROLLOUT, "      successCondition: result[0] >= 0.95\n", "")
    assert "counts that as success" in said(read_manifests(text, "x").warnings)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("setWeight: 60", "setWeight: 10", "ST0305"),
        ("pause: {duration: 10m}", "pause: {duration: soon}", "ST0305"),
        ("    canary:", "    blueGreen: {}\n    canary:", "ST0306"),
        ("setCanaryScale: {weight: 10}", "setHeaderRoute: {name: h}", "ST0306"),
        ("setCanaryScale: {weight: 10}", "experiment: {duration: 1h}", "ST0306"),
        ("setCanaryScale: {weight: 10}", "teleport: {}", "ST0306"),
        ("histogram_quantile(0.99, sum(rate(http_request_duration_seconds_bucket", "avg(clicks(click_bucket", "ST0307"),
        ("metadata: {name: latency}", "metadata: {name: other}", "ST0308"),
        ("kind: Rollout", "kind: Deployment", "ST0304"),
        ("metrics:\n    - name: success-rate", "metrics: 7\n    x:\n    - name: success-rate", "ST0304"),
        ("kind: Rollout", "kind: [", "ST0304"),
    ],
)
def test_what_cannot_be_expressed_in_argo_is_refused(old: str, new: str, code: str) -> None:
    with pytest.raises(UsageError, match=code) as refused:
        read_manifests(changed(ROLLOUT, old, new), "rollout.yaml")
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("    stepWeight: 20\n", "    iterations: 10\n", "ST0306"),
        ("    stepWeight: 20\n", "    iterations: 10\n    match: [{headers: {x-canary: {exact: on}}}]\n", "ST0306"),
        ("    interval: 1m\n    threshold", "    interval: often\n    threshold", "ST0305"),
        ("name: request-duration,", "name: queue-depth, templateRef: {name: queue-depth},", "ST0307"),
        ("progressDeadlineSeconds: 60", "skipAnalysis: true", "ST0306"),
        ("stepWeight: 20", "stepWeights: [10, 5]", "ST0305"),
    ],
)
def test_what_cannot_be_expressed_in_flagger_is_refused(old: str, new: str, code: str) -> None:
    with pytest.raises(UsageError, match=code) as refused:
        read_manifests(changed(CANARY, old, new), "canary.yaml")
    assert refused.value.remedy
