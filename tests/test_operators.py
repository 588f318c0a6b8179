"""What operators see: probes, metrics and the log of each node, the command line; and no secret in any of it."""

import json
import re
from pathlib import Path

import httpx
import openai
import pytest

from support.admin import PATHS
from support.command import done, quorate, run, shown
from support.wait import eventually

MESSAGES = [{"role": "user", "content": "a word that no log repeats: xylophonist"}]
CREDENTIAL = "sk-provider-0123456789"
IN_A_HEADER, IN_A_FILE = "a-header-value-0123456789", "another-header-value-0123456789"
# One of each family: requests, overhead by phase, budgets, grants, Raft, storage.
METRICS = [
    "quorate_requests_total",
    "quorate_overhead_seconds_bucket",
    "quorate_budget_wait_seconds_bucket",
    "quorate_budget_used",
    "quorate_wallet_accounts",
    "quorate_raft_log_sync_seconds_bucket",
    "quorate_journal_sync_seconds_bucket",
]


def logs(cluster):
    return "".join(log.read_text() for log in cluster.folder.glob("data/node-*/log.jsonl"))


def lines(cluster):
    """The log lines of all nodes."""
    return [json.loads(line) for line in logs(cluster).splitlines() if line.startswith("{")]


def test_probes_and_metrics_of_every_node(cluster):
    cluster.serve("chat")
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": 10_000}])
    for node in cluster.nodes:
        node.sdk(key).chat.completions.create(model="chat", messages=MESSAGES, max_tokens=1)
        assert httpx.get(f"{node.admin_url}/livez").status_code == 200
        assert httpx.get(f"{node.admin_url}/readyz").status_code == 200
        text = httpx.get(f"{node.admin_url}/metrics").text
        assert [name for name in METRICS if f"\n{name}" not in text] == []


def test_the_log_level_changes_at_run_time_and_lines_tell_node_request_and_key(cluster):
    cluster.serve("logged")
    key = cluster.admin.key()
    node = cluster.nodes[1]
    node.admin.call("PUT", "/log", {"level": "info,quorate_gateway=debug"})
    assert "quorate_gateway=debug" in node.admin.get("/log")["level"]
    raw = node.sdk(key).chat.completions.with_raw_response.create(model="logged", messages=MESSAGES)
    request = raw.headers["x-request-id"]
    (line,) = eventually(lambda: [line for line in lines(cluster) if line.get("request") == request], what="the line")
    told = (line["node"], line["key"], line["route"], line["status"])
    assert told == (node.admin.status()["node"], key["id"], "logged", 200)


def test_a_failed_attempt_and_refused_credentials_are_told_with_request_key_and_route(cluster, providers):
    provider = providers()
    cluster.admin.serve("failing", provider.url)
    key = cluster.admin.key()

    def line_of(behaviour, message):
        provider.behave(**behaviour)
        request = f"failing-{message.replace(' ', '-')}"
        with pytest.raises(openai.InternalServerError):
            cluster.nodes[0].sdk(key).chat.completions.create(
                model="failing", messages=MESSAGES, extra_headers={"x-request-id": request}
            )
        told = lambda: [line for line in lines(cluster) if line["message"] == message and line.get("request") == request]  # noqa: E731
        (line,) = eventually(told, what=f"the line of {request}")
        assert (line["key"], line["route"]) == (key["id"], "failing")

    line_of({"cut_after_chunks": 1}, "attempt failed")
    line_of({"error_rate": 1, "error_status": 401}, "the provider refuses our credentials")


def test_an_accepted_change_is_told_with_who_made_it_and_why(cluster):
    http = cluster.nodes[2].admin.http
    reason = {"x-quorate-reason": "they asked for it"}
    budget = {"subject": "team:reasoned", "unit": "tokens", "limit": 5}
    assert http.put("/teams/reasoned", json={}, headers=reason).status_code == 200
    assert http.post("/budgets", json=budget, headers=reason).status_code == 201
    assert http.put("/teams/reasoned?expected_revision=1", json={}, headers=reason).status_code == 412
    told = lambda: [line for line in lines(cluster) if line.get("reason") == "they asked for it"]  # noqa: E731
    team, limit = eventually(lambda: len(told()) == 2 and told(), what="the lines of two changes")
    assert (team["message"], team["change"]) == ("change accepted", "put team reasoned")
    assert limit["change"] == "put budget of team:reasoned: 5 tokens (lifetime)"
    admin = next(key["id"] for key in cluster.admin.items("/keys") if key["role"] == "admin")
    assert {line["admin_key"] for line in told()} == {admin}


def token_secret(cluster):
    """What proves that somebody may join: of the token that the last node of the cluster came with."""
    return cluster.folder.joinpath("data/join-token").read_text().split(".")[4]


def said_by(cluster):
    """All that the nodes say of themselves: logs, metrics, and every list, object and account of the admin API."""
    parts = [logs(cluster)]
    for node in cluster.nodes:
        parts.append(httpx.get(f"{node.admin_url}/metrics").text)
        parts += [json.dumps(node.admin.get(path)) for path in (*PATHS, "/cluster", "/usage", "/log", "/tokens", "/authority")]
    shown = [f"/providers/{each['name']}" for each in cluster.admin.items("/providers")]
    shown += [f"/keys/{each['id']}" for each in cluster.admin.items("/keys")]
    parts += [json.dumps(cluster.admin.get(path)) for path in shown]
    return "".join(parts)


def test_no_secret_is_in_a_log_a_metric_or_an_answer_that_shows_objects(cluster, tmp_path):
    for node in cluster.nodes:
        node.admin.call("PUT", "/log", {"level": "trace,openraft=info,h2=info,hyper=info"})
    tmp_path.joinpath("header").write_text(IN_A_FILE)
    headers = {"x-stored": IN_A_HEADER, "x-in-a-file": f"${{file:{tmp_path}/header}}"}
    cluster.admin.provider("secretive", cluster.provider.url, credential=CREDENTIAL, headers=headers)
    cluster.admin.model("secretive", "secretive")
    cluster.admin.route("secretive", "secretive")
    key, revoked = cluster.admin.key(), cluster.admin.key()
    cluster.admin.revoke(revoked)
    # One that was revoked, one that nobody made, one that is no key; and none of them opens the admin API.
    refused = [revoked["secret"], json.loads(run("key", "mint", "-o", "json").stdout)["secret"], "sk-of-somebody-else-0123456789"]
    for node in cluster.nodes:
        node.sdk(key).chat.completions.create(model="secretive", messages=MESSAGES)
        for secret in refused:
            with pytest.raises(openai.AuthenticationError) as refusal:
                node.sdk({"secret": secret}).chat.completions.create(model="secretive", messages=MESSAGES)
            assert secret not in refusal.value.response.text
            told = httpx.get(f"{node.admin_url}/admin/v1/keys", headers={"authorization": f"Bearer {secret}"})
            assert told.status_code == 401 and secret not in told.text
    sent = cluster.provider.last_headers()
    assert (sent["x-stored"], sent["x-in-a-file"]) == (IN_A_HEADER, IN_A_FILE), "it was used"
    cluster.provider.behave(error_rate=1, error_status=500)
    with pytest.raises(openai.InternalServerError):
        cluster.nodes[0].sdk(key).chat.completions.create(model="secretive", messages=MESSAGES)
    said = said_by(cluster)
    assert '"level":"TRACE"' in said and "secretive" in said, "a log that says nothing hides nothing"
    secrets = [CREDENTIAL, IN_A_HEADER, IN_A_FILE, key["secret"], *refused, cluster.token, token_secret(cluster), "xylophonist"]
    assert [secret for secret in secrets if secret in said] == []
    for node in cluster.nodes:
        node.admin.call("PUT", "/log", {"level": "info"})


def test_the_command_line_creates_lists_shows_and_explains(cluster):
    shown(cluster, "provider", "create", "cli", "--base-url", f"{cluster.provider.url}/v1")
    prices = ["--input-price", "1", "--output-price", "2", "--context-tokens", "128000"]
    shown(cluster, "model", "create", "cli/model", "--provider", "cli", *prices)
    shown(cluster, "route", "create", "cli-route", "--target", "cli/model")
    shown(cluster, "org", "create", "acme")
    shown(cluster, "team", "create", "search", "--organisation", "acme")
    shown(cluster, "budget", "create", "team:search", "1000")
    key = shown(cluster, "key", "create", "--team", "search")
    cluster.nodes[0].sdk(key).chat.completions.create(model="cli-route", messages=MESSAGES, max_tokens=1)
    billed = cluster.provider.billed_tokens()
    assert billed > 0

    used = lambda: str(billed) in quorate(cluster, "usage", "--subject", "team:search").stdout.split()  # noqa: E731
    eventually(used, what="the bill of the provider in the usage of the team")
    assert quorate(cluster, "budget", "explain", "team:search").returncode == 0
    assert "search" in quorate(cluster, "team", "list").stdout
    assert shown(cluster, "cluster", "status")["verdict"] == "healthy"


def test_the_command_line_rotates_and_revokes_a_key_and_says_that_nobody_admits_it(cluster):
    first = shown(cluster, "key", "create", "--label", "rotated")

    def statuses(key):
        """What each node answers to the key."""
        headers = {"authorization": f"Bearer {key['secret']}"}
        return [httpx.get(f"{node.client_url}/v1/models", headers=headers).status_code for node in cluster.nodes]

    assert statuses(first) == [200] * 3
    rotated = done(cluster, "key", "rotate", first["id"], "-m", "it was in a repository")
    assert "secret" in rotated and first["secret"] not in rotated
    second = {"secret": re.search(r"qk_\w{58}", rotated)[0]}
    assert (statuses(first), statuses(second)) == ([401] * 3, [200] * 3)
    revoked = shown(cluster, "key", "revoke", first["id"])
    assert (revoked["state"], revoked["withdrawn"]["by"]) == ("revoked", "acknowledged")
    assert statuses(second) == [401] * 3
    again = quorate(cluster, "key", "rotate", first["id"])
    assert again.returncode == 7 and "next:" in again.stderr, again


@pytest.mark.parametrize(
    "words, code",
    [(["team", "show", "nobody"], 3), (["org", "delete", "acme"], 7), (["team", "create", "search"], 8), (["no-such"], 2)],
)
def test_a_command_that_fails_says_what_to_do_next(cluster, words, code):
    done = quorate(cluster, *words)
    assert done.returncode == code, done.stderr
    assert "error:" in done.stderr and ("next:" in done.stderr or code == 2)


def test_a_command_without_a_valid_token_is_told_so(cluster):
    assert quorate(cluster, "key", "list", token="qk_wrong").returncode == 4
