"""The optional parts of k8s/ meet the base, the Secrets, the queues and the metrics there are.

Their kinds have no schema here, so these tests hold the fields that something must answer to.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest
from django.test import Client

from scripts.check_manifests import ROOT, build, build_with, components, problems_of
from tests.test_deployment import OVERLAYS, stub_programs
from tests.test_shipping import secrets_made

KEDA, MONITORING = "k8s/components/keda", "k8s/components/monitoring"
TWO_HOSTS = "k8s/components/two-hosts"
OVERLAY = "k8s/overlays/rancher-longhorn"
SCRIPT = ROOT / "scripts" / "make_secrets.sh"
TOKEN = "0123456789abcdef" * 4


def one(manifests: list[dict], kind: str, name: str = "") -> dict:
    (found,) = [
        m for m in manifests if m["kind"] == kind and m["metadata"]["name"].startswith(name)
    ]
    return found


def test_these_are_the_optional_parts():
    assert components() == [KEDA, MONITORING, TWO_HOSTS]


@pytest.mark.parametrize("component", [KEDA, MONITORING, TWO_HOSTS])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_optional_part_fits_every_overlay_and_stays_in_its_namespace(overlay, component):
    made = build_with(overlay, component)
    assert problems_of(made) == []
    added = [m for m in made if m not in build(overlay)]
    assert len(added) >= 2
    assert {m["metadata"]["namespace"] for m in added} == {"cancerns"}


@pytest.mark.parametrize("overlay", ["k3s-single", "rancher-longhorn"])
def test_each_portal_can_have_a_name_of_its_own_to_the_same_service(overlay):
    made = build_with(f"k8s/overlays/{overlay}", TWO_HOSTS)
    ingress = one(made, "Ingress", "web")["spec"]
    hosts = [rule["host"] for rule in ingress["rules"]]
    assert hosts == ["cancer.example.org", "labtech.example.org", "doctor.example.org"]
    assert ingress["tls"][0]["hosts"] == hosts
    for rule in ingress["rules"]:
        (path,) = rule["http"]["paths"]
        assert path["backend"] == {"service": {"name": "web", "port": {"name": "http"}}}
    settings = one(made, "ConfigMap", "settings-")["data"]
    assert set(hosts) <= set(settings["ALLOWED_HOSTS"].split(","))
    assert settings["CSRF_TRUSTED_ORIGINS"].split(",") == [f"https://{host}" for host in hosts]


def test_keda_replaces_the_autoscaler_and_counts_a_queue_that_the_program_fills(settings, tmp_path):
    made = build_with(OVERLAY, KEDA)
    scaled = one(made, "ScaledObject")["spec"]
    one(made, "Deployment", scaled["scaleTargetRef"]["name"])
    assert not [m for m in made if m["kind"] == "HorizontalPodAutoscaler"]
    assert scaled["minReplicaCount"] >= 1
    (trigger,) = scaled["triggers"]
    asked = trigger["metadata"]
    assert (
        asked["listName"] == settings.CELERY_TASK_ROUTES["apps.classifier.tasks.predict"]["queue"]
    )
    service = one(made, "Service", "valkey")
    (port,) = service["spec"]["ports"]
    assert asked["address"] == f"{service['metadata']['name']}.cancerns.svc:{port['port']}"
    secrets = secrets_made(tmp_path)
    broker = secrets["cancer-prediction-system"]["BROKER_URL"]
    assert broker.rpartition("/")[2] == asked["databaseIndex"]
    proof = one(made, "TriggerAuthentication", trigger["authenticationRef"]["name"])
    (password,) = proof["spec"]["secretTargetRef"]
    assert secrets[password["name"]][password["key"]] in broker


def test_prometheus_asks_the_web_service_with_the_token_that_the_script_makes(tmp_path):
    made = build_with(OVERLAY, MONITORING)
    monitor = one(made, "ServiceMonitor")["spec"]
    wanted = monitor["selector"]["matchLabels"].items()
    (service,) = [
        m
        for m in made
        if m["kind"] == "Service" and wanted <= m["metadata"].get("labels", {}).items()
    ]
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    reference = endpoint["authorization"]["credentials"]
    assert len(secrets_made(tmp_path)[reference["name"]][reference["key"]]) == 64


@pytest.mark.django_db
def test_prometheus_is_let_in_by_that_path_and_header(settings):
    settings.METRICS_TOKEN = TOKEN
    (endpoint,) = one(build_with(OVERLAY, MONITORING), "ServiceMonitor")["spec"]["endpoints"]
    header = f"{endpoint['authorization']['type']} {TOKEN}"
    assert Client().get(endpoint["path"], headers={"Authorization": header}).status_code == 200


@pytest.mark.django_db
def test_the_dashboard_asks_only_for_metrics_and_labels_that_the_program_exports(settings):
    settings.METRICS_TOKEN = TOKEN
    Client().get("/accounts/login/")
    page = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).content.decode()
    questions = dashboard_questions()
    assert len(questions) > 10
    for question in questions:
        (name,) = re.findall(r"cancer_\w+", question)
        lines = [line for line in page.splitlines() if re.match(rf"{name}[ {{]", line)]
        assert lines, f"{name} is not exported"
        for wanted in re.findall(r'\w+="[^"]*"', question):
            assert any(wanted in line for line in lines), f"{name} has no {wanted}"
        for label in re.findall(r"by \((\w+)\)", question):
            assert f'{label}="' in lines[0], f"{name} has no label {label}"


def dashboard_questions() -> list[str]:
    board = one(build_with(OVERLAY, MONITORING), "ConfigMap", "cancer-prediction-system-dashboard")
    assert board["metadata"]["labels"] == {"grafana_dashboard": "1"}
    panels = json.loads(board["data"]["dashboard.json"])["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def metrics_token_sent(tmp_path: Path, existing: str) -> dict:
    """What `make_secrets.sh metrics` sends to a cluster with this token."""
    sent = tmp_path / "sent.json"
    kubectl = f'case $* in *" get "*) printf %s "{existing}" ;; *) cat >"{sent}" ;; esac'
    environment = stub_programs(tmp_path, kubectl=kubectl)
    subprocess.run([SCRIPT, "metrics"], env=environment, check=True, capture_output=True)
    return json.loads(sent.read_text()) if sent.exists() else {}


def test_an_older_cluster_gets_a_metrics_token_and_one_that_is_there_stays(tmp_path):
    assert metrics_token_sent(tmp_path, "bGV0IG1lIGlu") == {}
    (made,) = metrics_token_sent(tmp_path, "")["stringData"].items()
    assert made[0] == "METRICS_TOKEN"
    assert re.fullmatch(r"[0-9a-f]{64}", made[1])
