"""Build every Kubernetes overlay and check each object strictly against its schema.

`make k8s-check` calls this; tests/test_deployment.py builds on the same functions. Kinds of
Longhorn, Rancher, KEDA and the Prometheus operator have no schema among Kubernetes' own: they
are named below, and tests/test_components.py compares the fields that must meet with the base.
"""

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parent.parent
KUBERNETES = "1.32"
WITHOUT_SCHEMA = {
    ("longhorn.io/v1beta2", "RecurringJob"),
    ("fleet.cattle.io/v1alpha1", "GitRepo"),
    ("management.cattle.io/v3", "Cluster"),
    ("management.cattle.io/v3", "ClusterRegistrationToken"),
    ("management.cattle.io/v3", "Project"),
    ("keda.sh/v1alpha1", "ScaledObject"),
    ("keda.sh/v1alpha1", "TriggerAuthentication"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
}

Manifest = dict[str, Any]


class CannotBuild(Exception):
    """Kustomize's own words about a folder."""


def kustomizations() -> list[str]:
    """Every folder below k8s/ that can be applied, as a path from the root."""
    return _folders_of("Kustomization")


def components() -> list[str]:
    """Every optional part below k8s/, which an overlay takes in by naming it."""
    return _folders_of("Component")


def _folders_of(kind: str) -> list[str]:
    files = (ROOT / "k8s").rglob("kustomization.yaml")
    return sorted(
        str(file.parent.relative_to(ROOT))
        for file in files
        if yaml.safe_load(file.read_text())["kind"] == kind
    )


@cache
def build_with(overlay: str, component: str) -> list[Manifest]:
    """The objects of an overlay that names this component as well; raises CannotBuild."""
    with tempfile.TemporaryDirectory() as folder:
        near = {name: os.path.relpath(ROOT / name, folder) for name in (overlay, component)}
        wanted = {"resources": [near[overlay]], "components": [near[component]]}
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(wanted))
        return build(folder)


@cache
def build(folder: str) -> list[Manifest]:
    """The objects that `kubectl apply -k folder` would send; raises CannotBuild."""
    done = subprocess.run(
        ["kubectl", "kustomize", folder], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CannotBuild(f"{folder}: {done.stderr.strip()}\n(needs Kustomize 5: kubectl 1.27 up)")
    return list(yaml.safe_load_all(done.stdout))


def name_of(manifest: Manifest) -> str:
    """Kind and name, as kubectl writes them."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def problem(manifest: Manifest) -> str | None:
    """What the schema says against an object, unknown fields included; None when nothing."""
    if (manifest["apiVersion"], manifest["kind"]) in WITHOUT_SCHEMA:
        return None
    try:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        place = ".".join(str(part) for part in error.path)
        return f"{name_of(manifest)}: {place}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        return f"{name_of(manifest)}: {error}"
    return None


def problems(folder: str) -> list[str]:
    """Everything the schemas say against one folder's objects."""
    return problems_of(build(folder))


def problems_of(manifests: list[Manifest]) -> list[str]:
    """Everything the schemas say against these objects."""
    return [said for manifest in manifests if (said := problem(manifest))]


def main() -> int:
    """Check all; 1 when something is wrong."""
    found = []
    for folder in kustomizations():
        try:
            found += [f"{folder}: {said}" for said in problems(folder)]
            print(f"{folder}: {len(build(folder))} objects")
        except CannotBuild as error:
            found.append(str(error))
    for component in components():
        made = build_with("k8s/overlays/rancher-longhorn", component)
        found += [f"{component}: {said}" for said in problems_of(made)]
        print(f"{component}: {len(made)} objects with the overlay rancher-longhorn")
    print("\n".join(found) or "Every object matches its schema.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
