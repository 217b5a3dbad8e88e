"""A doctor's worklist over a million cases: how long the server takes, and how many queries.

    python -m scripts.measure_worklist [cases [rounds]]

Fills a durable PostgreSQL of this run's with invented cases (no images of anybody), and asks for
the pages as a browser does, one after the other, through every middleware. Seven of ten cases are
at the doctor's own site; the newest hundredth is not reported yet. Prints one JSON object: median
and p95 in milliseconds, and the number of queries, of each page.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

CASES, ROUNDS = 1_000_000, 60
NAMES = "OKAFOR MUELLER GARCIA TANAKA NOVAK ROSSI HANSEN KOWALSKI SILVA DUBOIS".split()  # noqa: SIM905
# The newest of a hundred is still open: half waits, a quarter is being read or was returned.
STATES = "CASE WHEN n <= 0.99 * %(cases)s THEN 'reported' WHEN n % 4 = 0 THEN 'in_review' "
STATES += "WHEN n % 4 = 1 THEN 'returned' ELSE 'sent' END"


def main(cases: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _start(Path(folder))
        doctor = _fill(cases)
        print(json.dumps(_measure(doctor, rounds) | {"cases": cases}, indent=2))


def _start(folder: Path) -> None:
    from tests.services import start_broker, start_postgres

    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "cancerprediction.settings",
        "DATABASE_URL": start_postgres(durable=True).removesuffix("tests") + "postgres",
        "BROKER_URL": start_broker(),
        "VAR_DIR": str(folder / "var"),
        "SECRET_KEY": "only-for-a-measurement",
        "DEBUG": "0",
        "SSL_REDIRECT": "0",
        "ALLOWED_HOSTS": "testserver",
        "LOG_LEVEL": "WARNING",
    }
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("collectstatic", "--noinput", verbosity=0)


def _fill(cases: int):
    """Four sites, forty doctors, ten groups; returns a doctor of the largest site."""
    from apps.accounts.permissions import Role
    from apps.accounts.tests.factories import make_group, make_site, make_user

    sites = [make_site(f"Hospital {letter}") for letter in "ABCD"]
    doctors = [make_user(Role.DOCTOR, site=sites[n % 4]) for n in range(40)]
    groups = [
        make_group(*doctors[site::4], site=sites[site], name=f"{part} {site}")
        for site in range(4)
        for part in ("Chest", "Nodules")
    ]
    numbers = {
        "first_site": sites[0].pk,
        "first_doctor": doctors[0].pk,
        "first_group": groups[0].pk,
        "names": NAMES,
        "cases": cases,
        "patients": max(cases // 3, 1),
    }
    _insert(numbers)
    _predict()
    return doctors[0]


def _insert(numbers: dict[str, object]) -> None:
    from django.db import connection

    site = "(CASE WHEN n % 10 < 7 THEN 0 ELSE n % 3 + 1 END)"
    statements = [
        """INSERT INTO cases_patient
             (site_id, patient_id, issuer_of_patient_id, name, birth_date, sex)
           SELECT %(first_site)s + (CASE WHEN n % 10 < 7 THEN 0 ELSE n % 3 + 1 END),
             'P-' || n, '', (%(names)s::text[])[1 + n % 10] || n || '^Ada', '1960-01-01', 'F'
           FROM generate_series(1, %(patients)s) n""",
        """INSERT INTO cases_study
             (public_id, site_id, patient_id, study_instance_uid, accession_number, study_date,
              study_description, referring_physician_name, institution_name, patient_age,
              patient_name, received_at)
           SELECT gen_random_uuid(), p.site_id, p.id, '2.25.' || n, 'A' || n,
             date '2020-01-01' + (n % 2300), 'CT chest', '', '', '066Y', '', now()
           FROM generate_series(1, %(cases)s) n
           JOIN cases_patient p ON p.patient_id = 'P-' || (1 + n % %(patients)s)""",
        f"""INSERT INTO cases_case
             (public_id, site_id, study_id, status, stage, priority, clinical_question, note,
              receiver_id, receiver_group_id, claimed_by_id, created_at, sent_at, reported_at,
              revision)
           SELECT gen_random_uuid(), s.site_id, s.id, state, 'first', n % 3, '', '',
             CASE WHEN n % 5 = 1 THEN %(first_doctor)s + (n / 5 % 10) * 4 + {site} END,
             CASE WHEN n % 5 = 2 THEN %(first_group)s + {site} * 2 + n % 2 END,
             CASE WHEN state IN ('reported', 'in_review')
                  THEN %(first_doctor)s + (n / 7 % 10) * 4 + {site} END,
             at, at, CASE WHEN state = 'reported' THEN at + interval '3 hours' END, 3
           FROM (SELECT s.*, substr(s.study_instance_uid, 6)::int AS n FROM cases_study s) s,
             LATERAL (SELECT {STATES} AS state) st,
             LATERAL (SELECT now() - interval '5 years' * (1 - n::float / %(cases)s) AS at) t""",  # noqa: S608
        "ANALYZE",
    ]
    with connection.cursor() as cursor:
        for statement in statements:
            # Every other % is SQL's own.
            doubled = statement.replace("% ", "%% ")
            cursor.execute(doubled, numbers)


def _predict() -> None:
    """One series, image, answer and finding for every case that is not reported."""
    from django.db import connection

    from apps.classifier.tests.factories import make_model_versions

    versions = make_model_versions()
    with connection.cursor() as cursor:
        for statement in _for_each_open_case():
            cursor.execute(statement)
        for version in versions:
            cursor.execute(
                "INSERT INTO classifier_prediction_model_versions (prediction_id, modelversion_id)"
                " SELECT id, %s FROM classifier_prediction",
                [version.pk],
            )
        cursor.execute("ANALYZE")


def _for_each_open_case() -> list[str]:
    """SQL that fills each table with one row per open case; columns without a value are empty."""
    return [
        _insert_for_each(
            "cases_series",
            "cases_case c JOIN cases_study s ON s.id = c.study_id WHERE c.status <> 'reported'",
            study_id="s.id",
            public_id="gen_random_uuid()",
            series_instance_uid="s.study_instance_uid || '.1'",
            modality="'CT'",
        ),
        _insert_for_each(
            "cases_instance",
            "cases_series s JOIN cases_study st ON st.id = s.study_id",
            site_id="st.site_id",
            sha256="md5(s.series_instance_uid)",
            series_id="s.id",
            public_id="gen_random_uuid()",
            sop_instance_uid="s.series_instance_uid || '.1'",
            rows="512",
            columns="512",
        ),
        _insert_for_each(
            "classifier_prediction",
            "cases_case c JOIN cases_series s ON s.study_id = c.study_id",
            case_id="c.id",
            series_id="s.id",
            public_id="gen_random_uuid()",
            status="'done'",
            series_score="0.5",
            finished_at="now()",
        ),
        _insert_for_each(
            "classifier_finding",
            "classifier_prediction p JOIN cases_instance i ON i.series_id = p.series_id",
            case_id="p.case_id",
            prediction_id="p.id",
            instance_id="i.id",
            public_id="gen_random_uuid()",
            source="'model'",
            diameter_mm="9.5",
            malignancy_probability="0.6",
        ),
    ]


def _insert_for_each(table: str, source: str, /, **values: str) -> str:
    """INSERT … SELECT that gives every column without a value its type's emptiest one."""
    from django.db import connection

    empty = {
        "integer": "0",
        "bigint": "0",
        "smallint": "0",
        "double precision": "0",
        "boolean": "false",
        "jsonb": "'[]'",
        "timestamp with time zone": "now()",
        "bytea": "''",
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_name = %s AND is_nullable = 'NO' AND is_identity = 'NO'",
            [table],
        )
        needed = {name: empty.get(kind, "''") for name, kind in cursor.fetchall()}
    columns = {**needed, **values}
    names = ", ".join(f'"{name}"' for name in columns)
    return f"INSERT INTO {table} ({names}) SELECT {', '.join(columns.values())} FROM {source}"  # noqa: S608


def _measure(doctor, rounds: int) -> dict[str, object]:
    from django.test import Client

    client = Client()
    client.force_login(doctor)
    pages = {
        "to read": lambda: client.get("/doctor/?show=to_read"),
        "refresh": lambda: client.get("/doctor/rows/"),
        "second page": lambda: client.get("/doctor/?show=to_read&page=2"),
        "mine": lambda: client.get("/doctor/?show=mine"),
        "urgent": lambda: client.get("/doctor/?show=urgent"),
        "returned": lambda: client.get("/doctor/?show=returned"),
        "reported": lambda: client.get("/doctor/?show=reported"),
        "all": lambda: client.get("/doctor/?show=all"),
    }
    measured = {name: _timed(ask, rounds) for name, ask in pages.items()}
    for words in ("garcia12", "A77777", "an"):
        client.post("/doctor/search/", {"search": words})
        measured[f"search “{words}”"] = _timed(lambda: client.get("/doctor/rows/"), rounds)
    client.post("/doctor/search/", {"search": ""})
    measured["next case"] = _timed(lambda: client.post("/doctor/next/"), rounds)
    measured["API, to read"] = _timed(lambda: client.get("/api/v1/worklist/"), rounds)
    return {"pages": measured}


def _timed(ask: Callable, rounds: int) -> dict[str, float]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    ask()
    with CaptureQueriesContext(connection) as queries:
        answer = ask()
    if answer.status_code != 200 and "/doctor/cases/" not in answer.get("Location", ""):
        raise SystemExit(f"a page answered {answer.status_code}")
    asked = queries.captured_queries  # the next request empties the log
    if os.environ.get("SLOWEST"):
        slow = max(asked, key=lambda one: float(one["time"]))
        print(slow["time"], slow["sql"][:3000], file=sys.stderr)
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        ask()
        took.append((time.perf_counter() - began) * 1000)
    p95 = quantiles(took, n=20)[-1]
    return {
        "median_ms": round(median(took), 1),
        "p95_ms": round(p95, 1),
        "queries": len(asked),
    }


if __name__ == "__main__":
    asked = [int(one) for one in sys.argv[1:3]]
    main(*(asked + [CASES, ROUNDS][len(asked) :]))
