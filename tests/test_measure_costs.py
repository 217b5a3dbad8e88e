"""The arithmetic of docs/scaling.md."""

import re

from scripts.check_manifests import ROOT
from scripts.measure_costs import needs

REPORT = {
    "processor_seconds": {
        "receive": 2.0,
        "send": 0.0,
        "predict": 36.0,
        "fetch_every_slice": 4.0,
        "verdict": 0.0,
    },
    "files_megabytes": 160.0,
    "database": {"rows": 700, "megabytes": 0.5},
    "postgres_processor_seconds": 1.8,
}


def test_what_ten_hospitals_need_is_counted_by_hand():
    ten = needs(REPORT, 10)
    # 10 hospitals x 50 cases x 20 % are 100 cases an hour: one in 36 seconds.
    assert ten["cases_in_the_busiest_hour"] == 100
    assert ten["worker_processors"] == round(36 / 36 / 0.7, 1)
    assert ten["web_processors"] == round((2 + 2 * 4) / 36 / 0.5, 1)
    assert ten["database_processors"] == 0.1
    # 10 x 50 x 250 are 125,000 cases a year.
    assert ten["terabytes_of_files_a_year"] == 20.0
    assert ten["million_rows_a_year"] == 87.5
    assert ten["gigabytes_of_database_a_year"] == 62.5


def test_the_page_calculates_with_what_it_says_was_measured():
    page = (ROOT / "docs" / "scaling.md").read_text()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in page.splitlines()]
    rows = {row[0]: row[1:] for row in cells if len(row) > 1}

    def number(name: str) -> float:
        return float(re.match(r"[\d.,]+", rows[name][0])[0].replace(",", ""))

    report = {
        "processor_seconds": {
            "receive": number("Receive and store"),
            "send": number("Send"),
            "predict": number("Predict, worker"),
            "fetch_every_slice": number("Fetch every slice once"),
            "verdict": number("Verdict and report"),
        },
        "files_megabytes": number("Files"),
        "database": {"rows": number("Rows"), "megabytes": number("Database")},
        "postgres_processor_seconds": number("PostgreSQL"),
    }
    names = {
        "Cases in the busiest hour": "cases_in_the_busiest_hour",
        "Processors of workers": "worker_processors",
        "Processors of web": "web_processors",
        "Processors of PostgreSQL": "database_processors",
        "Received, MB/s": "megabytes_received_a_second",
        "Files a year, TB": "terabytes_of_files_a_year",
        "Rows a year, millions": "million_rows_a_year",
        "Database a year, GB": "gigabytes_of_database_a_year",
    }
    for column, hospitals in enumerate((10, 100, 1000)):
        needed = needs(report, hospitals)
        for name, key in names.items():
            assert float(rows[name][column].replace(",", "")) == needed[key], (name, hospitals)
