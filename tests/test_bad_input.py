"""Malformed, oversized and hostile requests and configurations: a clear answer each, nothing billed, no crash."""

import contextlib
import socket
import struct
import subprocess

import httpx
import pytest

from support.processes import binary
from support.wait import eventually

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "a"}]
LIMITS = ["max_tokens", "max_completion_tokens"]


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


@pytest.fixture(autouse=True)
def unharmed(cluster, key):
    """After each bad request every node serves a good one, and no log tells of a panic."""
    yield
    for node in cluster.nodes:
        assert node.sdk(key).chat.completions.create(model="chat", messages=MESSAGES).usage.total_tokens > 0
    assert "panicked" not in "".join(log.read_text() for log in cluster.folder.glob("data/node-*/log.jsonl"))


def with_fields(fields):
    """A good body with more in it."""
    return b'{"model": "chat", "messages": [{"role": "user", "content": "a"}], %s}' % fields.encode()


BAD_BODIES = {
    "empty": b"",
    "not JSON": b"hello",
    "cut": b'{"model": "chat", "messages": [',
    "a list": b"[]",
    "no model": b'{"messages": []}',
    "model of a wrong type": b'{"model": 5, "messages": []}',
    "messages of a wrong type": b'{"model": "chat", "messages": "hi"}',
    "invalid UTF-8": b'{"model": "chat", "messages": [{"role": "user", "content": "\xff\xfe"}]}',
    "invalid UTF-8 in a name": b'{"model": "chat", "messages": [], "\xc3\x28": 1}',
    "half of a surrogate pair": b'{"model": "ch\\ud800at", "messages": [{"role": "user", "content": "a"}]}',
    "a byte order mark": b'\xef\xbb\xbf{"model": "chat", "messages": [{"role": "user", "content": "a"}]}',
    "two bodies": b'{"model": "chat", "messages": [{"role": "user", "content": "a"}]} {}',
    "no messages": b'{"model": "chat"}',
    "messages that are null": b'{"model": "chat", "messages": null}',
    "messages that are an object": b'{"model": "chat", "messages": {"role": "user", "content": "a"}}',
    "a message that is a number": b'{"model": "chat", "messages": [7]}',
    "nested without end": b'{"model": "chat", "messages": ' + b"[" * 100_000,
    "nested too deep and closed": with_fields('"x": ' + "[" * 5_000 + "]" * 5_000),
    "objects nested too deep and closed": with_fields('"x": ' + '{"a":' * 5_000 + "1" + "}" * 5_000),
}
BAD_FIELDS = [
    *(f'"{limit}": {value}' for limit in LIMITS for value in ("-1", "0", "1.5", "1e3", '"10"', "[10]", "true", f"1{'0' * 40}")),
    *(f'"n": {value}' for value in ("0", "-1", "1.0", "1000000000", "18446744073709551616", '"2"')),
    *(f'"stream": {value}' for value in ('"yes"', "1", "[]")),
    '"stream_options": []',
    '"stream_options": {"include_usage": "yes"}',
    '"modalities": "audio"',
    '"service_tier": 1',
]
# What decides the route or the cost, twice: two readers could take different ones.
TWICE = ["model", "messages", "n", "stream", "stream_options", *LIMITS]


def is_refused(answer, code=None):
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error" and error["message"]
    assert code in (None, error["code"]), error


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_malformed_body_is_400(post, body):
    is_refused(post(body))


@pytest.mark.parametrize("field", BAD_FIELDS)
def test_a_field_that_decides_the_cost_and_makes_no_sense_is_400(post, field):
    is_refused(post(with_fields(field)), "invalid_type")


@pytest.mark.parametrize("field", TWICE)
def test_a_field_that_stands_twice_is_400(post, field):
    is_refused(post(with_fields(f'"{field}": null, "{field}": null')), "duplicate_field")


def test_the_largest_numbers_that_are_understood_are_refused_by_a_budget(cluster, post):
    # Less than the model's context, which is the most that any answer is taken to cost.
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": 100_000}])
    for fields in (f'"max_tokens": {2**64 - 1}, "n": 128', f'"max_completion_tokens": {2**63}'):
        # The whole of it or nothing.
        headers = {"authorization": f"Bearer {key['secret']}", "x-quorate-min-tokens": str(2**64 - 1)}
        answer = post(with_fields(fields), **headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "request_exceeds_budget"), answer.text
    assert cluster.admin.explain(cluster.admin.budget_of(key))["used"] == 0


def test_a_model_that_does_not_exist_is_404_whatever_its_name(post):
    for model in (b"nobody", b"", b"../chat", b"chat\\u0000", b"\xf0\x9f\xa6\x80" * 10_000):
        answer = post(b'{"model": "%s", "messages": [{"role": "user", "content": "a"}]}' % model)
        assert answer.status_code == 404, (model[:20], answer.text)
        assert answer.json()["error"]["code"] == "model_not_found"
        assert len(answer.content) < 1_000


@pytest.fixture(scope="module")
def bad_keys(cluster, key):
    """What is sent as a key and opens nothing."""
    revoked = cluster.admin.key()
    cluster.admin.revoke(revoked)
    secret = key["secret"]
    return {
        "revoked": f"Bearer {revoked['secret']}",
        "of an operator": f"Bearer {cluster.token}",
        "cut": f"Bearer {secret[:-1]}",
        "longer": f"Bearer {secret}0",
        "in capitals": f"Bearer {secret.upper()}",
        "of another kind": "Bearer sk-0123456789",
        "of one letter": "Bearer q",
        "without a scheme": secret,
        "of another scheme": f"Basic {secret}",
        "not ASCII": "Bearer qk_é".encode(),
        "enormous": "Bearer qk_" + "a" * 8_000,
    }


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_key_that_opens_nothing_is_401_and_says_no_more(post, bad_keys, stream):
    body = with_fields(f'"stream": {str(stream).lower()}')
    answers = {name: post(body, authorization=text) for name, text in bad_keys.items()}
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(bad_keys, 401)
    # Why a key is refused, and whether it ever was one, is not told.
    assert len({answer.text for answer in answers.values()}) == 1
    assert answers["cut"].json()["error"]["code"] == "invalid_api_key"


def exchange(cluster, *pieces):
    """Sends bytes, says that no more will come, and returns what is answered."""
    host, port = cluster.nodes[0].client_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as client:
        # A server that has heard enough may answer, or reset, before all is said.
        with contextlib.suppress(OSError):
            for piece in pieces:
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            for heard in iter(lambda: client.recv(65_536), b""):
                answer += heard
        return answer


FRAMINGS = {
    "shorter than announced": ("content-length: 1000", b'{"model": "chat"'),
    "cut chunk": ("transfer-encoding: chunked", b'10\r\n{"model": "chat"'),
    "chunk without a size": ("transfer-encoding: chunked", b"no number\r\n{}\r\n0\r\n\r\n"),
    "chunk of an impossible size": ("transfer-encoding: chunked", b"fffffffffffffffff\r\n{"),
}


@pytest.mark.parametrize("framing, body", FRAMINGS.values(), ids=FRAMINGS.keys())
def test_a_body_that_breaks_off_is_400_and_reaches_nobody(cluster, key, framing, body):
    head = f"POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key['secret']}\r\n{framing}\r\n\r\n"
    answer = exchange(cluster, head.encode(), body)
    assert answer.startswith(b"HTTP/1.1 400") and b'"unreadable_body"' in answer, answer
    assert cluster.provider.entries() == []


def test_bytes_that_are_no_http_are_answered_with_an_end(cluster):
    for noise in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"\0" * 5_000, b"A" * 100_000 + b"\r\n\r\n"):
        assert exchange(cluster, noise)[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 414", b"HTTP/1.1 431")


def test_a_stream_that_is_reset_in_its_middle_is_charged_and_harms_nobody(cluster):
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": 10_000}])
    cluster.provider.behave(chunks=10, chunk_delay_ms=50)
    body = with_fields('"stream": true, "max_tokens": 20')
    head = f"authorization: Bearer {key['secret']}\r\ncontent-length: {len(body)}"
    host, port = cluster.nodes[0].client_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(f"POST {CHAT} HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n".encode() + body)
        got = b""
        while b"data: " not in got:
            got += client.recv(4_096)
        # A reset instead of an end: what a client that is killed sends.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    cluster.provider.wait_until_idle()
    billed = cluster.provider.billed_tokens()
    used = lambda: cluster.admin.explain(cluster.admin.budget_of(key))["used"]  # noqa: E731
    assert eventually(used, what="a charge in the ledger") >= billed > 0


def test_an_oversized_body_is_413(post):
    answer = post(b'{"model": "chat", "messages": [{"role": "user", "content": "' + b"a" * (65 << 20) + b'"}]}')
    assert answer.status_code == 413
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_path_that_does_not_exist_is_404(cluster, key):
    headers = {"authorization": f"Bearer {key['secret']}"}
    answer = httpx.post(cluster.nodes[0].client_url + "/v1/no/such/path", json={}, headers=headers)
    assert answer.status_code == 404 and answer.json()["error"]["message"]


def test_half_a_request_does_not_hold_the_node(cluster, key):
    host, port = cluster.nodes[0].client_url.removeprefix("http://").split(":")
    head = f"host: a\r\nauthorization: Bearer {key['secret']}\r\ncontent-length: 100\r\n\r\n"
    with contextlib.ExitStack() as halves:
        for _ in range(50):
            half = halves.enter_context(socket.create_connection((host, int(port)), timeout=30))
            half.sendall(f"POST {CHAT} HTTP/1.1\r\n{head}{{".encode())
        assert cluster.nodes[0].sdk(key).chat.completions.create(model="chat", messages=MESSAGES).choices


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
