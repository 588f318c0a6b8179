"""Data directories that are not what they were: copied, put back, of a node that is gone. Each has its exit code and its way out."""

import shutil

import pytest

from support.admin import Admin
from support.documented import PAGE
from support.node_file import NodeFile
from support.wait import eventually

END_S = 60
# By exit code, as docs/errors/README.md has them.
MESSAGES = {
    72: "the data directory of node N is older than what the cluster knows of it: an old copy was put back",
    77: "another process has started with the data directory of node N, or with a copy of it",
}


@pytest.fixture
def trio(tmp_path):
    """Three nodes whose files a test may copy; they serve at the beginning."""
    files = [NodeFile(tmp_path / f"node-{number}") for number in (1, 2, 3)]
    files[0].cluster["found"] = True
    running = {}

    class Trio:
        nodes = files

        @staticmethod
        def start(file):
            running[file] = file.start()
            file.wait_for(running[file], "/readyz")
            return running[file]

        @staticmethod
        def stop(file):
            assert running.pop(file).stop()

    try:
        Trio.start(files[0])
        token = files[0].data.joinpath("admin-token").read_text().strip()
        Trio.admin = Admin(f"http://{files[0].admin}", token)
        for file in files[1:]:
            Trio.start(file.join_by(Trio.admin.join_token()))
        yield Trio
    finally:
        for process in running.values():
            process.kill()


def refused_at_last(file):
    """The node starts, is told by the others that its directory is a copy, or an old one, and ends. Which of the two, only the leader knows."""
    process = file.start()
    try:
        code = process.popen.wait(END_S)
        said = process.tail()
        assert code in MESSAGES, said
        message = MESSAGES[code]
        assert message.replace("node N", "node 3") in said and "\n next: " in said and "with an empty" in said, said
        assert f"| `{message}` | {code} |" in PAGE.read_text()
    finally:
        process.kill()


def write_something(trio, count):
    for number in range(count):
        trio.admin.call("POST", "/users", {"name": f"user-{count}-{number}"})


@pytest.mark.timeout(180)
def test_a_copy_of_a_directory_is_refused_and_the_node_goes_on(trio, tmp_path):
    """As a cloned virtual machine: the same directory at another address, while the original runs."""
    original = trio.nodes[2]
    trio.stop(original)
    copy = NodeFile(tmp_path / "copy")
    shutil.copytree(original.data, copy.data)
    process = trio.start(original)
    write_something(trio, 5)
    refused_at_last(copy)
    process.check_alive()
    write_something(trio, 6)
    original.wait_for(process, "/readyz")


@pytest.mark.timeout(180)
def test_an_old_copy_that_was_put_back_is_refused(trio, tmp_path):
    """As a backup of one node's disk: what it has acknowledged since is not on it."""
    node = trio.nodes[2]
    trio.stop(node)
    shutil.copytree(node.data, tmp_path / "backup")
    trio.start(node)
    write_something(trio, 5)
    trio.stop(node)
    shutil.rmtree(node.data)
    shutil.copytree(tmp_path / "backup", node.data)
    refused_at_last(node)
    eventually(lambda: write_something(trio, 7) is None, 30, "a cluster that goes on")
