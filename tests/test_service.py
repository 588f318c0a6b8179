"""The hardened service of `cluster/systemd` forbids a node nothing that it needs: its system calls are held against the unit."""

import asyncio
import re
import subprocess
from pathlib import Path

import openai
import pytest

from support.admin import Admin
from support.load import one
from support.node_file import NodeFile
from support.processes import Process
from support.provider import OwnProvider

UNIT = Path(__file__).resolve().parents[1] / "cluster/systemd/quorate.service"
# How strace tells of a call, whole or in two parts.
CALL = re.compile(r"^\d+ +(?:<\.\.\. )?(\w+)(?: resumed>|\()(.*)$", re.MULTILINE)


def setting(name):
    """The words of a setting of the unit, those of several lines in their order."""
    return [word for value in re.findall(rf"(?m)^{name}=(.*)$", UNIT.read_text()) for word in value.split()]


def calls_of(word):
    """The system calls that a word of SystemCallFilter stands for."""
    if not word.startswith("@"):
        return {word}
    shown = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True).stdout
    members = [line.strip() for line in shown.splitlines()[1:] if line.strip() and "#" not in line]
    return set().union(*map(calls_of, members))


def allowed_calls():
    """What SystemCallFilter leaves: a line that begins with `~` takes away from those before it."""
    allowed = set()
    for line in re.findall(r"(?m)^SystemCallFilter=(.*)$", UNIT.read_text()):
        named = set().union(*map(calls_of, line.removeprefix("~").split()))
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """Every system call of a node that founds a cluster, looks a name up, serves, and stops; each with its arguments."""
    folder = tmp_path_factory.mktemp("service")
    provider = OwnProvider(folder, "provider")
    file = NodeFile(folder, found=True)
    file.write()
    trace = folder / "trace"
    process = Process(["strace", "-f", "-qq", "-s", "0", "-o", str(trace), *file.command], folder / "node.log")
    try:
        file.wait_for(process, "/readyz")
        token = file.data.joinpath("admin-token").read_text().strip()
        admin = Admin(f"http://{file.admin}", token)
        admin.serve("chat", provider.url.replace("127.0.0.1", "localhost"))
        key = admin.key(budgets=[{"unit": "requests", "limit": 10}])
        client = openai.AsyncOpenAI(base_url=f"http://{file.client}/v1", api_key=key["secret"], max_retries=0)
        assert asyncio.run(one(client, "chat")) == "ok"
        assert process.stop(), "it drains and ends"
    finally:
        process.kill()
        provider.process.stop()
    return CALL.findall(trace.read_text())


def test_every_call_of_a_node_is_allowed_to_its_service(calls):
    made = {name for name, _ in calls}
    assert {"openat", "socket", "fdatasync", "epoll_wait"} <= made, "the node was traced"
    assert made - allowed_calls() == set()


def test_a_node_opens_sockets_of_the_allowed_families_only(calls):
    families = {family for name, arguments in calls if name == "socket" for family in re.findall(r"AF_\w+", arguments)}
    assert families and families <= set(setting("RestrictAddressFamilies"))


def test_no_memory_of_a_node_is_both_written_and_run(calls):
    mapped = [arguments for name, arguments in calls if name in ("mmap", "mprotect", "pkey_mprotect")]
    assert mapped and setting("MemoryDenyWriteExecute") == ["yes"]
    assert [arguments for arguments in mapped if "PROT_WRITE" in arguments and "PROT_EXEC" in arguments] == []
