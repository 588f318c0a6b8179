"""Amounts near the end of 64 bits: a budget that nobody can spend serves whoever asks little of it."""

import httpx
import pytest

from support.admin import Refused
from test_buckets import MESSAGES, known_everywhere

MOST = 2**62 - 1
DEADLINE_S = 10


def ask(node, key, model, max_tokens=10, **headers):
    headers = {"authorization": f"Bearer {key['secret']}", **headers}
    body = {"model": model, "max_tokens": max_tokens, "messages": MESSAGES}
    return httpx.post(f"{node.client_url}/v1/chat/completions", json=body, headers=headers, timeout=DEADLINE_S)


@pytest.mark.parametrize("kind", [{}, {"bucket": "day"}], ids=["lifetime", "bucket"])
def test_the_largest_budget_can_be_spent_and_a_larger_one_is_refused(cluster, kind):
    model = f"half-{kind.get('bucket')}"
    cluster.serve(model)
    with pytest.raises(Refused, match=f"limit: at most {MOST}"):
        cluster.admin.key(budgets=[{"unit": "tokens", "limit": MOST + 1, **kind}])
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": MOST, **kind}])
    known_everywhere(cluster, key)
    node = cluster.nodes[0]
    large = {"x-quorate-min-tokens": str(2**61)}
    assert ask(node, key, model, max_tokens=2**61, **large).status_code == 200
    small = ask(node, key, model)
    assert small.status_code == 200, small.text


@pytest.mark.timeout(120)
def test_a_limit_beyond_all_answers_reserves_no_more_than_an_answer_can_cost(cluster):
    """Otherwise each would be cut to what is left, which is the whole budget, and what a node was granted in all would end."""
    cluster.serve("sum")
    limit = 10**18
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": limit}])
    known_everywhere(cluster, key)
    for number in range(2**64 // limit + 5):
        answer = ask(cluster.nodes[0], key, "sum", max_tokens=2**62)
        assert answer.status_code == 200, (number, answer.text)
