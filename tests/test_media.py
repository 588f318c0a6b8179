"""Prompts with images, audio and files on hard budgets: bounded by what their model says that they can cost."""

import httpx
import pytest
from support.admin import Refused
from support.wait import eventually

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 20_000}}
FILE = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64," + "A" * 20_000}}
SOUND = {"type": "input_audio", "input_audio": {"format": "wav", "data": "A" * 20_000}}
TEXT = {"type": "text", "text": "what is this?"}


def serve(cluster, name, **fields):
    cluster.admin.provider(name, cluster.provider.url)
    cluster.admin.model(name, name, **fields)
    cluster.admin.route(name, name)


def ask(cluster, key, model, *parts):
    body = {"model": model, "max_tokens": 10, "messages": [{"role": "user", "content": [TEXT, *parts]}]}
    headers = {"authorization": f"Bearer {key['secret']}"}
    return httpx.post(f"{cluster.nodes[0].client_url}/v1/chat/completions", json=body, headers=headers, timeout=30)


def code(answer):
    return answer.status_code if answer.status_code == 200 else answer.json()["error"]["code"]


def test_an_image_or_a_file_is_taken_to_cost_what_its_model_says_and_not_its_bytes(cluster):
    serve(cluster, "sees", media_tokens_max={"image": 1_000, "file": 3_000})

    def with_limit(limit, *parts):
        key = cluster.admin.key(budgets=[{"unit": "tokens", "limit": limit}])
        return code(ask(cluster, key, "sees", *parts))

    assert with_limit(900, IMAGE) == "request_exceeds_budget"
    assert with_limit(1_900, IMAGE, IMAGE) == "request_exceeds_budget", "each of them"
    assert with_limit(2_900, FILE) == "request_exceeds_budget"
    # Of the twenty thousand bytes none counts.
    assert with_limit(1_500, IMAGE) == 200
    assert with_limit(2_500, IMAGE, IMAGE) == 200
    assert with_limit(4_500, FILE, IMAGE) == 200


def test_without_a_word_of_the_model_images_and_files_are_refused_on_hard_budgets_alone(cluster):
    serve(cluster, "blind", media_tokens_max={"image": 1_000})
    limited = cluster.admin.key(budgets=[{"unit": "tokens", "limit": 1_000_000}])
    assert [code(ask(cluster, limited, "blind", part)) for part in (IMAGE, FILE)] == [200, "unbounded_cost"]
    assert code(ask(cluster, cluster.admin.key(), "blind", FILE)) == 200


def test_sound_is_taken_to_cost_its_own_price_and_is_charged_it(cluster):
    price = {"input": "1", "output": "1", "audio_input": "100"}
    serve(cluster, "hears", media_tokens_max={"audio": 1_000}, price=price)

    def with_usd(limit):
        key = cluster.admin.key(budgets=[{"unit": "usd", "limit": limit}])
        return key, code(ask(cluster, key, "hears", SOUND))

    # A thousand tokens at a hundred dollars a million, and less than a thousand at one.
    assert with_usd("0.1")[1] == "request_exceeds_budget"
    cluster.provider.behave(usage={"lie": {"prompt_tokens": 500, "audio_prompt_tokens": 400, "completion_tokens": 10}})
    key, answer = with_usd("0.101")
    assert answer == 200
    budget = cluster.admin.budget_of(key)

    def used():
        return cluster.admin.explain(budget)["used"]

    # 400 tokens at a hundred dollars a million, and 110 at one.
    eventually(lambda: used() != "0", what="a budget that was spent from")
    assert used() == "0.04011"


def test_a_model_that_takes_sound_must_say_its_price_and_others_refuse_it(cluster):
    with pytest.raises(Refused, match="audio_input"):
        serve(cluster, "cheap", media_tokens_max={"audio": 1_000})
    serve(cluster, "deaf")
    limited = cluster.admin.key(budgets=[{"unit": "tokens", "limit": 1_000_000}])
    assert code(ask(cluster, limited, "deaf", SOUND)) == "unbounded_cost"
    assert code(ask(cluster, cluster.admin.key(), "deaf", SOUND)) == 200
