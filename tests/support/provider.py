"""The fake provider: its behaviour and its bill, which is the truth that budgets are held against."""

import json

import httpx

from support.processes import Process, binary
from support.wait import eventually


class FakeProvider:
    """One that runs somewhere, seen through its control paths."""

    def __init__(self, url):
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=10)

    def behave(self, **changes):
        """Changes the behaviour for the requests to come."""
        answer = self.http.post("/_control", json=changes)
        assert answer.status_code == 200, answer.text

    def reset(self):
        """The behaviour of the start, and an empty bill."""
        self.http.delete("/_control")
        self.http.delete("/_bill")

    def bill(self):
        return self.http.get("/_bill").json()

    def entries(self, model=None):
        return [entry for entry in self.bill()["entries"] if model is None or entry["model"] == model]

    def billed_tokens(self, model=None):
        return sum(entry["prompt_tokens"] + entry["completion_tokens"] for entry in self.entries(model))

    def stats(self):
        return self.http.get("/_stats").json()

    def last_request(self):
        return self.http.get("/_last_request").content

    def last_headers(self):
        return self.http.get("/_last_request/headers").json()

    def wait_until_idle(self):
        """No request is inside any more: what will be billed is billed."""
        eventually(lambda: self.stats()["concurrent"] == 0, 30, "an idle provider")


class OwnProvider(FakeProvider):
    """One that this test started, and that it may kill."""

    def __init__(self, folder, name):
        ready = folder / f"{name}.json"
        command = [binary("quorate-fake-provider", "QUORATE_FAKE_PROVIDER_BIN"), "--ready-file", str(ready)]
        self.process = Process(command, folder / f"{name}.log")
        eventually(lambda: self.process.check_alive() or ready.exists(), what="the provider's ready file")
        super().__init__(json.loads(ready.read_text())["url"])
