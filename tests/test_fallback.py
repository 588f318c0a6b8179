"""A target that fails before its first byte is passed over, and not charged; after that nothing is tried again."""

import httpx
import openai
import pytest

MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def key(cluster):
    return cluster.admin.key()


@pytest.fixture
def pair(cluster, providers, request):
    """A route over two providers of this test: the first is for breaking."""
    first, second = providers(), providers()
    name = request.node.name.replace("[", "-").replace("]", "")
    cluster.admin.serve(name, first.url, second.url)
    return name, first, second


@pytest.mark.parametrize("status", [401, 408, 409, 429, 500, 502, 503])
def test_a_failing_target_is_passed_over(cluster, key, pair, status):
    name, first, second = pair
    first.behave(error_rate=1, error_status=status)
    answer = cluster.nodes[0].sdk(key).chat.completions.create(model=name, messages=MESSAGES)
    assert answer.usage.completion_tokens == 20
    assert (len(first.entries()), len(second.entries())) == (0, 1)


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refusal_of_the_request_itself_is_not_tried_elsewhere(cluster, key, pair, status):
    name, first, second = pair
    first.behave(error_rate=1, error_status=status)
    with pytest.raises(openai.APIStatusError):
        cluster.nodes[0].sdk(key).chat.completions.create(model=name, messages=MESSAGES)
    assert second.entries() == []


def test_a_target_that_is_gone_is_passed_over(cluster, key, pair):
    name, first, second = pair
    first.process.kill()
    for stream in (False, True):
        answer = cluster.nodes[0].sdk(key).chat.completions.create(model=name, messages=MESSAGES, stream=stream)
        assert list(answer) if stream else answer.choices
    assert len(second.entries()) == 2


def test_a_target_that_hangs_is_passed_over_after_its_time(cluster, key, pair):
    name, first, second = pair
    cluster.admin.call(
        "PUT", f"/providers/{name}-0", {"name": f"{name}-0", "base_url": f"{first.url}/v1", "timeouts": {"first_byte_ms": 500}}
    )
    first.behave(hang=True)
    cluster.nodes[0].sdk(key).chat.completions.create(model=name, messages=MESSAGES)
    assert len(second.entries()) == 1


def test_a_stream_that_breaks_after_its_first_byte_says_so_and_is_not_tried_elsewhere(cluster, key, pair):
    name, first, second = pair
    first.behave(cut_after_chunks=2)
    with pytest.raises((openai.APIError, httpx.TransportError)):
        list(cluster.nodes[0].sdk(key).chat.completions.create(model=name, messages=MESSAGES, stream=True))
    assert second.entries() == []


def test_when_every_target_fails_the_last_failure_is_told(cluster, key, pair):
    name, first, second = pair
    first.behave(error_rate=1, error_status=500)
    second.behave(error_rate=1, error_status=503)
    with pytest.raises(openai.InternalServerError):
        cluster.nodes[0].sdk(key).chat.completions.create(model=name, messages=MESSAGES)
    assert first.entries() == second.entries() == []


def test_each_attempt_is_charged_once_and_failed_ones_not_at_all(cluster, pair):
    name, first, second = pair
    key = cluster.admin.key(budgets=[{"unit": "requests", "limit": 2}])
    first.behave(error_rate=1, error_status=429)
    sdk = cluster.nodes[0].sdk(key)
    for _ in range(2):
        sdk.chat.completions.create(model=name, messages=MESSAGES)
    with pytest.raises(openai.RateLimitError):
        sdk.chat.completions.create(model=name, messages=MESSAGES)
    assert len(second.entries()) == 2
