"""The official OpenAI SDK against the gateway: answers, streams, embeddings, models, and the shapes of errors."""

import json

import httpx
import openai
import pytest

MESSAGES = [{"role": "user", "content": "hello there"}]


@pytest.fixture(scope="module")
def model(cluster):
    """A route; the provider bills it as `chat-0`."""
    cluster.serve("chat")
    return "chat"


@pytest.fixture(scope="module")
def key(cluster):
    return cluster.admin.key(label="sdk")


@pytest.fixture(params=[0, 1, 2], ids=["node1", "node2", "node3"])
def sdk(cluster, key, request):
    return cluster.nodes[request.param].sdk(key)


def error_of(caught):
    """The `error` object of a refused SDK call, with all four fields."""
    error = caught.value.response.json()["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    return error


def test_an_answer_comes_through_whole(sdk, model, cluster):
    answer = sdk.chat.completions.create(model=model, messages=MESSAGES, max_tokens=7)
    assert answer.usage.completion_tokens == 7
    assert len(answer.choices[0].message.content.split()) == 7
    (entry,) = cluster.provider.entries("chat-0")
    assert entry["outcome"] == "finished"


def test_a_stream_hides_the_usage_that_nobody_asked_for(sdk, model):
    chunks = list(sdk.chat.completions.create(model=model, messages=MESSAGES, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_stream_ends_with_the_usage_that_was_asked_for(sdk, model):
    options = {"include_usage": True}
    chunks = list(sdk.chat.completions.create(model=model, messages=MESSAGES, stream=True, stream_options=options))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 20
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert len(text.split()) == 20


def test_embeddings(sdk, model):
    answer = sdk.embeddings.create(model=model, input=["one", "two"])
    assert [len(item.embedding) for item in answer.data] == [8, 8]
    assert answer.usage.total_tokens == 2


def test_models_are_the_routes(sdk, model):
    assert model in [listed.id for listed in sdk.models.list()]


def test_unknown_fields_reach_the_provider_byte_for_byte(cluster, key, model):
    body = '{ "model":"%s","messages":[{"role":"user","content":"h\\u00e9llo"}], "x_new" : {"b":1.50,"a":[ ]},"max_tokens":3}'
    headers = {"authorization": f"Bearer {key['secret']}", "content-type": "application/json"}
    url = cluster.nodes[0].client_url + "/v1/chat/completions"
    assert httpx.post(url, content=body % model, headers=headers).status_code == 200
    assert cluster.provider.last_request().decode() == body % "chat-0"


def test_the_clients_key_stays_here(sdk, model, key, cluster):
    sdk.chat.completions.create(model=model, messages=MESSAGES)
    assert key["secret"] not in json.dumps(cluster.provider.last_headers())


@pytest.mark.parametrize("secret", ["sk-nonsense", "q" * 5000])
def test_a_wrong_key_is_401(cluster, model, secret):
    url = cluster.nodes[0].client_url + "/v1/chat/completions"
    body = {"model": model, "messages": MESSAGES}
    answer = httpx.post(url, json=body, headers={"authorization": f"Bearer {secret}"})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_a_revoked_key_is_401_on_every_node(cluster, model):
    key = cluster.admin.key(label="soon revoked")
    cluster.nodes[0].sdk(key).chat.completions.create(model=model, messages=MESSAGES)
    cluster.admin.revoke(key)
    for node in cluster.nodes:
        with pytest.raises(openai.AuthenticationError):
            node.sdk(key).chat.completions.create(model=model, messages=MESSAGES)


def test_an_unknown_model_is_404(sdk):
    with pytest.raises(openai.NotFoundError) as refusal:
        sdk.chat.completions.create(model="no-such-model", messages=MESSAGES)
    error = error_of(refusal)
    assert (error["code"], error["type"]) == ("model_not_found", "invalid_request_error")


def test_a_model_that_the_key_may_not_use_is_refused(cluster, model):
    cluster.serve("forbidden")
    key = cluster.admin.key(allowed_models=[model])
    with pytest.raises(openai.PermissionDeniedError):
        cluster.nodes[0].sdk(key).chat.completions.create(model="forbidden", messages=MESSAGES)
    assert cluster.provider.entries("forbidden-0") == []


def test_a_request_without_messages_is_400(sdk, model):
    with pytest.raises(openai.BadRequestError) as refusal:
        sdk.post("/chat/completions", body={"model": model}, cast_to=object)
    assert error_of(refusal)["type"] == "invalid_request_error"


def test_the_providers_own_refusal_comes_through(sdk, model, cluster):
    cluster.provider.behave(error_rate=1, error_status=400)
    with pytest.raises(openai.BadRequestError) as refusal:
        sdk.chat.completions.create(model=model, messages=MESSAGES)
    assert refusal.value.response.json()["error"]["code"] == "fake_failure"


def test_every_answer_has_a_request_id(sdk, model):
    raw = sdk.chat.completions.with_raw_response.create(model=model, messages=MESSAGES)
    assert raw.headers["x-request-id"]


def test_a_hard_budget_tells_the_sdk_not_to_try_again(cluster, model):
    key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": 1}])
    client = cluster.nodes[0].sdk(key, max_retries=2)
    with pytest.raises(openai.RateLimitError) as refusal:
        client.chat.completions.create(model=model, messages=MESSAGES)
    assert refusal.value.response.headers["x-should-retry"] == "false"
    assert error_of(refusal)["type"] == "insufficient_quota"
    assert cluster.provider.entries() == []
