"""The chart: what Helm makes of it, what Kubernetes says of that, and what operators rely on.

After a change that is meant, `UPDATE_GOLDEN=1 make cluster-checks` writes the golden files anew: read what changed in them.
"""

import os
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

import chart

HERE = Path(__file__).parent
VALUES = {"default": {}, "all": yaml.safe_load((HERE / "values.all.yaml").read_text())}
# The oldest that the chart allows, and the newest that is known here.
KUBERNETES = ["1.29", "1.36"]
# Of the Prometheus operator: Kubernetes itself does not know it.
FOREIGN = {"ServiceMonitor"}


def kinds(values, kind):
    return [item for item in chart.objects(values) if item["kind"] == kind]


def only(values, kind):
    (item,) = kinds(values, kind)
    return item


def pods(values):
    """The pod templates of the chart."""
    return [only(values, kind)["spec"]["template"]["spec"] for kind in ("StatefulSet", "Job")]


def containers(pod):
    return [*pod.get("initContainers", []), *pod["containers"]]


def test_helm_has_no_complaint():
    messages = [message for message in chart.lint()["messages"] if "icon is recommended" not in message["error"]]
    assert messages == []


@pytest.mark.parametrize("which", VALUES)
def test_the_chart_is_rendered_as_the_golden_file_says(which):
    golden = HERE / f"golden/{which}.yaml"
    text = "".join(f"# {name}\n---\n{text}\n" for name, text in chart.rendered(VALUES[which]).items() if name != "NOTES.txt")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("which", VALUES)
@pytest.mark.parametrize("release", KUBERNETES)
def test_kubernetes_knows_every_object_and_every_field(which, release):
    known = [item for item in chart.objects(VALUES[which]) if item["kind"] not in FOREIGN]
    assert len(known) >= 10
    for item in known:
        kubernetes_validate.validate(item, release, strict=True)


@pytest.mark.parametrize(
    "values, why",
    [
        ({"replicas": "three"}, "got string, want integer"),
        ({"replica": 3}, "additional properties 'replica' not allowed"),
        ({"joinTokenTtl": "soon"}, "does not match pattern"),
    ],
)
def test_a_value_that_is_wrong_is_refused(values, why):
    assert why in chart.refused(values)


@pytest.mark.parametrize("which", VALUES)
def test_every_container_is_restricted(which):
    """The profile of Pod Security Standards by that name."""
    for pod in pods(VALUES[which]):
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert all({"configMap", "emptyDir", "secret"} & volume.keys() for volume in pod["volumes"])
        for container in containers(pod):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("which", VALUES)
def test_a_pod_has_the_time_that_its_drain_takes(which):
    pod = only(VALUES[which], "StatefulSet")["spec"]["template"]["spec"]
    file = only(VALUES[which], "ConfigMap")["data"]["node.toml"]
    (drain_ms,) = (int(line.split("=")[1]) for line in file.splitlines() if line.startswith("drain_ms"))
    (unready_ms,) = (int(line.split("=")[1]) for line in file.splitlines() if line.startswith("unready_ms"))
    script = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-1]
    both_s = (unready_ms + drain_ms) // 1_000
    assert f"--deadline {both_s}s" in script and script.endswith(f"|| sleep {unready_ms // 1_000}")
    assert pod["terminationGracePeriodSeconds"] == 2 * both_s + 20


def test_only_pods_of_the_release_reach_peers_and_nobody_else_the_admin_address():
    rules = only({}, "NetworkPolicy")["spec"]["ingress"]
    by_port = {port["port"]: rule.get("from") for rule in rules for port in rule["ports"]}
    own = [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "quorate", "app.kubernetes.io/instance": "prod"}}}]
    assert by_port == {"peers": own, "admin": own, "clients": None}


def test_the_job_may_touch_two_secrets_and_nothing_else():
    rules = only({}, "Role")["rules"]
    assert all(rule["resources"] == ["secrets"] and rule["apiGroups"] == [""] for rule in rules)
    named = {verb for rule in rules if "resourceNames" in rule for verb in rule["verbs"]}
    free = {verb for rule in rules if "resourceNames" not in rule for verb in rule["verbs"]}
    assert (named, free) == ({"get", "patch"}, {"create"})
    mounted = {volume["secret"]["secretName"] for pod in pods({}) for volume in pod["volumes"] if "secret" in volume}
    (names,) = (rule["resourceNames"] for rule in rules if "resourceNames" in rule)
    assert mounted == set(names)
    assert only({}, "StatefulSet")["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
