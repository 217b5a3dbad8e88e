"""Starting, watching and understanding the processes: refusals, log lines, metrics."""

import json
import logging
import os
import re
import subprocess
import sys

import pytest
import requests
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import Client

from apps.accounts.tests.factories import request_of
from apps.cases.services import send_case
from apps.cases.tests.factories import make_case
from apps.classifier.services import request_predictions
from cancerprediction import logs, startup
from cancerprediction.environment import Environment
from tests.people import People
from tests.system import System, environment, eventually

LONG_KEY = "0123456789abcdef" * 4


@pytest.fixture
def production(settings):
    settings.SECRET_KEY = LONG_KEY
    settings.ALLOWED_HOSTS = ["cancer.example.org", "localhost"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://cancer.example.org"]
    settings.SITE_URL = "https://cancer.example.org"
    settings.SECURE_SSL_REDIRECT = True
    settings.TRUSTED_PROXIES = 1
    return settings


def test_a_safe_installation_has_no_mistakes(production):
    assert startup.mistakes() == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DEBUG", True, "DEBUG is on"),
        ("SECRET_KEY", "django-insecure", "SECRET_KEY can be guessed"),
        ("SECRET_KEY", "ab" * 40, "SECRET_KEY can be guessed"),
        ("ALLOWED_HOSTS", ["*"], "ALLOWED_HOSTS is *"),
        ("SECURE_SSL_REDIRECT", False, "SSL_REDIRECT is off"),
        ("TRUSTED_PROXIES", 0, "TRUSTED_PROXIES is 0"),
        ("SITE_URL", "http://cancer.example.org", "SITE_URL"),
        ("CSRF_TRUSTED_ORIGINS", ["http://cancer.example.org"], "CSRF_TRUSTED_ORIGINS"),
        ("DATABASES", {"default": {"ENGINE": "django.db.backends.sqlite3"}}, "DATABASE_URL"),
    ],
)
def test_each_mistake_is_told_in_one_sentence(production, monkeypatch, name, value, words):
    monkeypatch.setattr(django_settings, name, value)
    (said,) = startup.mistakes()
    assert said.startswith(words)
    assert LONG_KEY not in said


def test_localhost_alone_may_be_served_without_tls(production):
    production.SECURE_SSL_REDIRECT = False
    production.ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
    assert startup.mistakes() == []


def test_wrong_variables_are_all_named_at_once_and_secrets_not_quoted(monkeypatch):
    wrong = {"WEB": "two", "SWITCH": "perhaps", "DATABASE_URL": "oracle-of-pw123://x"}
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    env = Environment()
    assert env.int("WEB", default=2) == 2
    env.bool("SWITCH", default=False)
    env.db("DATABASE_URL", default="sqlite:///x")
    env.str("MISSING_KEY")
    with pytest.raises(ImproperlyConfigured) as refused:
        env.refuse_mistakes()
    lines = str(refused.value).splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["WEB", "SWITCH", "DATABASE_URL", "MISSING_KEY"]
    assert "pw123" not in str(refused.value)


@pytest.mark.django_db(transaction=True)
def test_a_missing_migration_is_named_and_a_newer_one_is_not_missed():
    assert startup.missing_migrations() == []
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations(app,name,applied) VALUES('cases','9999',now())"
        )
        assert startup.unapplied_migrations() == []
        cursor.execute(
            "UPDATE django_migrations SET name='hidden' WHERE app='audit' AND name LIKE '0003%'"
        )
    try:
        (said,) = startup.missing_migrations()
        assert "audit.0003_password_changed" in said
    finally:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE django_migrations SET name='0003_password_changed' WHERE name='hidden'"
            )
            cursor.execute("DELETE FROM django_migrations WHERE name='9999'")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "command",
    [
        ["gunicorn", "cancerprediction.wsgi", "--workers", "1", "--bind", "127.0.0.1:0"],
        ["celery", "-A", "cancerprediction", "worker", "-c", "1", "-Q", "nothing"],
        ["celery", "-A", "cancerprediction", "beat", "-s", "schedule"],
    ],
    ids=["web", "worker", "beat"],
)
def test_no_process_starts_with_a_key_that_can_be_guessed(command, tmp_path):
    program = os.path.join(os.path.dirname(sys.executable), command[0])
    done = subprocess.run(
        [program, *command[1:]],
        cwd=tmp_path,  # whatever they write lands here
        env=environment(SECRET_KEY="changeme", PYTHONPATH=str(django_settings.BASE_DIR)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == startup.REFUSED, done.stderr[-2000:]
    assert "SECRET_KEY can be guessed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_json_line_carries_ids_and_no_row_of_the_database():
    record = logging.LogRecord("apps.cases", logging.ERROR, "", 1, "refused %s", ("x",), None)
    marks = logs.request_id.set("r-1"), logs.task_id.set("t-1")
    try:
        line = json.loads(logs.JsonFormatter().format(record))
    finally:
        logs.request_id.reset(marks[0])
        logs.task_id.reset(marks[1])
    assert (line["message"], line["level"]) == ("refused x", "ERROR")
    assert (line["request_id"], line["task_id"]) == ("r-1", "t-1")


@pytest.mark.django_db
def test_an_answer_carries_its_request_id_and_a_harmful_one_is_replaced():
    given = Client().get("/healthz", headers={"X-Request-ID": "0123456789abcdef"})
    assert given["X-Request-ID"] == "0123456789abcdef"
    made = Client().get("/healthz", headers={"X-Request-ID": 'x"} injected'})
    assert re.fullmatch(r"[0-9a-f]{32}", made["X-Request-ID"])


@pytest.mark.django_db
def test_metrics_exist_only_with_a_token_and_only_for_its_holder(settings):
    def ask(token: str = "") -> int:
        return Client().get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code

    assert ask() == ask("anything") == 404
    settings.METRICS_TOKEN = LONG_KEY
    assert ask() == ask("anything") == 401
    assert ask(LONG_KEY) == 200


@pytest.mark.django_db
def test_metrics_count_rows_and_requests_and_name_no_patient(people: People, settings):
    settings.METRICS_TOKEN = LONG_KEY
    make_case(people.home, status="sent", patient_id="QX-77Z13", patient_name="ZZYZX^Quentin")
    Client().get("/accounts/login/")
    page = Client().get("/metrics", headers={"Authorization": f"Bearer {LONG_KEY}"})
    text = page.content.decode()
    assert 'cancer_cases{status="sent"} 1.0' in text
    assert 'cancer_up{part="database"} 1.0' in text
    assert 'cancer_queue_messages{queue="inference"}' in text
    assert 'cancer_disk_bytes{kind="free"}' in text
    assert re.search(r'request_seconds_count\{method="GET",route="accounts/login/",s', text)
    assert not re.search("zzyzx|77z13", text, re.IGNORECASE)


@pytest.mark.timeout(120)
def test_processes_write_json_with_the_ids_of_request_and_task(
    transactional_db, people: People, tmp_path
):
    case = make_case(people.home)
    send_case(case, request=request_of(people.technician), revision=1)
    system = System(tmp_path, LOG_FORMAT="json", METRICS_TOKEN=LONG_KEY)
    try:
        system.start("web", "worker-inference")
        asked = {"X-Request-ID": "12345678-abcd"}
        requests.get(f"{system.base_url}/accounts/login/", headers=asked, timeout=10)
        mark = logs.request_id.set("from-the-page")
        request_predictions(case)
        logs.request_id.reset(mark)
        web = [json.loads(line) for line in system.log("web").splitlines()]
        assert any(
            line["message"] == "GET accounts/login/ 200" and line["request_id"] == "12345678-abcd"
            for line in web
        )
        token = {"Authorization": f"Bearer {LONG_KEY}"}
        page = requests.get(f"{system.base_url}/metrics", headers=token, timeout=10).text
        assert 'route="accounts/login/",status="200"} 1.0' in page
        eventually(
            lambda: [
                line
                for line in _json_lines(system.log("worker-inference"))
                if line.get("request_id") == "from-the-page" and line.get("task_id")
            ],
            what="a line of the task that knows its request",
        )
    finally:
        system.stop()


def _json_lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
