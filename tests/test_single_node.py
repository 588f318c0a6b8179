"""A single node is a full gateway: one configuration file, no cluster steps."""

import json
import os
import subprocess

import openai
import pytest

from support.cluster import Node
from support.processes import Process, binary, free_ports
from support.wait import eventually

MESSAGES = [{"role": "user", "content": "hello"}]
CONFIG = """
[node]
data_dir = "{folder}/data"
client_listen = "127.0.0.1:{client}"
admin_listen = "127.0.0.1:{admin}"

[[providers]]
name = "fake"
base_url = "{provider}/v1"
credential = "${{file:{folder}/credential}}"

[[models]]
name = "fake/model"
provider = "fake"
upstream_model = "upstream"
price = {{ input = "0.15", output = "0.60" }}
context_tokens = 128000
output_tokens_max = 16384

[[routes]]
name = "chat"
targets = [{{ model = "fake/model" }}]

[[organisations]]
name = "acme"

[[budgets]]
subject = "org:acme"
unit = "tokens"
limit = 500

[[keys]]
label = "default"
secret = "${{file:{folder}/key}}"
organisation = "acme"
"""


class Single:
    """A node with one configuration file, and the key in it."""

    def __init__(self, folder, provider):
        client, admin = free_ports(2)
        minted = [binary("quorate", "QUORATE_BIN"), "key", "mint", "--output", "json"]
        self.key = json.loads(subprocess.run(minted, capture_output=True, text=True, check=True, timeout=30).stdout)
        (folder / "key").write_text(self.key["secret"])
        (folder / "credential").write_text("sk-of-the-provider")
        config = folder / "node.toml"
        config.write_text(CONFIG.format(folder=folder, client=client, admin=admin, provider=provider.url))
        self.command = [binary("quorate", "QUORATE_BIN"), "serve", "--config", str(config)]
        self.process = Process(self.command, folder / "node.log")
        urls = {"client_url": f"http://127.0.0.1:{client}", "admin_url": f"http://127.0.0.1:{admin}"}
        token_file = folder / "data" / "admin-token"
        token = eventually(lambda: self.process.check_alive() or token_file.read_text(), 30, "the admin token")
        self.node = Node({"id": 1, "pid": self.process.pid, **urls}, token, folder)
        self.node.wait_until_ready()

    def stop(self):
        self.process.stop()
        if self.node.own:
            self.node.own.stop()


@pytest.fixture
def provider(providers):
    return providers()


@pytest.fixture
def single(tmp_path, provider):
    single = Single(tmp_path, provider)
    yield single
    single.stop()


def test_one_file_makes_a_gateway_whose_budget_ends_and_survives_a_crash(single, provider):
    sdk = single.node.sdk(single.key)
    answer = sdk.chat.completions.create(model="chat", messages=MESSAGES, max_tokens=5)
    assert answer.usage.completion_tokens == 5
    assert provider.last_headers()["authorization"] == "Bearer sk-of-the-provider"
    billed = provider.billed_tokens()
    used = lambda: single.node.admin.get("/budgets/1/explain")["used"]  # noqa: E731
    eventually(lambda: used() == billed, what="the bill in the ledger")

    single.node.kill()
    single.process.popen.wait()
    single.node.start_again()
    single.node.wait_until_ready()
    assert billed <= used() <= 500
    with pytest.raises(openai.RateLimitError):
        while True:
            sdk.chat.completions.create(model="chat", messages=MESSAGES, max_tokens=100)
    assert provider.billed_tokens() <= 500


def quorate(single, *words, **environment):
    """The command line, at this node, as the README says."""
    command = [binary("quorate", "QUORATE_BIN"), *words, "--server", single.node.admin_url]
    env = {name: value for name, value in os.environ.items() if not name.startswith("QUORATE_TOKEN")}
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env={**env, **environment})


def test_the_first_admin_key_is_in_the_file_that_the_documents_and_the_hint_name(single, tmp_path):
    refused = quorate(single, "key", "list")
    assert refused.returncode == 4 and "QUORATE_TOKEN_FILE" in refused.stderr and "admin-token" in refused.stderr
    key = {"QUORATE_TOKEN_FILE": str(tmp_path / "data" / "admin-token")}
    listed = quorate(single, "key", "list", "--output", "json", **key)
    (own,) = [item for item in json.loads(listed.stdout) if item.get("label") == "default"]
    for limit in ("$5/month", "5M/day", "100 requests/day"):
        made = quorate(single, "budget", "create", f"key:{own['id']}", limit, **key)
        assert made.returncode == 0, made.stderr
    explained = quorate(single, "budget", "explain", f"key:{own['id']}", **key)
    assert "of 100 requests (day) 0 are spent" in explained.stdout, explained.stderr
    wrong = quorate(single, "budget", "set", "4", "$7", **key)
    assert wrong.returncode == 2 and "is in requests" in wrong.stderr
    assert quorate(single, "budget", "set", "4", "7", **key).returncode == 0


def test_a_second_node_on_its_port_is_refused_and_says_which(single):
    done = subprocess.run(single.command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 70
    assert f"cannot listen on {single.node.client_url.removeprefix('http://')}" in done.stderr
    assert "choose another port" in done.stderr
    assert single.node.is_ready()
