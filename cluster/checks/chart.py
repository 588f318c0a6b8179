"""The chart, rendered by the engine of Helm. The only file that knows which library that is."""

import helm_python as helm
import yaml

from support import CLUSTER

CHART = CLUSTER / "helm/quorate"
KUBE = {"name": "prod", "namespace": "gateway", "revision": 1, "is_install": True}


def rendered(values):
    """What `helm template prod` prints with these values: the text of each file that says anything, by its name."""
    with helm.Chart.load(str(CHART)) as chart:
        found = chart.render(values, **KUBE)
    texts = {name.removeprefix("quorate/templates/"): text.strip() for name, text in found.items()}
    return {name: text for name, text in sorted(texts.items()) if text and not name.startswith("_")}


def objects(values):
    """The objects that Kubernetes would get."""
    texts = (text for name, text in rendered(values).items() if name.endswith(".yaml"))
    return [item for text in texts for item in yaml.safe_load_all(text) if item]


def refused(values):
    """Why Helm does not take these values; nothing if it does."""
    with helm.Chart.load(str(CHART)) as chart:
        try:
            chart.validate_schema(chart.merge_values(values))
            chart.render(values, **KUBE)
        except helm.HelmError as error:
            return str(error)
    return ""


def lint():
    """What `helm lint` has to say."""
    return helm.lint(str(CHART))
