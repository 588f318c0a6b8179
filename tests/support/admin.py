"""The admin API of one node, as a script would use it."""

import httpx

BASE = "/admin/v1"
# Everything that can be listed.
PATHS = ("/keys", "/routes", "/models", "/providers", "/organisations", "/teams", "/users", "/budgets")
PRICE = {"input": "1", "output": "2"}


class Refused(AssertionError):
    """The admin API answered with an error."""

    def __init__(self, response):
        self.status = response.status_code
        self.error = response.json().get("error", {})
        super().__init__(f"{response.request.method} {response.request.url}: {response.status_code} {response.text}")


class Admin:
    """Calls that fail loudly."""

    def __init__(self, url, token):
        self.http = httpx.Client(base_url=url + BASE, headers={"authorization": f"Bearer {token}"}, timeout=15)

    def call(self, method, path, body=None):
        response = self.http.request(method, path, json=body)
        if not response.is_success:
            raise Refused(response)
        return response.json() if response.content else None

    def get(self, path):
        return self.call("GET", path)

    def items(self, path):
        return self.get(path)["items"]

    def status(self):
        return self.get("/cluster")

    def provider(self, name, url, **fields):
        return self.call("POST", "/providers", {"name": name, "base_url": f"{url}/v1", **fields})

    def model(self, name, provider, **fields):
        spec = {
            "name": name,
            "provider": provider,
            "upstream_model": name,
            "price": PRICE,
            "context_tokens": 128_000,
            "output_tokens_max": 4_096,
        }
        return self.call("POST", "/models", {**spec, **fields})

    def route(self, name, *models, **fields):
        targets = [{"model": model} for model in models]
        return self.call("POST", "/routes", {"name": name, "targets": targets, **fields})

    def serve(self, name, *urls):
        """A route to one model on each provider address, in this order."""
        for number, url in enumerate(urls):
            self.provider(f"{name}-{number}", url, timeouts=TIMEOUTS)
            self.model(f"{name}-{number}", f"{name}-{number}")
        self.route(name, *(f"{name}-{number}" for number in range(len(urls))))

    def join_token(self, *seeds, **fields):
        """A token with which a node joins: through all members, or through these."""
        token = self.call("POST", "/tokens", fields)["token"]
        parts = token.split(".", 5)
        return ".".join([*parts[:5], ",".join(seeds)]) if seeds else token

    def key(self, **fields):
        return self.call("POST", "/keys", fields)

    def revoke(self, key):
        return self.call("POST", f"/keys/{key['id']}/revoke", {})

    def budget_of(self, key):
        """The only budget of a key."""
        (budget,) = self.items(f"/budgets?subject=key:{key['id']}")
        return budget

    def explain(self, budget):
        return self.get(f"/budgets/{budget['id']}/explain")


TIMEOUTS = {"connect_ms": 1_000, "first_byte_ms": 60_000, "idle_ms": 60_000, "total_ms": 120_000}
