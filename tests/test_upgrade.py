"""From one release to the next and back, under traffic. The older release is played by `QUORATE_LEVELS`: a program that knows, writes and
applies no more than level 1 (docs/adr/0025-levels.md)."""

import os

import pytest

from support.admin import Admin, Refused
from support.command import run
from support.node_file import NodeFile
from support.processes import Process
from support.steady import Steady
from support.wait import eventually

OLD, NEW = "1-1", "1-2"
END_S = 60


class Release:
    """Three nodes, each of which can be started as one release or the other."""

    def __init__(self, folder):
        self.files = [NodeFile(folder / f"node-{number}") for number in (1, 2, 3)]
        self.files[0].cluster["found"] = True
        self.running = {}

    def begin(self, file, levels):
        file.write()
        self.running[file] = Process(file.command, file.folder / "node.log", env={**os.environ, "QUORATE_LEVELS": levels})
        return self.running[file]

    def start(self, file, levels):
        file.wait_for(self.begin(file, levels), "/readyz")

    def swap(self, file, levels):
        """Drains the node, and starts it as the other release."""
        assert self.running.pop(file).stop()
        self.start(file, levels)

    def stop(self):
        for process in self.running.values():
            process.kill()


@pytest.fixture
def release(tmp_path):
    release = Release(tmp_path)
    yield release
    release.stop()


def state(admin):
    shown = admin.get("/upgrade")
    return shown["level"], shown["state"]


def refused(call):
    with pytest.raises(Refused) as refusal:
        call()
    return refusal.value.status, refusal.value.error["code"]


@pytest.mark.timeout(300)
def test_a_cluster_goes_to_the_next_release_and_back_until_it_is_finalized_and_no_covered_request_fails(release, providers):
    first, *others = release.files
    release.start(first, OLD)
    admin = Admin(f"http://{first.admin}", first.data.joinpath("admin-token").read_text().strip())
    admin.http.headers["x-quorate-reason"] = "an upgrade"
    for file in others:
        release.start(file.join_by(admin.join_token()), OLD)
    admin.serve("chat", providers().url)
    key = admin.key(budgets=[{"unit": "requests", "limit": 1_000_000}])
    assert state(admin) == (1, "final")
    rotate = lambda: admin.call("POST", "/authority/rotate", {})  # noqa: E731
    finalize = lambda: admin.call("POST", "/upgrade/finalize", {"from": 1})  # noqa: E731
    assert refused(rotate) == (409, "level_too_low")

    # A client of two nodes, while the third is swapped: each node in turn, there and back.
    for levels, expected in ((NEW, "can_finalize"), (OLD, "final")):
        for file in (*others, first):
            staying = [f"http://{other.client}" for other in release.files if other is not file]
            with Steady(staying, key, "chat") as steady:
                release.swap(file, levels)
                served = dict(steady.served)
                eventually(lambda: all(steady.served[url] > served[url] for url in served), 30, "requests on both")  # noqa: B023
            assert steady.failures == []
            if file is others[0]:
                eventually(lambda: state(admin) == (1, "mixed"), 30, "a cluster of two releases")
                assert refused(rotate) == (409, "level_too_low")
                assert refused(finalize) == (409, "level_unknown")
        eventually(lambda: state(admin) == (1, expected), 30, expected)  # noqa: B023

    for file in release.files:
        release.swap(file, NEW)
    eventually(lambda: state(admin) == (1, "can_finalize"), 30, "all on the new release")
    environment = {"QUORATE_SERVER": f"http://{first.admin}", "QUORATE_TOKEN": admin.http.headers["authorization"].split()[1]}
    dry = run("upgrade", "finalize", "--dry-run", **environment)
    assert dry.returncode == 0 and "afterwards none can" in dry.stdout and state(admin) == (1, "can_finalize"), dry
    done = run("upgrade", "finalize", "-m", "all is well", **environment)
    assert done.returncode == 0 and "at level 2" in done.stdout, done
    again = run("upgrade", "status", **environment)
    assert "nothing to finalize" in again.stdout, again
    assert finalize()["level"] == 2, "a retry changes nothing"
    assert refused(lambda: admin.call("POST", "/upgrade/finalize", {"from": 2})) == (409, "level_unknown")
    assert refused(lambda: admin.call("POST", "/upgrade/finalize", {"from": 7})) == (412, "level_moved")
    rotate()

    # The old release is out, and says why; so is a newcomer that runs it.
    file = others[0]
    assert release.running.pop(file).stop()
    process = release.begin(file, OLD)
    assert process.popen.wait(END_S) == 75, process.tail()
    said = process.tail()
    # By the log on its own disk, or by what the others say.
    assert "has format 2, newer than 1" in said or "at level 2, and the program of this node knows 1 to 1" in said, said
    assert "next: run " in said
    release.start(file, NEW)
    late = NodeFile(file.folder.parent / "late").join_by(admin.join_token())
    process = release.begin(late, OLD)
    assert process.popen.wait(END_S) == 75, process.tail()
