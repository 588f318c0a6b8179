"""What is set on routes and providers and decides where a request goes, and with what."""

import asyncio
import math
from collections import Counter

import httpx

from support.load import spread

MESSAGES = [{"role": "user", "content": "hello"}]
REQUESTS = 200
WEIGHTS = {"often": 3, "seldom": 1, "never": 0}
SIGMAS = 5


def test_a_weighted_route_shares_requests_out_by_weight_and_gives_none_to_a_target_of_weight_zero(cluster):
    admin = cluster.admin
    admin.provider("weighted", cluster.provider.url)
    for name in WEIGHTS:
        admin.model(name, "weighted")
    targets = [{"model": name, "weight": weight} for name, weight in WEIGHTS.items()]
    admin.call("POST", "/routes", {"name": "weighted", "strategy": "weighted", "targets": targets})
    key = admin.key()

    async def story():
        clients = [node.async_sdk(key) for node in cluster.nodes]
        return sum([await spread(clients, "weighted", 20) for _ in range(REQUESTS // 20)], Counter())

    assert asyncio.run(story()) == {"ok": REQUESTS}
    served = Counter(entry["model"] for entry in cluster.provider.entries())
    assert served["never"] == 0 and served.total() == REQUESTS, served
    share = WEIGHTS["often"] / sum(WEIGHTS.values())
    deviation = math.sqrt(REQUESTS * share * (1 - share))
    assert abs(served["often"] - REQUESTS * share) <= SIGMAS * deviation, served


def test_headers_of_a_provider_reach_it_in_place_of_the_clients_and_are_shown_to_nobody(cluster, tmp_path):
    admin = cluster.admin
    tmp_path.joinpath("project").write_text("the project of a file\n")
    headers = {"openai-project": f"${{file:{tmp_path}/project}}", "X-Stored": "a stored value"}
    admin.provider("headed", cluster.provider.url, headers=headers)
    admin.model("headed", "headed")
    admin.route("headed", "headed")
    key = admin.key()
    for node in cluster.nodes:
        own = {"openai-project": "the client's", "x-request-id": f"headed-{node.id}"}
        answer = node.sdk(key).chat.completions.create(model="headed", messages=MESSAGES, extra_headers=own)
        assert answer.choices
        sent = httpx.Headers(cluster.provider.last_headers())
        assert sent["x-request-id"] == f"headed-{node.id}"
        assert (sent["openai-project"], sent["x-stored"]) == ("the project of a file", "a stored value")
    shown = admin.get("/providers/headed")
    assert shown["headers"] == {"openai-project": headers["openai-project"], "x-stored": "***"}
