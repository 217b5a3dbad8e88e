"""The signed report as a file: the same words, readable by others, and told to the audit trail."""

import base64
import json
import subprocess

import pytest
from fhir.resources.R4B.diagnosticreport import DiagnosticReport

from apps.accounts.tests.factories import request_of
from apps.audit.models import AuditEvent
from apps.cases.models import Case
from apps.cases.tests.factories import make_case, small_phantom
from apps.classifier.tests.factories import make_prediction
from apps.doctor.report_files import as_pdf
from apps.doctor.services import FindingAnswer, VerdictAnswer, sign
from apps.doctor.views.report import newest_report
from tests.people import logged_in


@pytest.fixture
def case(people) -> Case:
    found = make_case(
        people.home,
        status="sent",
        phantom=small_phantom(matrix=128),
        patient_name="ОРЛОВА^Žofie",
        accession_number="A-77",
    )
    make_prediction(found, findings=[{"malignancy_probability": 0.8}])
    answer = VerdictAnswer(
        cancer="yes",
        diagnoses=["Carcinoma <suspected> & more"],
        text="Second line\nthird line",
        findings=[FindingAnswer(found.findings.get(), "malignant")],
    )
    sign(found, request=request_of(people.owner), revision=found.revision, answer=answer)
    return found


def text_of(pdf: bytes, tmp_path) -> str:
    (tmp_path / "report.pdf").write_bytes(pdf)
    command = ["pdftotext", "-layout", tmp_path / "report.pdf", "-"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_the_pdf_says_what_was_signed_and_shows_the_finding(case, people, tmp_path):
    answer = logged_in(people.owner).get(f"/doctor/cases/{case.public_id}/report.pdf")
    assert answer["Content-Type"] == "application/pdf"
    assert "ORLOV" not in answer["Content-Disposition"]
    said = " ".join(text_of(answer.content, tmp_path).split())
    for word in " ".join(newest_report(case).body.split()).split():
        assert word in said
    assert "ОРЛОВА, Žofie" in said
    assert "malignancy-v" in said
    assert "not an all-clear" in said
    images = ["pdfimages", "-list", tmp_path / "report.pdf"]
    listed = subprocess.run(images, check=True, capture_output=True, text=True).stdout
    assert len(listed.splitlines()) == 3  # two lines of heading, one picture
    assert AuditEvent.objects.latest("pk").details["what"] == "report as pdf"


def test_the_fhir_report_is_read_back_with_the_same_facts(case, people):
    answer = logged_in(people.owner).get(f"/doctor/cases/{case.public_id}/report.json")
    assert answer["Content-Type"] == "application/fhir+json"
    read = DiagnosticReport.model_validate_json(answer.content)
    assert (read.status, read.identifier[0].value) == ("final", "A-77")
    assert read.imagingStudy[0].identifier.value == f"urn:oid:{case.study.study_instance_uid}"
    assert "Carcinoma <suspected> & more" in read.conclusion
    signed = newest_report(case)
    sent = json.loads(answer.content)["presentedForm"][0]["data"]
    assert base64.b64decode(sent).decode() == signed.body
    assert read.issued == signed.signed_at


def test_a_correction_makes_the_newest_report_a_corrected_one(case, people):
    sign(
        case,
        request=request_of(people.teammate),
        revision=case.revision,
        answer=VerdictAnswer(cancer="no"),
    )
    answer = logged_in(people.owner).get(f"/doctor/cases/{case.public_id}/report.json")
    read = DiagnosticReport.model_validate_json(answer.content)
    assert (read.status, read.conclusion) == ("corrected", "No cancer")


def test_without_a_signed_report_there_is_nothing_to_download(people):
    waiting = make_case(people.home, status="sent")
    answer = logged_in(people.owner).get(f"/doctor/cases/{waiting.public_id}/report.pdf")
    assert answer.status_code == 409
    assert "not reported yet" in answer.content.decode()


def test_a_lost_image_does_not_keep_the_report_back(case, tmp_path, monkeypatch):
    def lost(instance):
        raise FileNotFoundError

    monkeypatch.setattr("apps.doctor.report_files.hu_of", lost)
    assert "cannot be read on the server" in text_of(as_pdf(newest_report(case)), tmp_path)
