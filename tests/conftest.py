"""Fixtures: clusters and providers as real processes. Their folders stay when a test fails."""

import pytest

from support.cluster import Cluster
from support.provider import OwnProvider


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
