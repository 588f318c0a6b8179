"""The fake provider is itself what the official SDK takes for OpenAI. Needs no gateway."""

import openai
import pytest

MESSAGES = [{"role": "user", "content": "hello there"}]


@pytest.fixture
def provider(providers):
    return providers()


@pytest.fixture
def sdk(provider):
    return openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k1", max_retries=0)


def test_an_answer_and_its_bill(sdk, provider):
    answer = sdk.chat.completions.create(model="m", messages=MESSAGES, max_tokens=7)
    assert answer.usage.completion_tokens == 7
    assert answer.choices[0].finish_reason == "length"
    (entry,) = provider.entries("m")
    assert (entry["key"], entry["outcome"]) == ("k1", "finished")
    assert entry["prompt_tokens"] + entry["completion_tokens"] == answer.usage.total_tokens


def test_a_stream_with_usage(sdk):
    options = {"include_usage": True}
    chunks = list(sdk.chat.completions.create(model="m", messages=MESSAGES, stream=True, stream_options=options))
    assert chunks[-1].usage.completion_tokens == 20 and chunks[-1].choices == []
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_a_client_that_leaves_a_stream(sdk, provider):
    provider.behave(chunks=4, stall_after_chunks=2)
    with sdk.chat.completions.create(model="m", messages=MESSAGES, stream=True) as stream:
        next(stream)
    provider.wait_until_idle()
    (entry,) = provider.entries()
    assert (entry["outcome"], entry["completion_tokens"]) == ("disconnected", 10)


def test_embeddings_in_both_encodings(sdk):
    encoded = sdk.embeddings.create(model="m", input=["one", "two"])
    plain = sdk.embeddings.create(model="m", input=["one", "two"], encoding_format="float")
    assert [item.embedding for item in encoded.data] == [item.embedding for item in plain.data]


def test_a_failure_with_retry_after(sdk, provider):
    provider.behave(error_rate=1, error_status=429, retry_after_s=3)
    with pytest.raises(openai.RateLimitError) as refusal:
        sdk.chat.completions.create(model="m", messages=MESSAGES)
    assert refusal.value.response.headers["retry-after"] == "3"
    assert provider.entries() == []
