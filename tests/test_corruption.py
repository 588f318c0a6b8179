"""Files whose bytes are not what was written: the node refuses to start, or has everything that was acknowledged. Never anything between."""

import shutil

import httpx
import pytest

from support.admin import Admin
from support.node_file import NodeFile
from support.processes import kill_and_wait
from support.wait import eventually

DAMAGED = 72
KEYS = 25
START_S = 30
# Any disk of a machine that runs tests is this full: a snapshot is taken at once, and the log is cut to it.
ALWAYS_SCARCE = "[disk]\nwarn_percent = 1\nscarce_percent = 2\nread_only_percent = 100\nheadroom_bytes = 9000000000000000000\nreserve_bytes = 0\n"
# What a node needs of what it keeps; RocksDB's text logs, locks and options are not.
KINDS = {
    "the node's identity": "identity",
    "its certificate": "certificate",
    "a snapshot": "snapshots/*.snapshot",
    "a table of the log": "raft/*.sst",
    "the log's write-ahead log": "raft/*.log",
    "the log's manifest": "raft/MANIFEST-*",
    "the log's root": "raft/CURRENT",
    "a table of the journal": "journal/*.sst",
    "the journal's write-ahead log": "journal/*.log",
    "the journal's manifest": "journal/MANIFEST-*",
    "the journal's root": "journal/CURRENT",
}

# A node without an identity is a new one. That the newest end of a log is gone, with the file it was in, is known to the leader alone (test_identity.py).
MISSED = [kind for kind in KINDS if kind != "the node's identity" and "write-ahead" not in kind]


class Kept:
    """A node that was killed, with every kind of file, and what it had acknowledged."""

    def __init__(self, folder):
        self.file = NodeFile(folder / "node", found=True)
        self.file.objects = ALWAYS_SCARCE
        self.good = folder / "good"
        self.ids = set()
        self.live(lambda: eventually(lambda: list(self.file.data.glob("snapshots/*.snapshot")), 40, "a snapshot"))
        # Recovery turns the write-ahead log into tables.
        self.live(lambda: None)
        shutil.copytree(self.file.data, self.good)

    def live(self, until):
        process = self.file.start()
        try:
            self.file.wait_for(process, "/readyz")
            admin = self.admin()
            for _ in range(KEYS):
                self.ids.add(admin.key(budgets=[{"unit": "requests", "limit": 5}])["id"])
            until()
        finally:
            kill_and_wait(process.pid)

    def admin(self):
        return Admin(f"http://{self.file.admin}", (self.good if self.good.exists() else self.file.data).joinpath("admin-token").read_text().strip())

    def renew(self):
        shutil.rmtree(self.file.data)
        shutil.copytree(self.good, self.file.data)

    def files(self, pattern):
        found = [path.relative_to(self.good) for path in sorted(self.good.glob(pattern)) if path.stat().st_size]
        assert found, f"the node kept no {pattern}"
        return [self.file.data / path for path in found]

    def is_refused(self):
        done = self.file.refused()
        assert done.returncode == DAMAGED, done.stderr
        assert "error: " in done.stderr and "quorate node replace NAME" in done.stderr, done.stderr
        return done.stderr

    def is_refused_or_has_everything(self):
        process = self.file.start()
        try:
            eventually(lambda: process.popen.poll() is not None or self.is_ready(), START_S, "a node that starts or does not")
        finally:
            if process.popen.poll() is None:
                kill_and_wait(process.pid)
        if process.popen.poll() == DAMAGED:
            assert "quorate node replace NAME" in process.tail()
        else:
            self.has_everything()

    def is_ready(self):
        try:
            return httpx.get(f"http://{self.file.admin}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def has_everything(self):
        process = self.file.start()
        try:
            self.file.wait_for(process, "/readyz")
            kept = {key["id"] for key in self.admin().items("/keys")}
            assert self.ids <= kept, f"{len(self.ids - kept)} acknowledged keys are gone"
        finally:
            kill_and_wait(process.pid)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return Kept(tmp_path_factory.mktemp("corruption"))


def flip(path, share):
    """Other bits in one byte, so far into the file."""
    content = bytearray(path.read_bytes())
    content[int((len(content) - 1) * share)] ^= 0x55
    path.write_bytes(content)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_byte_is_found_at_the_next_start(kept, kind):
    # The first byte of an identity says whose file it is: with another one it is taken for something else's, with exit 78.
    shares = (0.3, 0.6, 1.0) if kind == "the node's identity" else (0.0, 0.3, 0.6, 1.0)
    for path in kept.files(KINDS[kind]):
        for share in shares:
            kept.renew()
            flip(path, share)
            if "manifest" in kind:
                # Where the flip makes the last line of a manifest look torn, it is dropped like one that was never finished.
                kept.is_refused_or_has_everything()
            else:
                kept.is_refused()


@pytest.mark.parametrize("kind", MISSED)
def test_a_file_that_is_gone_is_missed_at_the_next_start(kept, kind):
    for path in kept.files(KINDS[kind]):
        kept.renew()
        path.unlink()
        kept.is_refused()


def test_a_log_that_is_gone_is_missed_by_a_node_that_has_started_before(kept):
    kept.renew()
    shutil.rmtree(kept.file.data / "raft")
    assert "it is empty, although this node has started before" in kept.is_refused()


def test_without_any_damage_everything_is_there(kept):
    kept.renew()
    kept.has_everything()


def test_what_was_torn_at_the_end_of_the_log_and_never_acknowledged_is_dropped(kept):
    kept.renew()
    newest = max(kept.files("raft/*.log"), key=lambda path: path.name)
    with newest.open("ab") as torn:
        # The head of a record, cut off in the middle: a crash between two writes.
        torn.write(newest.read_bytes()[:5])
    kept.has_everything()
