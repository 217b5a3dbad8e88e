"""Secrets, Docker Compose, releases and workflows: what carries the program to its places."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from scripts.check_manifests import ROOT, build
from tests.test_deployment import (
    OVERLAYS,
    POD_KINDS,
    containers_of,
    of_kind,
    pod_of,
    stub_programs,
    the,
)


def secrets_made(tmp_path: Path, existing: str = "") -> dict[str, dict[str, str]]:
    """What make_secrets.sh sends to a cluster in which the named secrets exist."""
    sent = tmp_path / "sent.yaml"
    kubectl = f'case $* in *" get "*) echo "{existing}" ;; *) cat >"{sent}" ;; esac'
    environment = stub_programs(tmp_path, kubectl=kubectl)
    script = ROOT / "scripts" / "make_secrets.sh"
    subprocess.run([script, "cluster"], env=environment, check=True, capture_output=True)
    documents = yaml.safe_load_all(sent.read_text()) if sent.exists() else []
    return {d["metadata"]["name"]: d["stringData"] for d in documents}


@pytest.mark.parametrize("folder", OVERLAYS)
def test_no_manifest_holds_a_secret_and_each_that_is_named_is_made_by_the_script(folder, tmp_path):
    assert of_kind(folder, "Secret") == []
    made = secrets_made(tmp_path)
    for manifest in of_kind(folder, *POD_KINDS):
        for container in containers_of(manifest):
            for source in container.get("envFrom", []):
                assert source.get("secretRef", {}).get("name", "postgres") in made
            for variable in container.get("env", []):
                if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                    assert reference["key"] in made[reference["name"]]


def test_the_secrets_are_long_random_and_consistent(tmp_path):
    first, second = secrets_made(tmp_path), secrets_made(tmp_path)
    ours = first["cancer-prediction-system"]
    assert first["postgres"]["POSTGRES_PASSWORD"] in ours["DATABASE_URL"]
    assert first["valkey"]["VALKEY_PASSWORD"] in ours["BROKER_URL"]
    assert first["valkey"]["VALKEY_PASSWORD"] in ours["CACHE_URL"]
    assert re.fullmatch(r"[0-9a-f]{64}", ours["SECRET_KEY"])
    assert ours["SECRET_KEY"] not in {
        ours["TRAINING_KEY"],
        second["cancer-prediction-system"]["SECRET_KEY"],
    }


def test_secrets_that_exist_are_never_replaced(tmp_path):
    existing = "secret/cancer-prediction-system secret/postgres secret/valkey"
    assert secrets_made(tmp_path, existing) == {}
    with pytest.raises(subprocess.CalledProcessError):
        secrets_made(tmp_path, "secret/postgres")


def test_compose_runs_the_same_roles_with_the_same_settings(tmp_path):
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    roles = {m["metadata"]["name"] for m in of_kind("k8s/base", "Deployment")} | {"migrate"}
    ours = {name: service for name, service in services.items() if "build" in service}
    by_hand = ours.pop("backup")
    (nightly,) = pod_of(the("k8s/base", "CronJob", "backup"))["containers"]
    assert by_hand["command"] == nightly["args"]
    assert by_hand["profiles"]
    assert set(ours) == roles
    made = set(secrets_made(tmp_path)["cancer-prediction-system"]) - {"EMAIL_URL"}
    for name, service in ours.items():
        assert service["command"] == [name]
        assert made <= set(service["environment"])
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    servers = {service["image"] for service in services.values() if "build" not in service}
    in_cluster = {c["image"] for m in of_kind("k8s/base", "StatefulSet") for c in containers_of(m)}
    assert servers == in_cluster


def test_the_env_file_of_compose_holds_every_variable_that_it_asks_for():
    made = subprocess.run(
        [ROOT / "scripts" / "make_secrets.sh", "env"], capture_output=True, text=True, check=True
    ).stdout
    values = dict(line.split("=") for line in made.splitlines())
    asked = set(re.findall(r"\$\{([A-Z_]+):\?", (ROOT / "docker-compose.yml").read_text()))
    assert set(values) == asked
    assert len(set(values.values())) == len(values)


def test_the_release_is_the_same_in_every_place_that_names_it():
    release = yaml.safe_load((ROOT / "k8s/base/kustomization.yaml").read_text())["images"][0][
        "newTag"
    ]
    (job,) = build("k8s/dataset")
    assert pod_of(job)["containers"][0]["image"].endswith(f":{release}")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert compose["web"]["image"].endswith(f":{release}")
    assert f"ARG VERSION={release}\n" in (ROOT / "Dockerfile").read_text()
    assert f'version = "{release}"' in (ROOT / "pyproject.toml").read_text()
    (repository,) = [m for m in build("k8s/rancher") if m["kind"] == "GitRepo"]
    assert repository["spec"]["revision"] == f"v{release}"


def test_fleet_finds_the_overlay():
    fleet = yaml.safe_load((ROOT / "k8s" / "fleet.yaml").read_text())
    (repository,) = [m for m in build("k8s/rancher") if m["kind"] == "GitRepo"]
    (path,) = repository["spec"]["paths"]
    assert f"{path}/{fleet['kustomize']['dir']}" in OVERLAYS


def test_deploying_waits_for_the_migrations_and_every_rollout(tmp_path):
    said = tmp_path / "said"
    answer = '[ "$1" = kustomize ] && echo "  name: migrate-9.9.9"; true'
    kubectl = f"printf '%s\\n' \"$*\" >>'{said}'; {answer}"
    done = subprocess.run(
        [ROOT / "scripts" / "deploy.sh", "k3s-single"],
        env=stub_programs(tmp_path, kubectl=kubectl),
        check=False,
    )
    assert done.returncode == 0
    lines = said.read_text().splitlines()
    assert lines[2] == "apply -k k8s/overlays/k3s-single"
    assert lines[3].endswith("job/migrate-9.9.9")
    rolled = {word.removeprefix("deployment/") for line in lines[4:] for word in line.split()}
    assert {m["metadata"]["name"] for m in of_kind("k8s/base", "Deployment")} <= rolled


def test_deploying_without_secrets_says_how_to_make_them(tmp_path):
    done = subprocess.run(
        [ROOT / "scripts" / "deploy.sh", "dev"],
        capture_output=True,
        text=True,
        env=stub_programs(tmp_path, kubectl="exit 1"),
        check=False,
    )
    assert done.returncode == 1
    assert "scripts/make_secrets.sh cluster" in done.stderr


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda p: p.stem
)
def test_a_workflow_names_only_files_overlays_and_images_that_exist(path):
    text = path.read_text()
    workflow = yaml.safe_load(text)
    assert workflow["jobs"]
    assert workflow["permissions"]["contents"] == "read"
    for script in re.findall(r"(?:scripts|\.ci)/[a-z_.]+", text):
        assert (ROOT / script).exists(), script
    if "workflow_dispatch" in text:
        choices = workflow[True]["workflow_dispatch"]["inputs"]["overlay"]["options"]
        assert sorted(choices) == [Path(folder).name for folder in OVERLAYS]
    if "LOCAL:" in text:
        compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
        assert workflow["jobs"]["image"]["env"]["LOCAL"] == compose["web"]["image"]


@pytest.mark.parametrize(
    "page", ["docs/deploy-rancher.md", "docs/configuration.md", "k8s/README.md"]
)
def test_the_pages_for_operators_name_files_settings_and_deployments_that_exist(page):
    text = (ROOT / page).read_text()
    named = set(re.findall(r"(?:k8s|scripts|\.github|apps|tests)/[\w./-]+[\w]", text))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
    deployments = {m["metadata"]["name"] for m in of_kind("k8s/base", "Deployment")}
    assert set(re.findall(r"deployment/([a-z-]+)", text)) <= deployments
