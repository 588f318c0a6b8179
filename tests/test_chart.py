"""What the chart's pods run, run as processes: the script that writes a node's file, the nodes, and the job that founds their cluster.

Kubernetes is played by this test: names of pods are loopback addresses, mounts are folders, a Secret is a file.
"""

import json
import os
import random
import re
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from support.admin import Admin
from support.processes import Process, binary
from support.wait import eventually

CLUSTER = Path(__file__).resolve().parents[1] / "cluster"
REPLICAS = 3
NAME = "prod-quorate"


class Pods:
    """The pods of the golden file on loopback addresses of their own."""

    def __init__(self, folder):
        self.folder = folder
        self.network = f"127.{random.randrange(16, 255)}.{random.randrange(1, 255)}"
        golden = (CLUSTER / "checks/golden/default.yaml").read_text()
        self.objects = {item["kind"]: item for item in yaml.safe_load_all(golden) if item}
        self.processes = []
        programs = folder / "bin"
        programs.mkdir()
        programs.joinpath("quorate").symlink_to(binary("quorate", "QUORATE_BIN"))
        self.path = f"{programs}:{os.environ['PATH']}"

    def address(self, number):
        return f"{self.network}.{number + 1}"

    def here(self, text, pod):
        """A text of the chart with the folders and addresses of this machine."""
        places = {
            "/usr/share/quorate/found.sh": str(CLUSTER / "found.sh"),
            "/template/": f"{self.folder}/template/",
            "/etc/quorate/": f"{pod}/",
            "/var/lib/quorate": f"{pod}/volume",
            "/run/quorate": f"{self.folder}/run",
            "/work": f"{pod}/work",
            **{f"{NAME}-{number}.{NAME}-peers.gateway.svc": self.address(number) for number in range(REPLICAS)},
        }
        return re.sub("|".join(map(re.escape, places)), lambda match: places[match[0]], text)

    def script(self, container, pod, **env):
        """Runs the shell script of an init container."""
        shell, flags, script = container["command"]
        done = subprocess.run(
            [shell, flags, self.here(script, pod)], env={"PATH": self.path, **env}, capture_output=True, text=True, timeout=150
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def mount_template(self):
        template = self.folder / "template/node.toml"
        template.parent.mkdir()
        # The names of pods are not written out before a pod writes its own.
        template.write_text(self.objects["ConfigMap"]["data"]["node.toml"])

    def start(self, number):
        """One pod: its file, then its node."""
        pod = self.folder / f"pod-{number}"
        pod.joinpath("volume").mkdir(parents=True)
        spec = self.objects["StatefulSet"]["spec"]["template"]["spec"]
        (configure,) = spec["initContainers"]
        self.script(configure, pod, NAME=f"{NAME}-{number}", ZONE="" if number == 0 else f"zone-{number}")
        file = pod / "node.toml"
        file.write_text(self.here(file.read_text(), pod).replace("0.0.0.0", self.address(number)))
        command = [binary("quorate", "QUORATE_BIN"), "serve", "--config", str(file)]
        self.processes.append(Process(command, pod / "node.log"))

    def found(self, revision):
        """The job: its script, then its Secrets as nodes and the next job see them."""
        pod = self.folder / f"job-{revision}"
        pod.joinpath("work").mkdir(parents=True)
        (found,) = self.objects["Job"]["spec"]["template"]["spec"]["initContainers"]
        said = self.script(found, pod)
        for secret in sorted(pod.joinpath("work").glob("*.json")):
            item = json.loads(secret.read_text())
            mount = self.folder / "run" / item["metadata"]["name"].removeprefix(f"{NAME}-")
            mount.mkdir(parents=True, exist_ok=True)
            for key, value in item["stringData"].items():
                mount.joinpath(key).write_text(value)
        return said

    def pre_stop(self, number):
        """What Kubernetes runs in a pod before it sends SIGTERM."""
        pod = self.folder / f"pod-{number}"
        (quorate,) = self.objects["StatefulSet"]["spec"]["template"]["spec"]["containers"]
        env = {item["name"]: self.here(item["value"], pod) for item in quorate["env"]}
        env |= {"PATH": self.path, "QUORATE_SERVER": f"http://{self.address(number)}:8081"}
        command = quorate["lifecycle"]["preStop"]["exec"]["command"]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)

    def stop(self):
        for process in self.processes:
            process.kill()


@pytest.fixture
def pods(tmp_path):
    pods = Pods(tmp_path)
    pods.mount_template()
    yield pods
    pods.stop()


@pytest.mark.timeout(240)
def test_the_pods_of_the_chart_become_a_cluster_and_the_job_founds_it_once(pods):
    for number in range(REPLICAS):
        pods.start(number)
    assert "founded" in pods.found(revision=1)
    token = (pods.folder / "run/admin/admin-token").read_text()
    admin = Admin(f"http://{pods.address(0)}:8081", token)
    eventually(lambda: sum(member["is_voter"] for member in admin.status()["members"]) == REPLICAS, 60, "three voters")
    cluster = admin.status()["cluster"]

    first = (pods.folder / "run/join/join-token").read_text()
    assert "founded" not in pods.found(revision=2)
    assert (pods.folder / "run/admin/admin-token").read_text() == token
    assert (pods.folder / "run/join/join-token").read_text() != first, "an upgrade makes a new token"
    assert admin.status()["cluster"] == cluster

    ended = pods.pre_stop(2)
    assert ended.returncode == 0 and "DRAINED" in ended.stderr, ended
    assert httpx.get(f"http://{pods.address(2)}:8081/readyz").status_code == 503, "the pod is out of its service"
    assert pods.processes[2].stop(), "a node that has drained ends when it is told to"


@pytest.mark.timeout(120)
def test_a_pod_without_the_admin_key_waits_and_leaves_the_rest_to_sigterm(pods):
    pods.start(0)
    ended = pods.pre_stop(0)
    assert ended.returncode == 0 and "token" in ended.stderr, ended
