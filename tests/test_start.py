"""A node that does not start: each message of the table in docs/errors/README.md, its exit code, and no more than that."""

import json
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from support.admin import Admin
from support.canned import HANG, Canned, event, head
from support.command import run
from support.documented import check_told, table
from support.node_file import NodeFile
from support.processes import Process, binary
from support.wait import eventually

README = Path(__file__).parents[1] / "README.md"
CONTENT = {"id": "c", "choices": [{"index": 0, "delta": {"content": "hi"}}]}
# A second deadline would be another so many seconds, or the ten for which a stream without its client is read.
DRAIN_S, UNREADY_S, SLACK_S = 8, 1.5, 5
# For thirty seconds a node asks its seeds, and a question takes five at most.
SEEDS_S = 40
# Of TEST-NET-3 (RFC 5737), which no machine has.
ELSEWHERE = "203.0.113.1:18080"
MAGIC, VERSION, PAYLOAD = 0, 1, 12


def refused(file, message):
    done = file.refused()
    check_told(message, done.returncode, done.stderr)
    return done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("start")


@pytest.fixture(scope="module")
def running(folder):
    """A cluster of one."""
    file = NodeFile(folder / "running", found=True)
    process = file.start()
    file.wait_for(process, "/readyz")
    yield file
    process.kill()


@pytest.fixture
def own(tmp_path):
    """A cluster of one for a test that brings others in: without them it cannot go on."""
    file = NodeFile(tmp_path / "own", found=True)
    process = file.start()
    file.wait_for(process, "/readyz")
    yield file
    process.kill()


@pytest.fixture(scope="module")
def silent():
    """An address at which somebody takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield "127.0.0.1:{}".format(server.getsockname()[1])


@pytest.fixture(scope="module")
def waiting(folder):
    """Starts nodes that wait to be told which cluster is theirs."""
    started = []

    def start(name, started_before=None, before="", **fields):
        file = started_before or NodeFile(folder / name, **fields)
        file.before = before
        process = file.start()
        started.append(process)
        file.wait_for(process, "/livez")
        return file, process

    yield start
    for process in started:
        process.kill()


def admin_of(file):
    """The admin API of a node that founded its cluster by its file."""
    return Admin(f"http://{file.admin}", file.data.joinpath("admin-token").read_text())


def token_for(*seeds, cluster="c1" * 8):
    """A join token that nobody made."""
    return ".".join(["qj1", cluster, "07" * 32, "03" * 8, "09" * 32, ",".join(seeds)])


def join(file, token):
    """`quorate cluster join` of a node that waits."""
    file.folder.joinpath("token").write_text(token)
    server, token_file = f"http://{file.admin}", str(file.folder / "token")
    words = ["cluster", "join", "--server", server, "--join-token-file", token_file]
    return Process([binary("quorate", "QUORATE_BIN"), *words], file.folder / "join.log")


@pytest.fixture(scope="module", autouse=True)
def lost(folder, silent, waiting):
    """Two nodes that seek their cluster in vain: one by its file, one as it is told. Begun early, for it takes long."""
    nobody = NodeFile(folder / "nobody")
    by_file = NodeFile(folder / "by-file").join_by(token_for(nobody.peer, silent))
    told, _process = waiting("told")
    processes = {"by file": by_file.start(), "told": join(told, token_for(silent, nobody.peer))}
    yield processes, told
    for process in processes.values():
        process.stop()


def test_a_bad_file_is_refused_with_every_problem(folder):
    file = NodeFile(folder / "bad", found=True, join_token_file="token", heartbeat_ms=0)
    said = refused(file, "FILE cannot be used:")
    assert "either found = true or join_token_file" in said and "cluster.heartbeat_ms" in said


@pytest.mark.parametrize(
    "objects, problem",
    [
        ('routes = [{ name = "r", targets = [{ model = "gone" }] }]', "model gone, which does not exist"),
        ('[[budgets]]\nsubject = "org:gone"\nunit = "tokens"\nlimit = 5', "org:gone does not exist"),
        ('teams = [{ name = "t", organisation = "gone" }]', "organisation gone, which does not exist"),
        ('users = [{ name = "u" }, { name = "u" }]', "user u is there twice"),
        ('[log]\nlevel = "info,="', "log.level"),
    ],
)
def test_what_a_file_says_in_vain_is_refused_before_anything_is_founded(tmp_path, objects, problem):
    file = NodeFile(tmp_path / "node", found=True)
    # In TOML, fields of the whole file come before its first table.
    file.before, file.objects = ("", objects) if objects.startswith("[") else (objects, "")
    file.write()
    validated = run("config", "validate", file.path)
    served = subprocess.run(file.command, capture_output=True, text=True, timeout=20)
    for done in (validated, served):
        check_told("FILE cannot be used:", done.returncode, done.stderr)
        assert problem in done.stderr
    assert not file.data.exists()


def test_the_file_that_the_readme_shows_can_be_used_and_is_not_without_its_key(tmp_path):
    file = tmp_path / "node.toml"
    file.write_text(README.read_text().split("```toml\n# node.toml\n")[1].split("```")[0])
    key = json.loads(run("key", "mint", "-o", "json").stdout)["secret"]
    checked = run("config", "validate", file, QUORATE_KEY=key)
    assert checked.returncode == 0, checked
    refused = run("config", "validate", file)
    assert refused.returncode == 78 and "QUORATE_KEY is not set" in refused.stderr, refused


def test_a_file_that_contradicts_the_cluster_is_refused_at_every_start(folder):
    file = NodeFile(folder / "contradicting", found=True)
    tenants = 'organisations = [{ name = "acme" }, { name = "other" }]\nteams = [{ name = "search", organisation = "acme" }]\n'
    minted = json.loads(subprocess.check_output([file.command[0], "key", "mint", "-o", "json"], text=True, timeout=20))
    folder.joinpath("minted").write_text(minted["secret"])
    file.before = tenants
    process = file.start()
    file.wait_for(process, "/readyz")
    admin_of(file).call("PUT", "/teams/search", {"name": "search", "organisation": "other"})
    assert process.stop()
    file.objects = f'[[keys]]\nlabel = "k"\norganisation = "acme"\nteam = "search"\nsecret = "${{file:{folder}/minted}}"'
    for _ in range(2):
        said = refused(file, "the configuration file cannot be applied")
        assert "two organisations" in said


def test_the_file_of_a_node_that_joined_is_not_used_and_a_warning_says_so(folder):
    founder = NodeFile(folder / "founder", found=True)
    joiner = NodeFile(folder / "joiner")
    joiner.before = 'users = [{ name = "ann" }]'
    processes = []
    try:
        for file in (founder, joiner):
            if file is joiner:
                file.join_by(admin_of(founder).join_token())
            processes.append(file.start())
            file.wait_for(processes[-1], "/readyz")
        assert "are not used: it did not found the cluster" in processes[1].log.read_text()
        assert admin_of(founder).items("/users") == []
    finally:
        for process in processes:
            process.kill()


def test_a_node_that_was_told_to_found_a_cluster_adds_what_its_file_says_at_each_start(folder, waiting):
    file, process = waiting("init")
    token = httpx.post(f"http://{file.admin}/admin/v1/cluster/init", json={}, timeout=30).json()["admin_token"]
    file.wait_for(process, "/readyz")
    assert process.stop()
    file, _process = waiting("init", started_before=file, before='users = [{ name = "ann" }]')
    admin = Admin(f"http://{file.admin}", token)
    eventually(lambda: [user["name"] for user in admin.items("/users")] == ["ann"], what="the user of the file")


def test_the_command_line_founds_a_cluster_of_two_nodes_that_wait_and_shows_the_first_admin_key_once(waiting):
    founder, _ = waiting("founded-by-command")
    other, _ = waiting("joined-by-command")
    founded = run("cluster", "init", "--server", f"http://{founder.admin}")
    assert founded.returncode == 0 and "this is the only time" in founded.stderr, founded
    (token,) = set(re.findall(r"qk_\w{58}", founded.stdout))
    assert founder.data.joinpath("admin-token").read_text() == token
    key = {"QUORATE_SERVER": f"http://{founder.admin}", "QUORATE_TOKEN": token}
    made = run("token", "create", "--ttl", "5m", **key)
    assert made.returncode == 0 and made.stdout.startswith("qj1.") and "only time" in made.stderr, made
    other.folder.joinpath("token").write_text(made.stdout)
    joined = run("cluster", "join", "--server", f"http://{other.admin}", "--join-token-file", str(other.folder / "token"))
    assert joined.returncode == 0, joined
    assert "0" in run("token", "list", **key).stdout
    status = {"QUORATE_SERVER": f"http://{other.admin}", "QUORATE_TOKEN": token}
    healthy = lambda: "HEALTHY" in run("cluster", "status", **status).stdout  # noqa: E731
    eventually(healthy, 30, "a healthy cluster of two")
    again = run("cluster", "init", "--server", f"http://{other.admin}")
    assert again.returncode == 8 and "next:" in again.stderr, again


@pytest.mark.timeout(120)
def test_a_node_that_is_told_to_stop_gives_requests_one_deadline_whatever_becomes_of_their_clients(tmp_path):
    file = NodeFile(tmp_path, found=True)
    file.node["drain_ms"] = DRAIN_S * 1_000
    process, provider = file.start(), Canned()
    try:
        file.wait_for(process, "/readyz")
        admin = admin_of(file)
        # It is read on for ten seconds once its client is gone.
        provider.answer("endless-0", head(200, "text/event-stream"), event(CONTENT), HANG)
        admin.serve("endless", provider.url)
        key = admin.key()
        headers = {"authorization": f"Bearer {key['secret']}"}
        wish = {"model": "endless", "messages": [{"role": "user", "content": "hello"}], "stream": True}
        with httpx.stream("POST", f"http://{file.client}/v1/chat/completions", json=wish, headers=headers, timeout=60) as stream:
            lines = stream.iter_lines()
            assert "hi" in next(lines)
            process.popen.terminate()
            told = time.monotonic()
            assert process.popen.wait(60) == 0, process.tail()
        took = time.monotonic() - told
        assert DRAIN_S <= took <= DRAIN_S + UNREADY_S + SLACK_S, f"it took {took} s"
    finally:
        provider.stop()
        process.stop()


@pytest.mark.parametrize(
    "which, message",
    [
        ("client", "cannot listen on ADDRESS: Address already in use"),
        ("admin", "cannot listen on ADDRESS: Address already in use"),
        ("peer", "cannot listen for peers on ADDRESS: Address already in use"),
    ],
)
def test_an_address_that_is_taken_is_named(running, folder, which, message):
    file = NodeFile(folder / f"second-{which}", found=True)
    setattr(file, which, getattr(running, which))
    assert getattr(running, which) in refused(file, message)


@pytest.mark.parametrize(
    "which, message",
    [
        ("client", "cannot listen on ADDRESS: Cannot assign requested address"),
        ("admin", "cannot listen on ADDRESS: Cannot assign requested address"),
        ("peer", "cannot listen for peers on ADDRESS: Cannot assign requested address"),
    ],
)
def test_an_address_that_the_machine_does_not_have_is_named(folder, which, message):
    file = NodeFile(folder / f"elsewhere-{which}", found=True)
    setattr(file, which, ELSEWHERE)
    assert ELSEWHERE in refused(file, message)


def test_a_data_directory_that_cannot_be_made_is_named(folder):
    file = NodeFile(folder / "nowhere", found=True)
    file.data = Path("/proc/no-directory-can-be-made-here")
    assert str(file.data) in refused(file, "create the data directory DIR")


def test_a_data_directory_that_is_in_use_is_named(running, folder):
    file = NodeFile(folder / "sharing", found=True)
    file.data = running.data
    assert str(running.data) in refused(file, "DIR is in use by another process")


@pytest.fixture
def stopped(running, folder, tmp_path):
    """The data of a node that has run, and stopped in order."""
    file = NodeFile(folder / "stopped", found=True)
    if not file.data.exists():
        process = file.start()
        file.wait_for(process, "/readyz")
        assert process.stop()
    copy = NodeFile(tmp_path / "copy", found=True)
    shutil.copytree(file.data, copy.data)
    return copy


def damage(path, at, byte):
    content = bytearray(path.read_bytes())
    content[at] = byte if content[at] != byte else byte ^ 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    "at, byte, message",
    [
        (MAGIC, 0, "DIR was not written by quorate"),
        (VERSION, 200, "DIR has format N, newer than M"),
        (PAYLOAD, 0, "DIR is damaged"),
    ],
)
def test_an_identity_that_is_not_ours_too_new_or_damaged(stopped, at, byte, message):
    damage(stopped.data / "identity", at, byte)
    assert str(stopped.data) in refused(stopped, message)


def test_a_directory_with_the_database_of_something_else(stopped):
    shutil.rmtree(stopped.data / "raft")
    shutil.copytree(stopped.data / "journal", stopped.data / "raft")
    assert f"{stopped.data}/raft" in refused(stopped, "DIR was not written by quorate")


def test_a_damaged_log_is_refused_rather_than_forgotten(stopped):
    manifest = Path(stopped.data / "raft" / (stopped.data / "raft" / "CURRENT").read_text().strip())
    damage(manifest, 20, 0)
    assert f"{stopped.data}/raft" in refused(stopped, "DIR is damaged")


def test_a_data_directory_of_another_cluster_is_refused(running, stopped):
    stopped.cluster = {}
    stopped.join_by(admin_of(running).join_token())
    refused(stopped, "the data directory belongs to cluster A, the join token to cluster B")


def test_a_token_whose_seed_is_of_another_cluster_is_refused_by_both_names(running, folder):
    file = NodeFile(folder / "elsewhere").join_by(token_for(running.peer))
    said = refused(file, "node at ADDRESS refuses: it belongs to cluster A, not to B")
    assert "c1" * 8 in said and running.peer in said


@pytest.mark.parametrize(
    "name, message",
    [
        ("guessed", "the cluster at ADDRESS does not let this node in: the join token is not known"),
        ("late", "the cluster at ADDRESS does not let this node in: the join token has expired"),
    ],
)
def test_a_join_token_that_is_no_good_is_refused_and_says_why(running, folder, name, message):
    admin = admin_of(running)
    token = admin.join_token(ttl_ms=1_000 if name == "late" else 60_000)
    if name == "guessed":
        parts = token.split(".")
        token = ".".join([*parts[:4], "00" * 32, *parts[5:]])
    if name == "late":
        expired = lambda: admin.get("/usage") is not None and time.time() - begun > 3  # noqa: E731
        begun = time.time()
        eventually(expired, 10, "a token that is too old")
    refused(NodeFile(folder / name).join_by(token), message)


def test_a_join_token_lets_in_no_more_nodes_than_it_says(own, tmp_path):
    token = admin_of(own).join_token()
    first = NodeFile(tmp_path / "first").join_by(token)
    process = first.start()
    try:
        first.wait_for(process, "/readyz")
        message = "the cluster at ADDRESS does not let this node in: the join token was used as often as it may be"
        refused(NodeFile(tmp_path / "second").join_by(token), message)
    finally:
        process.kill()


def test_a_join_token_file_with_something_else_in_it_is_refused_without_showing_it(folder):
    file = NodeFile(folder / "no-token").join_by("something else that may be secret")
    said = refused(file, "FILE cannot be used: this is no join token: one begins with qj1. and has six parts between dots")
    assert "may be secret" not in said


def test_the_same_line_on_every_node_waits_for_a_token_and_needs_none_afterwards(own, tmp_path):
    file = NodeFile(tmp_path / "same-line")
    token = file.folder / "comes-later"
    file.command += ["--join-token-file", str(token)]
    process = file.start()
    try:
        file.wait_for(process, "/livez")
        token.write_text(admin_of(own).join_token())
        file.wait_for(process, "/readyz")
        assert process.stop()
        token.write_text("")
        process = file.start()
        file.wait_for(process, "/readyz")
    finally:
        process.kill()


def test_a_node_that_is_told_to_join_by_a_bad_token_says_so_and_waits_on(running, waiting):
    file, process = waiting("stranger-told")
    token = admin_of(running).join_token().split(".")
    asked = join(file, ".".join([*token[:4], "00" * 32, *token[5:]]))
    assert asked.popen.wait(10) == 7
    assert "the join token is not known" in asked.tail()
    assert "next: make another join token: `quorate token create`" in asked.tail()
    process.check_alive()


def test_a_node_that_seeks_its_cluster_stops_when_it_is_told_to(silent, folder, waiting):
    by_file = NodeFile(folder / "stopped-by-file").join_by(token_for(silent))
    seeking = by_file.start()
    by_file.wait_for(seeking, "/livez")
    told, seeking_too = waiting("stopped-told")
    asked = join(told, token_for(silent))
    eventually(lambda: "asking for a place" in told.folder.joinpath("node.log").read_text(), what="a node that asks its seeds")
    for process in (seeking, seeking_too):
        assert process.stop(), "it had to be killed"
        assert process.popen.returncode == 0, process.tail()
    asked.popen.wait(10)


def test_a_node_that_finds_no_cluster_at_its_seeds_gives_up(lost):
    processes, _told = lost
    process = processes["by file"]
    code = process.popen.wait(SEEDS_S)
    check_told("no cluster could be joined in 30s; last asked ADDRESS", code, process.tail())


def test_a_node_that_is_told_wrong_seeds_says_so_and_joins_through_the_right_ones(lost, running):
    processes, told = lost
    asked = processes["told"]
    assert asked.popen.wait(SEEDS_S) == 7, asked.tail()
    assert "no cluster could be joined in 30s" in asked.tail() and "next: " in asked.tail()
    again = join(told, admin_of(running).join_token())
    assert again.popen.wait(SEEDS_S) == 0, again.tail()


def test_every_message_of_the_table_is_shown_by_a_test():
    tests = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    assert table() and [message for message in table() if f'"{message}"' not in tests] == []
