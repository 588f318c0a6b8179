"""Ship of Theseus: under constant traffic every node of five is drained, taken out and replaced by another machine, twice. No client that asks a ready node sees
an error, no id is given twice, and the ledger says to the last token what the provider billed."""

import asyncio
import itertools
import threading
import time

import httpx
import pytest

from support.nodes import Town
from support.wait import eventually

NAMES = ("a", "b", "c", "d", "e")
REMOVED = 74
CLIENTS = 8
# Clients look ten times a second, and on a crowded machine not even that.
UNREADY_MS = 3_000


class Traffic:
    """Clients that ask nodes that say they are ready, one request after the other, and try nothing again."""

    def __init__(self, town, key):
        self.town, self.key = town, key
        self.ready, self.looked = list(town.members.values()), time.monotonic()
        self.served, self.failed = 0, []
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.look), threading.Thread(target=lambda: asyncio.run(self.ask()))]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        for thread in self.threads:
            thread.join(60)

    def look(self):
        """As a load balancer does."""
        with httpx.Client(timeout=0.5) as http:
            while not self.is_over.is_set():
                self.looked = time.monotonic()
                self.ready = [member for member in list(self.town.members.values()) if is_ready(http, member)]
                self.is_over.wait(0.1)

    async def ask(self):
        async with httpx.AsyncClient(timeout=30) as http:
            await asyncio.gather(*(self.client(http, number) for number in range(CLIENTS)))

    async def client(self, http, number):
        body = {"model": "chat", "messages": [{"role": "user", "content": "which plank?"}], "stream": number % 2 == 0}
        headers = {"authorization": f"Bearer {self.key['secret']}"}
        for turn in itertools.count(number):
            if self.is_over.is_set():
                return
            member = self.ready[turn % len(self.ready)]
            try:
                answer = await http.post(f"{member.url}/v1/chat/completions", json=body, headers=headers)
                if answer.status_code == 200 and ("[DONE]" in answer.text or not body["stream"]):
                    self.served += 1
                else:
                    self.note(member, f"{answer.status_code} {answer.text[-300:]}")
            except httpx.HTTPError as error:
                self.note(member, repr(error))

    def note(self, member, what):
        age = time.monotonic() - self.looked
        self.failed.append(f"{member.file.folder.name}, by a look {age:.1f} s ago: {what}")


def is_ready(http, member):
    try:
        return http.get(f"{member.admin_url}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def town(tmp_path):
    town = Town(tmp_path)
    yield town
    town.stop()


@pytest.mark.timeout(420)
def test_every_node_of_five_is_replaced_twice_and_nobody_notices(town, providers):
    for name in NAMES:
        town.come(name, unready_ms=UNREADY_MS)
    town.done("autopilot", "set", "--stable", "1s")
    town.wait_for_voters(*NAMES)
    provider = providers()
    provider.behave(chunks=4, completion_tokens=20, chunk_delay_ms=10)
    admin = town.admin
    admin.serve("chat", provider.url)
    key = admin.key(budgets=[{"unit": "tokens", "limit": 1_000_000_000}])
    ids = {node["id"] for node in admin.items("/nodes")}
    with Traffic(town, key) as traffic:
        for name in NAMES:
            another(town, name, ids, replace_before_it_goes)
        for name in NAMES:
            another(town, name, ids, remove_before_another_comes)
    assert not traffic.failed, f"{len(traffic.failed)} of {traffic.served}: {traffic.failed[:5]}"
    assert traffic.served > 200 and len(ids) == 15
    town.wait_for_voters(*NAMES)
    check_books(town, provider, key)


def another(town, name, ids, change):
    change(town, name)
    town.wait_for_voters(*NAMES)
    new = town.admin.get(f"/nodes/{name}")["id"]
    assert new not in ids, f"id {new} was given before"
    ids.add(new)


def replace_before_it_goes(town, name):
    """The other machine is there and caught up before the old one leaves."""
    old = town.members[name]
    town.done("node", "drain", name, "--yes", "-m", "old planks")
    town.done("node", "replace", name, "--yes", "-m", "old planks")
    town.come(name, unready_ms=UNREADY_MS)
    assert old.process.popen.wait(60) == REMOVED


def remove_before_another_comes(town, name):
    """Fewer nodes for a while."""
    town.done("node", "drain", name, "--yes")
    town.done("node", "remove", name, "--yes", "-m", "old planks")
    assert town.members.pop(name).process.popen.wait(60) == REMOVED
    town.come(name, unready_ms=UNREADY_MS)


def check_books(town, provider, key):
    """G1: everything that was billed is charged, and nothing else is held or lost."""
    admin = town.admin
    billed = provider.billed_tokens("chat-0")
    settled = lambda: (e := admin.explain(admin.budget_of(key)))["used"] == billed and e  # noqa: E731
    explained = eventually(settled, 30, f"the {billed} tokens of the bill")
    assert explained["crash_charged"] == explained["overrun"] == explained["in_doubt"] == 0, explained
    histories = lambda: {(h := town_status(member, town.token)["history"])["applied"]: h["sha256"] for member in town.members.values()}  # noqa: E731
    eventually(lambda: len(histories()) == 1, 30, "I9: the same state on every node")


def town_status(member, token):
    headers = {"authorization": f"Bearer {token}"}
    return httpx.get(f"{member.admin_url}/admin/v1/cluster", headers=headers, timeout=5).json()
