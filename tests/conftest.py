"""Fixtures: clusters and providers as real processes. Their folders stay when a test fails."""

from types import SimpleNamespace

import pytest

from support.admin import Admin
from support.cluster import Cluster
from support.command import run
from support.node_file import NodeFile
from support.provider import OwnProvider
from support.relay import Network
from support.trio import Trio
from support.wait import eventually


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, request):
    """Three nodes that the tests of a file share. They must leave it healthy."""
    folder = tmp_path_factory.mktemp(request.module.__name__)
    cluster = Cluster(folder)
    yield cluster
    cluster.stop()


@pytest.fixture
def own_cluster(tmp_path):
    """Three nodes for one test, which may kill them."""
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.stop()


@pytest.fixture
def providers(tmp_path):
    """Starts fake providers that one test may break."""
    started = []

    def start():
        started.append(OwnProvider(tmp_path, f"provider-{len(started)}"))
        return started[-1]

    yield start
    for provider in started:
        provider.process.stop()


@pytest.fixture
def trio(tmp_path, providers):
    """Three nodes with folders of their own, which a test may kill and wipe."""
    trio = Trio(tmp_path, providers())
    try:
        yield trio.begin()
    finally:
        trio.end()


@pytest.fixture
def network():
    """What can be cut between the nodes of `partitioned`."""
    return Network()


@pytest.fixture
def partitioned(tmp_path, network, providers):
    """Three nodes whose peers reach them through relays; the last one can be cut off while it serves clients."""
    files = [NodeFile(tmp_path / f"node-{number}") for number in (1, 2, 3)]
    for number, file in enumerate(files):
        file.cluster["peer_address"] = network.relay(number, file.peer)
    files[0].cluster["found"] = True
    processes = []

    def start(number):
        processes.append(files[number].start())
        network.runs(number, processes[-1].pid)
        files[number].wait_for(processes[-1], "/readyz")
        return processes[-1]

    try:
        pids = [start(0).pid]
        token = files[0].data.joinpath("admin-token").read_text().strip()
        for number in (1, 2):
            files[number].join_by(Admin(f"http://{files[0].admin}", token).join_token())
            pids.append(start(number).pid)
        admins = [Admin(f"http://{file.admin}", token) for file in files]
        votes = lambda: sum(member["is_voter"] for member in admins[0].status()["members"]) == 3  # noqa: E731
        eventually(votes, 30, "three voters")
        provider = providers()
        admins[0].serve("chat", provider.url)
        urls = [f"http://{file.client}" for file in files]
        environment = {"QUORATE_SERVER": f"http://{files[0].admin}", "QUORATE_TOKEN": token}
        quorate = lambda *words: run(*words, **environment)  # noqa: E731
        yield SimpleNamespace(admins=admins, urls=urls, pids=pids, provider=provider, start=start, quorate=quorate)
    finally:
        network.heal()
        for process in processes:
            process.kill()


@pytest.fixture(autouse=True)
def fresh_provider(request):
    """The shared provider forgets what the test before made of it."""
    if "cluster" in request.fixturenames:
        request.getfixturevalue("cluster").provider.reset()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Says where the logs are, and how they end, when a test failed."""
    report = yield
    if report.when == "call" and report.failed:
        for name in ("cluster", "own_cluster"):
            cluster = item.funcargs.get(name)
            if cluster:
                report.sections.append((f"{name} in {cluster.folder}", cluster.process.tail()))
    return report
