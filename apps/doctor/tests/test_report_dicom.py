"""The signed report as DICOM: valid by dciodvfy, and read back with the same numbers."""

import shutil
import subprocess
from datetime import date
from io import BytesIO
from pathlib import Path

import highdicom as hd
import pytest
from pydicom import Dataset, dcmread

from apps.accounts.tests.factories import request_of
from apps.audit.models import AuditEvent
from apps.cases import storage
from apps.cases.models import Case, Instance
from apps.cases.tests.factories import make_case, small_phantom
from apps.classifier.tests.factories import make_finding, make_prediction
from apps.doctor.services import FindingAnswer, MissedNodule, VerdictAnswer, sign
from apps.doctor.structured import NoduleEntry, Structured
from tests.people import logged_in


@pytest.fixture
def case(people) -> Case:
    found = make_case(
        people.home,
        status="sent",
        phantom=small_phantom(slices=3, matrix=128),
        patient_name="ОРЛОВА^Žofie",
        accession_number="A-77",
    )
    found.study.study_date = date(2026, 6, 1)
    prediction = make_prediction(found)
    last = found.study.series.get().instances.last()
    finding = make_finding(
        prediction,
        instance=last,
        row=40.25,
        column=70.5,
        diameter_mm=11.4,
        malignancy_probability=0.8137,
    )
    nodule = NoduleEntry(
        "part_solid",
        11.4,
        9.0,
        "rul",
        "Finding 1",
        4.0,
        before_mm=8.0,
        before_date=date(2025, 6, 1),
    )
    answer = VerdictAnswer(
        cancer="yes",
        diagnoses=["Carcinoma <suspected> & more", "Nodule [ICD-10-CM R91.1]"],
        text="Second line",
        findings=[FindingAnswer(finding, "malignant")],
        missed=[MissedNodule(last, 20, 30, 6.0, "benign")],
        structured=Structured([nodule]),
    )
    sign(found, request=request_of(people.owner), revision=found.revision, answer=answer)
    return found


def fetched(people, case, ending: str) -> bytes:
    answer = logged_in(people.owner).get(f"/doctor/cases/{case.public_id}/report.{ending}")
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "application/dicom"
    return answer.content


def complaints(content: bytes, folder: Path) -> list[str]:
    """What dciodvfy calls an error; its warnings are of optional things."""
    program = shutil.which("dciodvfy")
    if not program:
        pytest.fail("dciodvfy is missing. On Debian: apt-get install dicom3tools")
    path = folder / "report.dcm"
    path.write_bytes(content)
    said = subprocess.run([program, path], capture_output=True, text=True, check=False)
    return [line for line in said.stderr.splitlines() if line.startswith("Error")]


def numbers(group) -> dict[str, float]:
    return {one.name.meaning: one.value for one in group.get_measurements()}


def answers(group) -> list[tuple[str, str]]:
    return [(one.name.meaning, one.value.meaning) for one in group.get_qualitative_evaluations()]


@pytest.mark.parametrize("ending", ["sr.dcm", "marks.dcm"])
def test_dciodvfy_finds_no_error(case, people, tmp_path, ending):
    assert complaints(fetched(people, case, ending), tmp_path) == []


def test_dciodvfy_would_find_one(case, people, tmp_path):
    broken = dcmread(BytesIO(fetched(people, case, "sr.dcm")))
    del broken.CompletionFlag
    target = BytesIO()
    broken.save_as(target)
    assert complaints(target.getvalue(), tmp_path)


def test_the_sr_is_read_back_with_the_same_numbers(case, people):
    document = hd.sr.srread(BytesIO(fetched(people, case, "sr.dcm")))
    groups = document.content.get_planar_roi_measurement_groups()
    by_name = {group.tracking_identifier: group for group in groups}
    first = by_name["Finding 1"]
    assert numbers(first) == {"Long axis": 11.4, "Suspicion score of the AI": 0.8137}
    assert answers(first) == [("Verdict of the doctor", "malignant")]
    ring = first.roi.value
    # Ours counts from the middle of the first pixel, DICOM from its corner.
    assert ring[0].tolist() == pytest.approx([71.0, 40.75])
    last = case.study.series.get().instances.last()
    assert first.roi.ContentSequence[0].referenced_sop_instance_uid == last.sop_instance_uid
    assert numbers(by_name["Finding 2"]) == {"Long axis": 6.0}


def test_the_sr_holds_the_verdict_and_the_structured_nodule(case, people):
    document = hd.sr.srread(BytesIO(fetched(people, case, "sr.dcm")))
    verdict, nodule = document.content.get_image_measurement_groups()
    assert answers(verdict)[:2] == [
        ("Verdict of the doctor", "cancer"),
        ("Diagnosis", "Carcinoma <suspected> & more"),
    ]
    assert ("Lung-RADS v2022 category", case.verdicts.get().lung_rads) in answers(verdict)
    assert numbers(nodule)["Mean of long and short axis"] == 10.2
    assert numbers(nodule)["Change of the mean diameter"] == 2.2
    assert ("Place", "right upper lobe") in answers(nodule)


def test_it_is_the_patient_as_stored_here_and_the_study_of_the_images(case, people):
    patient = case.study.patient
    patient.name, patient.patient_id = "MOVED^Here", "P-MOVED"
    patient.save()
    for ending in ("sr.dcm", "marks.dcm"):
        read = dcmread(BytesIO(fetched(people, case, ending)))
        assert (read.PatientName, read.PatientID) == ("MOVED^Here", "P-MOVED")
        assert read.StudyInstanceUID == case.study.study_instance_uid
        assert read.AccessionNumber == "A-77"


def test_fetched_twice_it_is_the_same_object(case, people):
    def known(content: bytes) -> Dataset:
        return dcmread(BytesIO(content))

    first, again = (known(fetched(people, case, "sr.dcm")) for _ in range(2))
    assert first.SOPInstanceUID == again.SOPInstanceUID
    assert first.ContentDate + first.ContentTime == again.ContentDate + again.ContentTime
    assert AuditEvent.objects.latest("pk").details["what"] == "report as sr"


def test_the_marks_are_rings_on_their_images_in_the_lung_window(case, people):
    read = dcmread(BytesIO(fetched(people, case, "marks.dcm")))
    assert read.SOPClassUID.name == "Grayscale Softcopy Presentation State Storage"
    texts = [
        one.TextObjectSequence[0].UnformattedTextValue for one in read.GraphicAnnotationSequence
    ]
    assert texts == ["1: 11 mm, malignant", "2: 6 mm, benign"]
    drawn = read.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    assert drawn.GraphicData[:2] == pytest.approx([71.0, 40.75])
    assert read.SoftcopyVOILUTSequence[0].WindowWidth == 1500


def test_a_report_without_findings_is_valid_too(people, tmp_path):
    quiet = make_case(people.home, status="reported", doctor=people.owner)
    for ending in ("sr.dcm", "marks.dcm"):
        assert complaints(fetched(people, quiet, ending), tmp_path) == []


def test_without_a_readable_image_it_says_so(case, people):
    for instance in Instance.objects.all():
        storage.path_of(instance).unlink()
    answer = logged_in(people.owner).get(f"/doctor/cases/{case.public_id}/report.sr.dcm")
    assert answer.status_code == 503
    assert "PDF is complete" in answer.content.decode()
