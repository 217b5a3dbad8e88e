"""The manifests fit Kubernetes' schemas and this program: its roles, queues, addresses."""

import copy
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands
from django.test import Client

from apps.classifier.kubeflow import SERVICE_ACCOUNT
from scripts.check_manifests import ROOT, build, kustomizations, name_of, problem, problems

OVERLAYS = [folder for folder in kustomizations() if "overlays" in folder]
POD_KINDS = {"Deployment", "StatefulSet", "Job", "CronJob"}
ENTRYPOINT = ROOT / "scripts" / "entrypoint.sh"


def of_kind(folder: str, *kinds: str) -> list[dict]:
    return [manifest for manifest in build(folder) if manifest["kind"] in kinds]


def the(folder: str, kind: str, name: str) -> dict:
    return next(m for m in of_kind(folder, kind) if m["metadata"]["name"].startswith(name))


def template_of(manifest: dict) -> dict:
    spec = manifest["spec"]
    return (spec["jobTemplate"]["spec"] if manifest["kind"] == "CronJob" else spec)["template"]


def pod_of(manifest: dict) -> dict:
    return template_of(manifest)["spec"]


def containers_of(manifest: dict) -> list[dict]:
    pod = pod_of(manifest)
    return [*pod["containers"], *pod.get("initContainers", [])]


def settings_of(folder: str) -> dict[str, str]:
    return the(folder, "ConfigMap", "settings-")["data"]


def stub_programs(folder: Path, **scripts: str) -> dict[str, str]:
    """An environment in which these programs are the given shell scripts."""
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "TMPDIR": str(folder)}


def test_each_kind_of_place_has_its_overlay():
    assert [Path(folder).name for folder in OVERLAYS] == ["dev", "k3s-single", "rancher-longhorn"]


@pytest.mark.parametrize("folder", [f for f in kustomizations() if f != "k8s/base"])
def test_every_object_matches_its_schema(folder):
    assert build(folder)
    assert problems(folder) == []


def test_the_check_finds_a_misspelt_field_and_an_unknown_kind():
    web = copy.deepcopy(the("k8s/base", "Deployment", "web"))
    pod_of(web)["containers"][0]["readynessProbe"] = {}
    assert "readynessProbe" in problem(web)
    assert problem({"apiVersion": "x.org/v1", "kind": "Thing", "metadata": {"name": "a"}})


@pytest.mark.parametrize("folder", OVERLAYS)
def test_everything_lies_in_the_namespace(folder):
    global_kinds = {"Namespace", "StorageClass"}
    elsewhere = {
        name_of(m)
        for m in build(folder)
        if m["kind"] not in global_kinds and m["metadata"].get("namespace") != "cancerns"
    }
    assert elsewhere <= {"RecurringJob/cancerns-snapshot", "RecurringJob/cancerns-backup"}


@pytest.mark.parametrize("folder", OVERLAYS)
def test_no_container_may_more_than_it_needs(folder):
    for manifest in of_kind(folder, *POD_KINDS):
        pod = pod_of(manifest)
        assert pod["automountServiceAccountToken"] is False, name_of(manifest)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers_of(manifest):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name_of(manifest)
            assert set(container["resources"]["requests"]) >= {"cpu", "memory"}
            assert set(container["resources"]["limits"]) >= {"cpu", "memory"}


@pytest.mark.parametrize("folder", OVERLAYS)
def test_whatever_runs_on_is_probed(folder):
    for manifest in of_kind(folder, "Deployment", "StatefulSet"):
        for container in pod_of(manifest)["containers"]:
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


@pytest.mark.parametrize("folder", OVERLAYS)
def test_one_image_with_a_fixed_tag_serves_every_role_and_names_the_migrate_job(folder):
    images = {c["image"] for m in of_kind(folder, *POD_KINDS) for c in containers_of(m)}
    assert all(re.search(r":\d+\.\d+", image) for image in images)
    (ours,) = {image for image in images if "cancer-prediction-system" in image}
    assert len(images) == 3
    assert name_of(the(folder, "Job", "migrate")) == f"Job/migrate-{ours.rpartition(':')[2]}"


@pytest.mark.django_db
@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_web_servers_probes_reach_their_pages_under_the_settings_of_the_overlay(
    folder, settings
):
    settings.ALLOWED_HOSTS = settings_of(folder)["ALLOWED_HOSTS"].split(",")
    settings.SECURE_SSL_REDIRECT = settings_of(folder)["SSL_REDIRECT"] == "1"
    (container,) = pod_of(the(folder, "Deployment", "web"))["containers"]
    answers = {}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        (host,) = asked["httpHeaders"]
        answer = Client().get(asked["path"], headers={host["name"]: host["value"]})
        answers[probe] = (asked["path"], answer.status_code)
    assert answers["startupProbe"] == answers["livenessProbe"] == ("/healthz", 200)
    # No network is registered in an empty database, so the server says that it is not ready.
    assert answers["readinessProbe"] == ("/readyz", 503)


@pytest.mark.django_db
def test_a_probe_without_the_host_header_would_fail(settings):
    settings.ALLOWED_HOSTS = settings_of("k8s/base")["ALLOWED_HOSTS"].split(",")
    assert Client().get("/healthz", headers={"host": "10.42.0.7:8000"}).status_code == 400


def run_role(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run the entry point with programs that only say how they were called."""
    say = 'echo "$(basename "$0") $@"'
    environment = stub_programs(tmp_path, gunicorn=say, celery=say, python=say)
    return subprocess.run(
        [ENTRYPOINT, *arguments], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("role", "says"),
    [
        ("web", "gunicorn cancerprediction.wsgi"),
        ("beat", "celery -A cancerprediction beat"),
        ("migrate", "python manage.py migrate --no-input\npython manage.py load_models"),
        ("wait", ""),
    ],
)
def test_a_role_starts_its_program(tmp_path, role, says):
    done = run_role(tmp_path, role)
    assert done.returncode == 0
    assert done.stdout.startswith(says)


def test_the_role_manage_hands_its_arguments_on(tmp_path):
    done = run_role(tmp_path, "manage", "shell", "-c", "1 + 1")
    assert done.stdout == "python manage.py shell -c 1 + 1\n"


def test_an_unknown_role_is_refused_and_the_commands_of_migrate_exist(tmp_path):
    done = run_role(tmp_path, "wev")
    assert done.returncode == 64
    assert "Unknown role: wev" in done.stderr
    assert {"migrate", "load_models"} <= set(get_commands())


def test_pods_wait_until_the_migrations_are_applied(tmp_path):
    answers = 'test -e "$TMPDIR/asked" || { touch "$TMPDIR/asked"; echo "no such table"; exit 1; }'
    environment = stub_programs(tmp_path, python=answers, sleep="exit 0")
    done = subprocess.run(
        [ENTRYPOINT, "wait"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout == "Waiting for the database and its migrations. no such table\n"


def test_beat_is_healthy_only_while_it_writes_its_schedule(tmp_path):
    environment = stub_programs(tmp_path) | {"VAR_DIR": str(tmp_path)}
    (tmp_path / "role").write_text("beat\n")
    schedule = tmp_path / "celerybeat-schedule.db"

    def healthy() -> bool:
        return subprocess.run([ENTRYPOINT, "healthy"], env=environment, check=False).returncode == 0

    assert not healthy()
    schedule.touch()
    assert healthy()
    os.utime(schedule, (0, 0))
    assert not healthy()


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_workers_take_from_every_queue_that_the_program_fills(folder, tmp_path, settings):
    taken = set()
    for manifest in of_kind(folder, "Deployment"):
        (container,) = pod_of(manifest)["containers"]
        said = run_role(tmp_path, *container["args"]).stdout.split()
        assert said, name_of(manifest)
        if "--queues" in said:
            taken |= set(said[said.index("--queues") + 1].split(","))
    filled = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
    assert taken == filled | {settings.CELERY_TASK_DEFAULT_QUEUE}


@pytest.mark.parametrize("folder", OVERLAYS)
def test_beat_runs_exactly_once_and_is_not_scaled(folder):
    beat = the(folder, "Deployment", "beat")
    assert beat["spec"]["replicas"] == 1
    assert beat["spec"]["strategy"] == {"type": "Recreate"}
    scaled = {
        m["spec"]["scaleTargetRef"]["name"] for m in of_kind(folder, "HorizontalPodAutoscaler")
    }
    assert scaled == {"worker-inference"}
    assert "replicas" not in the(folder, "Deployment", "worker-inference")["spec"]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_web_and_workers_share_images_and_networks_and_write_nowhere_else(folder):
    writable = settings_of(folder)
    for name in ("web", "worker-inference", "worker-training"):
        pod = pod_of(the(folder, "Deployment", name))
        claims = {
            v["name"]: v.get("persistentVolumeClaim", {}).get("claimName") for v in pod["volumes"]
        }
        mounts = {m["mountPath"]: claims[m["name"]] for m in pod["containers"][0]["volumeMounts"]}
        assert mounts[writable["STORAGE_DIR"]] == "dicom"
        assert mounts[writable["MODELS_DIR"]] == "models"
        assert mounts[writable["VAR_DIR"]] is None  # lost with the pod, and may be
    assert mounts[writable["TRAINING_DATA_DIR"]] == "training"
    existing = {m["metadata"]["name"] for m in of_kind(folder, "PersistentVolumeClaim")}
    assert existing == {"dicom", "models", "training", "backup"}


@pytest.mark.parametrize("folder", OVERLAYS)
def test_every_night_what_is_due_is_deleted_and_then_everything_is_backed_up(folder):
    retention, backup = (the(folder, "CronJob", name) for name in ("retention", "backup"))
    (migrate,) = pod_of(the(folder, "Job", "migrate"))["containers"]
    assert minute_of_day(retention) < minute_of_day(backup)
    for job, command in ((retention, "apply_retention"), (backup, "backup")):
        (container,) = pod_of(job)["containers"]
        assert container["args"][:2] == ["manage", command]
        assert command in get_commands()
        assert job["spec"]["concurrencyPolicy"] == "Forbid"
        assert container["envFrom"] == migrate["envFrom"]
    mounts = {m["mountPath"]: m for m in container["volumeMounts"]}
    read = {settings_of(folder)[f"{name}_DIR"] for name in ("STORAGE", "MODELS", "TRAINING_DATA")}
    assert {path for path, mount in mounts.items() if mount.get("readOnly")} == read
    assert mounts[container["args"][2]]["name"] == "backup"


def minute_of_day(cron_job: dict) -> int:
    minute, hour, *rest = cron_job["spec"]["schedule"].split()
    assert rest == ["*", "*", "*"]
    return int(hour) * 60 + int(minute)


def test_a_pod_of_a_cronjob_is_like_every_other_pod_of_the_image():
    alike, pods = ("pod", "pod-of-cronjobs"), []
    for name in alike:
        patch = yaml.safe_load((ROOT / f"k8s/base/{name}.yaml").read_text())
        pods.append(template_of(patch))
    assert pods[0] == pods[1]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_web_server_sees_the_frozen_test_patients_but_cannot_change_them(folder):
    pod = pod_of(the(folder, "Deployment", "web"))
    (volume,) = [v for v in pod["volumes"] if v["name"] == "training"]
    (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "training"]
    assert volume["persistentVolumeClaim"]["claimName"] == "training"
    assert mount["mountPath"] == settings_of(folder)["TRAINING_DATA_DIR"]
    assert mount["readOnly"] is True


@pytest.mark.parametrize("folder", ["k8s/base", "k8s/overlays/rancher-longhorn"])
def test_who_sends_too_much_is_answered_by_the_program_not_by_the_ingress(folder):
    ingress = the(folder, "Ingress", "web")
    notes = ingress["metadata"]["annotations"]
    limit = notes["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert limit.endswith("m")
    assert int(limit[:-1]) > int(settings_of(folder)["MAX_UPLOAD_MB"])
    assert notes["nginx.ingress.kubernetes.io/proxy-request-buffering"] == "off"


@pytest.mark.parametrize("folder", ["k8s/overlays/k3s-single", "k8s/overlays/rancher-longhorn"])
def test_the_ingress_serves_the_allowed_host_over_tls_only(folder):
    ingress = the(folder, "Ingress", "web")["spec"]
    (rule,), (tls,) = ingress["rules"], ingress["tls"]
    settings = settings_of(folder)
    assert tls["hosts"] == [rule["host"]]
    assert rule["host"] in settings["ALLOWED_HOSTS"].split(",")
    assert settings["SITE_URL"] == settings["CSRF_TRUSTED_ORIGINS"] == f"https://{rule['host']}"
    assert settings["SSL_REDIRECT"] == settings["TRUSTED_PROXIES"] == "1"


@pytest.mark.parametrize("folder", OVERLAYS)
def test_services_find_their_pods_and_the_network_is_closed_but_for_them(folder):
    pods = [template_of(m)["metadata"]["labels"] for m in of_kind(folder, *POD_KINDS)]
    services = of_kind(folder, "Service")
    assert {m["metadata"]["name"] for m in services} == {"web", "postgres", "valkey"}
    for service in services:
        selector = service["spec"]["selector"].items()
        assert sum(selector <= labels.items() for labels in pods) == 1
    policies = {m["metadata"]["name"]: m["spec"] for m in of_kind(folder, "NetworkPolicy")}
    assert policies.pop("default-deny") == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    for spec in policies.values():
        chosen = spec["podSelector"].get("matchLabels", {}).items()
        assert any(chosen <= labels.items() for labels in pods)
        for opening in [*spec.get("ingress", []), *spec.get("egress", [])]:
            assert opening["ports"]


def test_longhorn_keeps_three_copies_and_a_volume_outlives_its_claim():
    folder = "k8s/overlays/rancher-longhorn"
    (storage,) = of_kind(folder, "StorageClass")
    assert storage["reclaimPolicy"] == "Retain"
    assert storage["parameters"]["numberOfReplicas"] == "3"
    claims = [m["spec"] for m in of_kind(folder, "PersistentVolumeClaim")]
    claims += [m["spec"]["volumeClaimTemplates"][0]["spec"] for m in of_kind(folder, "StatefulSet")]
    assert {claim["storageClassName"] for claim in claims} == {storage["metadata"]["name"]}
    jobs = {m["spec"]["task"]: m["spec"]["groups"] for m in of_kind(folder, "RecurringJob")}
    assert jobs == {"snapshot": ["cancerns"], "backup": ["cancerns"]}
    assert yaml.safe_load(storage["parameters"]["recurringJobSelector"])[0]["name"] == "cancerns"


def test_the_dataset_job_runs_a_command_that_exists_and_fills_the_workers_volume():
    (job,) = build("k8s/dataset")
    (container,) = pod_of(job)["containers"]
    assert container["args"][0] == "manage"
    assert container["args"][1] in get_commands()
    mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    assert mounts["training"] == settings_of("k8s/base")["TRAINING_DATA_DIR"]
    assert pod_of(job)["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_fetching_job_runs_a_command_that_exists_and_reaches_nothing_but_web_servers():
    (job,) = of_kind("k8s/dataset-fetch", "Job")
    (container,) = pod_of(job)["containers"]
    assert container["args"][:2] == ["manage", "fetch_dataset"]
    assert "fetch_dataset" in get_commands()
    named = set(re.findall(r"\$\((\w+)\)", " ".join(container["args"])))
    source = the("k8s/dataset-fetch", "ConfigMap", "dataset-source")
    assert named == set(source["data"])
    assert container["envFrom"] == [{"configMapRef": {"name": source["metadata"]["name"]}}]
    (policy,) = of_kind("k8s/dataset-fetch", "NetworkPolicy")
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()


def test_the_pipeline_mounts_volumes_and_reads_secrets_that_there_are():
    _, platform = yaml.safe_load_all((ROOT / "k8s/kubeflow/pipeline.yaml").read_text())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values()
    claims = {m["metadata"]["name"] for m in of_kind("k8s/base", "PersistentVolumeClaim")}
    secrets = (ROOT / "scripts" / "make_secrets.sh").read_text()
    mounts = volumes_of(the("k8s/base", "Deployment", "worker-training"))
    for executor in executors:
        mounted = {one["constant"]: one["mountPath"] for one in executor["pvcMount"]}
        assert set(mounted) <= claims
        assert mounted.items() <= mounts.items()
        for one in executor["secretAsEnv"][0]["keyToEnv"]:
            assert f"{one['secretKey']}:" in secrets
        assert executor["securityContext"] == {
            "runAsUser": "10001",
            "runAsGroup": "10001",
            "runAsNonRoot": True,
        }


def volumes_of(manifest: dict) -> dict[str, str]:
    (container,) = pod_of(manifest)["containers"]
    return {m["name"]: m["mountPath"] for m in container["volumeMounts"]}


def test_the_pipelines_account_has_few_rights_and_the_release_is_pinned_once():
    (account,) = of_kind("k8s/kubeflow", "ServiceAccount")
    assert account["metadata"]["name"] == SERVICE_ACCOUNT
    (role,) = of_kind("k8s/kubeflow", "Role")
    assert not {"*", "delete", "create"} & {
        verb for rule in role["rules"] if rule["apiGroups"] == [""] for verb in rule["verbs"]
    }
    assert all(rule["resourceNames"] for rule in role["rules"] if "secrets" in rule["resources"])
    script = (ROOT / "k8s/kubeflow/set-up.sh").read_text()
    release = re.search(r"PIPELINE_VERSION=(\S+)", script)[1]
    assert f"kfp[kubernetes]=={release}" in (ROOT / "requirements/kubeflow.in").read_text()


def test_a_restore_brings_servers_and_volumes_and_nothing_that_would_write_before_it():
    folder = "k8s/restore"
    (job,) = of_kind(folder, "Job")
    assert not of_kind(folder, "Deployment", "CronJob", "HorizontalPodAutoscaler", "Ingress")
    (container,) = pod_of(job)["containers"]
    assert container["args"][:2] == ["manage", "restore"]
    assert "restore" in get_commands()
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in pod_of(job)["volumes"]
        if "persistentVolumeClaim" in volume
    }
    mounts = {m["mountPath"]: m for m in container["volumeMounts"]}
    written = {path for path, mount in mounts.items() if not mount.get("readOnly")}
    assert written == {settings_of(folder)[name] for name in WRITTEN} | {"/tmp"}  # noqa: S108
    assert set(claims) == {m["metadata"]["name"] for m in of_kind(folder, "PersistentVolumeClaim")}
    assert container["args"][2].startswith("/backup/")
    known = {m["metadata"]["name"] for m in of_kind(folder, "ConfigMap")}
    assert container["envFrom"][0]["configMapRef"]["name"] in known
    (deployed,) = {c["image"] for m in of_kind(OVERLAYS[-1], "Job") for c in containers_of(m)}
    assert container["image"] == deployed


WRITTEN = ("STORAGE_DIR", "MODELS_DIR", "TRAINING_DATA_DIR")


def test_rancher_registers_the_cluster_that_the_project_and_fleet_mean():
    registered, project = build("k8s/rancher/registration"), build("k8s/rancher")
    (cluster,) = [m for m in registered if m["kind"] == "Cluster"]
    (token,) = [m for m in registered if m["kind"] == "ClusterRegistrationToken"]
    (its_project,) = [m for m in project if m["kind"] == "Project"]
    (git,) = [m for m in project if m["kind"] == "GitRepo"]
    name = cluster["metadata"]["name"]
    assert token["metadata"]["namespace"] == token["spec"]["clusterName"] == name
    assert its_project["metadata"]["namespace"] == its_project["spec"]["clusterName"] == name
    (target,) = git["spec"]["targets"]
    assert target["clusterSelector"]["matchLabels"] == cluster["metadata"]["labels"]
