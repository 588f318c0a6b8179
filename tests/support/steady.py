"""Constant traffic from a client that never tries again, and everything that went wrong with it."""

import contextlib
import threading
import time

import httpx

WISH = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}
# A client waits for a new leader; one that waits for longer has been failed.
PATIENCE_S = 20


class Steady:
    """Asks each address again and again, one request at a time for each."""

    def __init__(self, urls, key, model):
        self.failures, self.served = [], dict.fromkeys(urls, 0)
        self._wish = {"model": model, **WISH}
        self._headers = {"authorization": f"Bearer {key['secret']}"}
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(url,), daemon=True) for url in urls]

    def _ask(self, url):
        with httpx.Client(timeout=PATIENCE_S, headers=self._headers) as client:
            while not self._over.is_set():
                begun = time.monotonic()
                try:
                    answer = client.post(f"{url}/v1/chat/completions", json=self._wish)
                    failure = None if answer.is_success else f"{answer.status_code} {answer.text}"
                except httpx.HTTPError as error:
                    failure = repr(error)
                if failure:
                    self.failures.append((url, round(time.monotonic() - begun, 3), failure))
                    time.sleep(0.05)
                else:
                    self.served[url] += 1

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            with contextlib.suppress(RuntimeError):
                thread.join(PATIENCE_S * 2)
