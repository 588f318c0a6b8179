"""The command line, as an operator types it."""

import json
import os
import subprocess

from support.processes import binary


def run(*words, **environment):
    """Runs `quorate` with no more of the surroundings than it is given."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("QUORATE_")}
    command = [binary("quorate", "QUORATE_BIN"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**outside, **environment})


def quorate(cluster, *words, token=None):
    """Runs `quorate` against all nodes of a cluster."""
    servers = ",".join(node.admin_url for node in cluster.nodes)
    return run(*words, QUORATE_SERVER=servers, QUORATE_TOKEN=token or cluster.token)


def done(cluster, *words):
    """What a command says that succeeds."""
    ended = quorate(cluster, *words)
    assert ended.returncode == 0, f"{words}: {ended.returncode}\n{ended.stderr}"
    return ended.stdout


def shown(cluster, *words):
    """What a command shows, as JSON."""
    return json.loads(done(cluster, *words, "--output", "json"))
