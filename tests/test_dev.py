"""`quorate dev --config FILE`: the cluster serves what FILE says, at each start anew."""

import json
import subprocess

import pytest

from support.cluster import Cluster
from support.processes import binary

MESSAGES = [{"role": "user", "content": "hello"}]
FILE = """
[[providers]]
name = "own"
base_url = "{url}/v1"

[[models]]
name = "own/model"
provider = "own"
upstream_model = "upstream"
price = {{ input = "1", output = "2" }}
context_tokens = 128000
output_tokens_max = 4096

[[routes]]
name = "{route}"
targets = [{{ model = "own/model" }}]

[[organisations]]
name = "acme"

[[budgets]]
subject = "org:acme"
unit = "requests"
window = "lifetime"
limit = 100

[[keys]]
label = "own"
secret = "${{file:{folder}/key}}"
organisation = "acme"
"""


@pytest.fixture
def own(tmp_path):
    """Writes the file, and starts a cluster on it, always in the same folder."""
    minted = subprocess.check_output([binary("quorate", "QUORATE_BIN"), "key", "mint", "-o", "json"], text=True, timeout=20)
    key = json.loads(minted)
    tmp_path.joinpath("key").write_text(key["secret"])
    started = []

    def start(text, nodes=2, **fields):
        file = tmp_path / "own.toml"
        file.write_text(text.format(folder=tmp_path, **fields))
        started.append(Cluster(tmp_path, nodes, config=file))
        return started[-1]

    yield start, key
    for cluster in started:
        cluster.stop()


def test_a_file_of_ones_own_is_served_and_a_change_of_it_at_the_next_start_too(own, providers):
    start, key = own
    first, second = providers(), providers()
    cluster = start(FILE, url=first.url, route="one")
    for node in cluster.nodes:
        node.sdk(key).chat.completions.create(model="one", messages=MESSAGES)
    cluster.stop()

    cluster = start(FILE + '\n[[users]]\nname = "ann"\n', url=second.url, route="two")
    for node in cluster.nodes:
        node.sdk(key).chat.completions.create(model="two", messages=MESSAGES)
    assert (len(first.entries()), len(second.entries())) == (2, 2)
    assert cluster.admin.get("/users/ann")["name"] == "ann"
    (budget,) = cluster.admin.items("/budgets")
    assert (budget["unit"], budget["limit"]) == ("requests", 100)


def test_a_bad_file_is_refused_and_the_corrected_one_is_served(own, providers, tmp_path):
    start, key = own
    provider = providers()
    file = tmp_path / "own.toml"
    file.write_text(FILE.format(folder=tmp_path, url=provider.url, route="one").replace("own/model", "gone", 1))
    command = [binary("quorate", "QUORATE_BIN"), "dev", "--nodes", "1", "--data-dir", str(tmp_path / "data"), "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 78 and "route one names model own/model, which does not exist" in done.stderr
    cluster = start(FILE, nodes=1, url=provider.url, route="one")
    assert cluster.nodes[0].sdk(key).chat.completions.create(model="one", messages=MESSAGES).usage.completion_tokens == 20
