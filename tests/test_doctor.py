"""What the doctor finds, and what is in a bundle: all that helps, and no secret."""

import json
import tarfile

import httpx
import openai
import pytest

from support.cluster import Cluster
from support.command import quorate, run
from support.node_file import NodeFile
from support.wait import eventually

CANARY = "sk-provider-canary-0123456789"
MESSAGES = [{"role": "user", "content": "a word that no bundle repeats: xylophonist"}]


def examined(*words, **environment):
    """What the doctor found by check, and its exit code."""
    ended = run("doctor", *words, "-o", "json", **environment)
    found = json.loads(ended.stdout)
    assert all(finding["next"] for finding in found if finding["state"] != "ok"), found
    return ended.returncode, found


def states(found, check):
    return [finding["state"] for finding in found if finding["check"] == check]


def of_cluster(cluster):
    return examined(QUORATE_SERVER=cluster.nodes[0].admin_url, QUORATE_TOKEN=cluster.token)


# What this machine's disk is like is not the tests' to say.
def besides_disk(found):
    return {finding["check"]: finding["state"] for finding in found if finding["check"] not in ("disk", "room", "fsync", "open files", "writes") and finding["state"] != "ok"}


def test_a_healthy_cluster_is_found_well_and_a_node_that_is_gone_is_missed(own_cluster):
    eventually(lambda: besides_disk(of_cluster(own_cluster)[1]) == {}, 30, "a cluster without findings")
    code, found = of_cluster(own_cluster)
    assert code in (0, 10)
    assert {"nodes", "leader", "tolerance", "peers", "releases", "replicas", "clock", "disk", "certificate", "doubts"} <= {f["check"] for f in found}
    own_cluster.nodes[2].kill()
    expected = {"nodes": "fail", "tolerance": "warn", "peers": "fail"}
    eventually(lambda: expected.items() <= besides_disk(of_cluster(own_cluster)[1]).items(), 30, "a node that is missed")
    code, found = of_cluster(own_cluster)
    assert code == 1 and any("does not hear 3" in finding["said"] for finding in found)


def test_the_machine_and_the_file_of_a_node_are_examined_also_while_it_does_not_run(tmp_path):
    file = NodeFile(tmp_path / "node", found=True)
    secret = tmp_path / "secret"
    secret.write_text(CANARY)
    secret.chmod(0o644)
    file.objects = f'[[providers]]\nname = "p"\nbase_url = "http://127.0.0.1:9/v1"\ncredential = "${{file:{secret}}}"\n'
    file.write()
    _, found = examined("--config", file.path)
    assert (states(found, "file"), states(found, "secrets"), states(found, "data")) == (["ok"], ["warn"], ["ok"])
    secret.chmod(0o600)
    file.data.mkdir(mode=0o755)
    code, found = examined("--config", file.path)
    assert (code, states(found, "secrets"), states(found, "data"), len(states(found, "fsync"))) == (1, ["ok"], ["fail"], 1)
    assert list(file.data.iterdir()) == [], "it leaves nothing behind"
    file.path.write_text("[node]\ndata_dri = 1\n")
    code, found = examined("--config", file.path)
    assert (code, states(found, "file")) == (1, ["fail"])


def test_without_an_admin_key_the_doctor_says_what_is_missing(cluster):
    code, found = examined(QUORATE_SERVER=cluster.nodes[0].admin_url)
    assert (code, states(found, "cluster")) == (1, ["fail"])
    assert "QUORATE_TOKEN" in found[0]["next"]


def bundle(cluster, path, *words):
    ended = quorate(cluster, "debug", "bundle", "--out", path, *words)
    assert ended.returncode == 0, ended.stderr
    with tarfile.open(path) as packed:
        files = {member.name: packed.extractfile(member).read().decode() for member in packed.getmembers()}
    return files, ended.stderr


def test_a_bundle_says_what_it_will_have_and_has_no_secret(cluster, tmp_path):
    cluster.admin.provider("canary", cluster.provider.url, credential=CANARY)
    cluster.admin.model("canary", "canary")
    cluster.admin.route("canary", "canary")
    key = cluster.admin.key()
    cluster.nodes[0].sdk(key).chat.completions.create(model="canary", messages=MESSAGES)
    with pytest.raises(openai.AuthenticationError):
        cluster.nodes[0].sdk({"secret": f"{key['secret']}x"}).chat.completions.create(model="canary", messages=MESSAGES)
    config, log = tmp_path / "node.toml", cluster.folder / "data" / "node-1" / "log.jsonl"
    config.write_text(f'[node]\nname = "gw-1"\n[[providers]]\nname = "p"\nbase_url = "http://127.0.0.1:9/v1"\ncredential = "{CANARY}"\n')
    written = tmp_path / "log.jsonl"
    written.write_text(log.read_text() + f'{{"message":"somebody wrote {key["secret"]} into it"}}\n')
    files, said = bundle(cluster, tmp_path / "bundle.tar.gz", "--config", config, "--log", written)
    for part in ("/clusterz", "/metrics", "/machines", str(config), str(written)):
        assert part in said, said
    names = sorted({name.rsplit("/", 1)[-1] for name in files})
    assert names == sorted(
        ["cluster.json", "clusterz.txt", "config.toml", "livez.txt", "log-level.json", "log.jsonl", "machines.json"]
        + ["metrics.txt", "readyz-admin.txt", "readyz.txt", "startupz.txt", "versions.txt"]
    )
    assert len([name for name in files if name.endswith("machines.json")]) == 3, "every node is asked"
    everything = "".join(files.values())
    assert 'name = "gw-1"' in everything and "# providers: 1" in everything and "somebody wrote qk_***" in everything
    secrets = [CANARY, key["secret"], cluster.token, "xylophonist", cluster.folder.joinpath("data/join-token").read_text().split(".")[4]]
    assert [secret for secret in secrets if secret in everything] == []
    assert tmp_path.joinpath("bundle.tar.gz").stat().st_mode & 0o077 == 0


def test_a_bundle_is_made_without_a_leader(tmp_path):
    cluster = Cluster(tmp_path)
    try:
        for node in cluster.nodes[1:]:
            node.kill()
        alone = lambda: httpx.get(f"{cluster.nodes[0].admin_url}/clusterz").text.startswith("no_quorum")  # noqa: E731
        eventually(alone, 30, "a node without a leader that a majority follows")
        files, _ = bundle(cluster, tmp_path / "bundle.tar.gz")
        folder = cluster.nodes[0].admin_url.split("://")[1].replace(":", "-")
        assert files[f"quorate/{folder}/clusterz.txt"].startswith("no_quorum")
        assert json.loads(files[f"quorate/{folder}/machines.json"])["node"] == cluster.nodes[0].id
    finally:
        cluster.stop()
