"""A Patient ID typed wrongly must be seen before somebody signs under another person's name."""

import pytest

from apps.cases.tests.factories import make_case
from apps.labtech.checks import checks_of
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db
SAME = {"patient_id": "P-77", "status": "sent"}


def test_another_name_under_a_known_patient_id_is_shown_to_technician_and_doctor(
    people: People,
) -> None:
    make_case(site=people.home, patient_name="DOE^JOHN", accession_number="1", **SAME)
    second = make_case(site=people.home, patient_name="SMITH^JANE", accession_number="2", **SAME)
    words = [check.text for check in checks_of(second, list(second.study.series.all()))]
    assert "The files say SMITH, JANE" in words
    page = logged_in(people.owner).get(f"/doctor/cases/{second.public_id}/").content.decode()
    assert "SMITH, JANE" in page
    assert "DOE, JOHN" in page


def test_the_same_name_in_other_letters_warns_nobody(people: People) -> None:
    make_case(site=people.home, patient_name="DOE^JOHN", accession_number="1", **SAME)
    second = make_case(site=people.home, patient_name="Doe^John", accession_number="2", **SAME)
    assert second.study.other_name == ""
