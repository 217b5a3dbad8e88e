"""Build every Kubernetes overlay and check each object strictly against its schema.

`make k8s-check` calls this; tests/test_deployment.py builds on the same functions. Kinds of
Longhorn and Rancher have no schema among Kubernetes' own: they are named below.
"""

import subprocess
import sys
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
    ("management.cattle.io/v3", "Project"),
}

Manifest = dict[str, Any]


class CannotBuild(Exception):
    """Kustomize's own words about a folder."""


def kustomizations() -> list[str]:
    """Every folder below k8s/ that can be applied, as a path from the root."""
    files = (ROOT / "k8s").rglob("kustomization.yaml")
    return sorted(
        str(file.parent.relative_to(ROOT))
        for file in files
        if yaml.safe_load(file.read_text())["kind"] == "Kustomization"
    )


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
    return [said for manifest in build(folder) if (said := problem(manifest))]


def main() -> int:
    """Check all; 1 when something is wrong."""
    found = []
    for folder in kustomizations():
        try:
            found += [f"{folder}: {said}" for said in problems(folder)]
            print(f"{folder}: {len(build(folder))} objects")
        except CannotBuild as error:
            found.append(str(error))
    print("\n".join(found) or "Every object matches its schema.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
