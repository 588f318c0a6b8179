"""Malformed, oversized and hostile requests and configurations: a clear answer each, nothing billed, no crash."""

import socket
import subprocess

import httpx
import pytest

from support.processes import binary, is_alive

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def key(cluster):
    cluster.serve("chat")
    return cluster.admin.key()


@pytest.fixture
def post(cluster, key):
    """Sends raw bytes as a chat request."""

    def send(body, **headers):
        headers = {"authorization": f"Bearer {key['secret']}", "content-type": "application/json", **headers}
        return httpx.post(cluster.nodes[0].client_url + CHAT, content=body, headers=headers, timeout=30)

    yield send
    assert cluster.provider.entries() == [], "a bad request reached the provider"
    assert all(is_alive(node.pid) for node in cluster.nodes)


BAD_BODIES = {
    "empty": b"",
    "not JSON": b"hello",
    "cut": b'{"model": "chat", "messages": [',
    "a list": b"[]",
    "no model": b'{"messages": []}',
    "model of a wrong type": b'{"model": 5, "messages": []}',
    "messages of a wrong type": b'{"model": "chat", "messages": "hi"}',
    "negative limit": b'{"model": "chat", "messages": [{"role": "user", "content": "a"}], "max_tokens": -1}',
    "limit of a wrong type": b'{"model": "chat", "messages": [{"role": "user", "content": "a"}], "max_tokens": "x"}',
    "invalid UTF-8": b'{"model": "chat", "messages": [{"role": "user", "content": "\xff\xfe"}]}',
    "model twice": b'{"model": "chat", "model": "other", "messages": [{"role": "user", "content": "a"}]}',
    "nested without end": b'{"model": "chat", "messages": ' + b"[" * 100_000,
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_malformed_body_is_400(post, body):
    answer = post(body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error" and error["message"]


def test_an_oversized_body_is_413(post):
    answer = post(b'{"model": "chat", "messages": [{"role": "user", "content": "' + b"a" * (65 << 20) + b'"}]}')
    assert answer.status_code == 413
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_path_that_does_not_exist_is_404(cluster, key):
    headers = {"authorization": f"Bearer {key['secret']}"}
    answer = httpx.post(cluster.nodes[0].client_url + "/v1/no/such/path", json={}, headers=headers)
    assert answer.status_code == 404 and answer.json()["error"]["message"]


def test_half_a_request_does_not_hold_the_node(cluster):
    host, port = cluster.nodes[0].client_url.removeprefix("http://").split(":")
    halves = [socket.create_connection((host, int(port))) for _ in range(50)]
    for half in halves:
        half.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{")
    assert cluster.nodes[0].is_ready()
    for half in halves:
        half.close()
    assert cluster.nodes[0].is_ready()


@pytest.mark.parametrize(
    "path, body",
    [
        ("/providers", {"name": "p", "base_url": "ftp://nowhere"}),
        ("/providers", {"name": "p", "base_url": "http://a", "unknown": 1}),
        ("/providers", {"name": "spaces are bad", "base_url": "http://a"}),
        ("/models", {"name": "m", "provider": "nobody"}),
        ("/routes", {"name": "r", "targets": []}),
        ("/routes", {"name": "r", "targets": [{"model": "nobody"}]}),
        ("/budgets", {"subject": "key:1", "unit": "tokens", "limit": 1}),
        ("/budgets", {"subject": "nobody", "unit": "tokens", "limit": 1}),
        ("/keys", {"expires_at": "yesterday"}),
    ],
)
def test_the_admin_api_says_what_is_wrong_and_what_to_do(cluster, path, body):
    answer = cluster.admin.http.post(path, json=body)
    assert 400 <= answer.status_code < 500, answer.text
    error = answer.json()["error"]
    assert error["code"] and error["message"] and error["next"]


def test_the_admin_api_needs_an_admin_key(cluster, key):
    url = cluster.nodes[0].admin_url + "/admin/v1/keys"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers={"authorization": f"Bearer {key['secret']}"}).status_code == 403


@pytest.mark.parametrize("text", ["this is = not [toml", "unknown_setting = 1\n"], ids=["not TOML", "unknown setting"])
def test_a_bad_config_file_is_refused_by_name(tmp_path, text):
    config = tmp_path / "node.toml"
    config.write_text(text)
    command = [binary("quorate", "QUORATE_BIN"), "config", "validate", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode not in (0, 101), done.stderr
    assert "node.toml" in done.stderr + done.stdout
