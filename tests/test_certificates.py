"""Certificates between nodes: renewed and replaced while requests go on; a stranger at the peer port gets nothing."""

import socket
import ssl

import httpx
import pytest

from support.command import run
from support.node_file import NodeFile
from support.admin import Admin
from support.steady import Steady
from support.wait import eventually

# Short enough to see several generations of them.
LIFETIME_MS = 12_000
GENERATIONS = 3


def certificates(admin):
    return {node["node"]: node["certificate"] for node in admin.get("/authority")["nodes"]}


@pytest.mark.timeout(180)
def test_the_authority_is_replaced_under_load_and_no_request_fails(own_cluster):
    own_cluster.serve("chat")
    key = own_cluster.admin.key(budgets=[{"unit": "requests", "limit": 1_000_000}])
    (before,) = own_cluster.admin.get("/authority")["roots"]
    environment = {"QUORATE_SERVER": own_cluster.nodes[0].admin_url, "QUORATE_TOKEN": own_cluster.token}
    without = run("authority", "rotate", **environment)
    assert without.returncode == 7 and "say why" in without.stderr, without

    def replaced():
        shown = own_cluster.admin.get("/authority")
        ids = [root["id"] for root in shown["roots"]]
        held = {node["certificate"] and node["certificate"]["root"] for node in shown["nodes"]}
        return shown["rotation"] is None and len(ids) == 1 and before["id"] not in ids and held == set(ids)

    with Steady([node.client_url for node in own_cluster.nodes], key, "chat") as steady:
        asked = run("authority", "rotate", "-m", "yearly", **environment)
        assert asked.returncode == 0, asked
        eventually(replaced, 60, "another root, and certificates of it on all nodes")
        served = dict(steady.served)
        eventually(lambda: all(steady.served[url] > served[url] + 20 for url in served), 30, "requests on every node")
    assert steady.failures == []
    # All of them come back with what they were given.
    own_cluster.kill_all()
    own_cluster.start_all_again()
    assert replaced()


@pytest.mark.timeout(180)
def test_certificates_are_renewed_before_they_run_out_and_no_request_fails(tmp_path, providers):
    files = [NodeFile(tmp_path / f"node-{number}", certificate_ms=LIFETIME_MS) for number in (1, 2, 3)]
    files[0].cluster["found"] = True
    processes = []

    def start(file):
        processes.append(file.start())
        file.wait_for(processes[-1], "/readyz")

    try:
        start(files[0])
        admin = Admin(f"http://{files[0].admin}", files[0].data.joinpath("admin-token").read_text().strip())
        for file in files[1:]:
            start(file.join_by(admin.join_token()))
        admin.serve("chat", providers().url)
        key = admin.key(budgets=[{"unit": "requests", "limit": 1_000_000}])
        seen = {node: set() for node in certificates(admin)}

        def generations():
            # A node says what it holds some moments after it has it.
            for node, certificate in certificates(admin).items():
                seen[node] |= {certificate["until"]} if certificate else set()
            return all(len(each) >= GENERATIONS for each in seen.values())

        with Steady([f"http://{file.client}" for file in files], key, "chat") as steady:
            eventually(generations, 90, "several generations of certificates")
        assert steady.failures == [] and min(steady.served.values()) > 0
    finally:
        for process in processes:
            process.kill()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A cluster of one, whose peer port anybody may try."""
    file = NodeFile(tmp_path_factory.mktemp("alone"), found=True)
    process = file.start()
    file.wait_for(process, "/readyz")
    yield file
    process.kill()


def peer_port(file):
    host, port = file.peer.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=10)


def read_to_end(connection):
    read = b""
    while piece := connection.recv(4096):
        read += piece
    return read


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, b"Q" * 20_000])
def test_a_plain_tcp_client_gets_an_alert_and_nothing_else(alone, said):
    with peer_port(alone) as connection:
        connection.sendall(said)
        # A TLS alert takes seven bytes; a kernel that has unread bytes ends with a reset.
        try:
            assert len(read_to_end(connection)) <= 7
        except ConnectionResetError:
            pass


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, b"Q" * 20_000])
def test_a_tls_client_without_a_certificate_and_a_token_gets_nothing(alone, said):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(peer_port(alone)) as connection:
        assert connection.version() == "TLSv1.3"
        connection.sendall(said)
        try:
            assert read_to_end(connection) == b""
        except (ConnectionResetError, ssl.SSLError):
            pass


def test_no_older_tls_is_spoken(alone):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        context.wrap_socket(peer_port(alone))
    assert httpx.get(f"http://{alone.admin}/readyz").status_code == 200
