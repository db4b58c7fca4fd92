"""The other time in which scenarios and the demo play: durations are divided, all else stays as it is shipped."""

from __future__ import annotations

import pytest
import yaml

from demo.speed import scaled_duration, scaled_expression, scaled_routes, scaled_rules


@pytest.mark.parametrize(
    ("shipped", "quick"), [("1m", "1s"), ("30s", "500ms"), ("1h30m", "1m30s"), ("15s", "250ms"), ("10ms", "1ms")]
)
def test_a_duration_is_divided_down_to_a_millisecond(shipped: str, quick: str) -> None:
    """Minutes become seconds."""
    assert scaled_duration(shipped, 60) == quick


@pytest.mark.parametrize(
    ("shipped", "quick"),
    [
        ("increase(a_total[30m]) > 4", "increase(a_total[30s]) > 4"),
        ("max_over_time((a > 0)[1h:1m] offset 5m)", "max_over_time((a > 0)[1m:1s] offset 5s)"),
        ("a5m{b=\"5m\", c='5m'} == 2^30", "a5m{b=\"5m\", c='5m'} == 2^30"),
        ('a{b="\\"5m"}[5m]', 'a{b="\\"5m"}[5s]'),
        ("a # over 5m\n[5m]", "a # over 5m\n[5s]"),
        ("node:cost:sum1h * 24", "node:cost:sum1h * 24"),
    ],
)
def test_an_expression_keeps_all_but_its_durations(shipped: str, quick: str) -> None:
    """Strings, comments, names and plain numbers are no durations."""
    assert scaled_expression(shipped, 60) == quick


def test_rules_wait_shorter_and_say_the_same() -> None:
    """Labels and annotations are as they were, durations in their texts too."""
    shipped = """
groups:
  - name: a
    interval: 30s
    rules:
      - {alert: A, expr: 'rate(b[5m]) > 1', for: 1m, keep_firing_for: 3m, labels: {c: 5m}, annotations: {summary: 5m}}
      - {record: b:c:d, expr: 1}
"""
    assert yaml.safe_load(scaled_rules(shipped, 60)) == {
        "groups": [
            {
                "name": "a",
                "interval": "500ms",
                "rules": [
                    {
                        "alert": "A",
                        "expr": "rate(b[5s]) > 1",
                        "for": "1s",
                        "keep_firing_for": "3s",
                        "labels": {"c": "5m"},
                        "annotations": {"summary": "5m"},
                    },
                    {"record": "b:c:d", "expr": "1"},
                ],
            }
        ]
    }


def test_routes_and_inhibitions_stay_while_receivers_become_the_sink() -> None:
    """What goes to whom is Alertmanager's own doing; only how it reaches them is ours."""
    shipped = """
global: {resolve_timeout: 5m, slack_api_url: "http://elsewhere"}
route:
  {receiver: a, group_by: [site], group_wait: 30s, routes: [{matchers: [b="5m"], receiver: c, repeat_interval: 1h}]}
inhibit_rules: [{source_matchers: [b="1m"], target_matchers: [b="2m"], equal: [node]}]
receivers: [{name: a, slack_configs: [{channel: d}]}, {name: c}]
"""
    assert yaml.safe_load(scaled_routes(shipped, 60, "http://sink")) == {
        "route": {
            "receiver": "a",
            "group_by": ["site"],
            "group_wait": "500ms",
            "routes": [{"matchers": ['b="5m"'], "receiver": "c", "repeat_interval": "1m"}],
        },
        "inhibit_rules": [{"source_matchers": ['b="1m"'], "target_matchers": ['b="2m"'], "equal": ["node"]}],
        "receivers": [
            {"name": "a", "webhook_configs": [{"url": "http://sink/a", "send_resolved": True}]},
            {"name": "c", "webhook_configs": [{"url": "http://sink/c", "send_resolved": True}]},
        ],
    }
