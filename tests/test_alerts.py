"""The alerts of `cluster/prometheus` watch what nodes really count."""

import re
from pathlib import Path

import httpx

RULES = Path(__file__).resolve().parents[1] / "cluster/prometheus/quorate.rules.yml"


def test_every_metric_of_a_rule_is_one_of_a_node(cluster):
    text = httpx.get(f"{cluster.nodes[0].admin_url}/metrics").text
    counted = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    watched = set(re.findall(r"\b(quorate_\w+)\{", RULES.read_text()))
    assert watched and {re.sub("_(total|bucket)$", "", name) for name in watched} - counted == set()
