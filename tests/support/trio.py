"""Three nodes with files and folders of their own, which a test may kill, wipe and replace; and what clients are told by them."""

import json
import shutil

import httpx

from support.admin import Admin
from support.command import run
from support.node_file import NodeFile
from support.wait import eventually

END_S = 60


class Trio:
    """Nodes that serve `chat` from a provider; `admin` is that of the first node."""

    def __init__(self, folder, provider):
        self.folder, self.provider = folder, provider
        self.files = [NodeFile(folder / f"node-{number}") for number in (1, 2, 3)]
        self.files[0].cluster["found"] = True
        self.running = {}

    def begin(self):
        self.start(self.files[0])
        self.token = self.files[0].data.joinpath("admin-token").read_text().strip()
        for file in self.files[1:]:
            self.start(file.join_by(self.admin_of(self.files[0]).join_token()))
        admin = self.admin_of(self.files[0])
        votes = lambda: sum(member["is_voter"] for member in admin.status()["members"]) == 3  # noqa: E731
        eventually(votes, 30, "three voters")
        admin.serve("chat", self.provider.url)
        return self

    def start(self, file, path="/readyz"):
        process = self.running[file] = file.start()
        file.wait_for(process, path)
        return process

    def admin_of(self, file):
        return Admin(f"http://{file.admin}", self.token)

    def leader(self):
        """The file of the leader, as all that run agree."""

        def agreed():
            (leader,) = {self.admin_of(file).status()["leader"] for file in self.running}
            return next(file for file in self.running if self.admin_of(file).status()["node"] == leader)

        def found():
            try:
                return agreed()
            except (ValueError, StopIteration, httpx.HTTPError):
                return None

        return eventually(found, 30, "one leader that all nodes agree on")

    def kill(self, *files):
        """`kill -9`, one right after the other."""
        for file in files:
            self.running.pop(file).kill()

    def stop(self, file):
        assert self.running.pop(file).stop()

    def lose(self, *files):
        """The machines burn, with their disks."""
        self.kill(*files)
        for file in files:
            shutil.rmtree(file.data)

    def end_of(self, file):
        """The exit code of a node that ends by itself, and how its log ends."""
        process = self.running.pop(file)
        try:
            return process.popen.wait(END_S), process.tail()
        finally:
            process.kill()

    def quorate(self, *words, at=None):
        """Runs `quorate` against a node, or against the first that runs."""
        file = at or next(iter(self.running), self.files[0])
        return run(*words, QUORATE_SERVER=f"http://{file.admin}", QUORATE_TOKEN=self.token)

    def done(self, *words, at=None):
        """What a command says that succeeds."""
        ended = self.quorate(*words, at=at)
        assert ended.returncode == 0, f"{words}: {ended.returncode}\n{ended.stderr}"
        return ended.stdout

    def shown(self, *words, at=None):
        return json.loads(self.done(*words, "--output", "json", at=at))

    def end(self):
        for process in self.running.values():
            process.kill()


def ask(file, key, **fields):
    """Sends one request: 200, a status with its code, or `broken`."""
    wish = {"model": "chat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1, **fields}
    headers = {"authorization": f"Bearer {key['secret']}"}
    try:
        answer = httpx.post(f"http://{file.client}/v1/chat/completions", json=wish, headers=headers, timeout=20)
    except httpx.HTTPError:
        return "broken"
    return 200 if answer.is_success else f"{answer.status_code} {answer.json()['error']['code']}"


def spend_all(file, key):
    """Asks until the budget is spent; says how often that was served."""
    served = 0
    while (said := ask(file, key)) == 200:
        served += 1
    assert said.startswith("429 "), said
    return served
