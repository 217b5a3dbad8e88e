"""The sensitivity that a site wants: chosen among measured points, audited, used at once."""

import pytest

from apps.audit.models import AuditEvent
from apps.cases.tests.factories import make_case
from apps.classifier.calls import operating_point, operating_words
from apps.classifier.tests.factories import make_model_version, make_prediction
from apps.doctor.answers import disagrees
from tests.people import logged_in

POINTS = [
    {"wanted": 0.9, "threshold": 0.4, "sensitivity": 0.9, "specificity": 0.84},
    {"wanted": 0.98, "threshold": 0.1, "sensitivity": 0.98, "specificity": 0.57},
]
META = {"operating_point": POINTS[0], "operating_points": POINTS}


@pytest.fixture
def admin(people):
    return logged_in(people.admin)


@pytest.fixture
def version(people):
    return make_model_version("malignancy", status="active", meta=META, sha256="f" * 64)


def choose(admin, site, wanted):
    given = {"site": site.pk, "wanted": wanted}
    return admin.post("/operations/sensitivity/choose/", given, follow=True)


def predicted(people, version):
    finding = make_prediction(
        make_case(people.home), findings=[{"malignancy_probability": 0.2}]
    ).findings.get()
    finding.prediction.model_versions.set([version])
    return finding


def test_the_page_shows_the_measured_consequence_of_each_choice(admin, people, version):
    page = admin.get("/operations/sensitivity/").content.decode()
    assert people.home.name in page
    assert "0.40" in page
    assert ">43<" in page  # of 100 benign nodules at a sensitivity of 98 %


def test_a_site_reads_at_the_point_it_chose_and_others_do_not(admin, people, version):
    finding = predicted(people, version)
    assert operating_point(finding.prediction) == 0.4
    assert not disagrees(finding, "benign")

    choose(admin, people.home, "0.98")
    finding = type(finding).objects.get(pk=finding.pk)
    assert operating_point(finding.prediction) == 0.1
    assert operating_words(finding.prediction) == "0.10 (sensitivity 0.98, specificity 0.57)"
    assert disagrees(finding, "benign")
    people.elsewhere.refresh_from_db()
    assert people.elsewhere.sensitivity_wanted is None


def test_a_version_without_that_point_keeps_its_own(admin, people, version):
    finding = predicted(people, version)
    people.home.sensitivity_wanted = 0.7
    people.home.save()
    assert operating_point(type(finding).objects.get(pk=finding.pk).prediction) == 0.4


def test_each_change_is_audited_once(admin, people, version):
    choose(admin, people.home, "0.98")
    choose(admin, people.home, "0.98")
    choose(admin, people.home, "")
    rows = AuditEvent.objects.filter(action="admin_changed").order_by("pk")
    assert [row.details["sensitivity_wanted"] for row in rows] == [[None, 0.98], [0.98, None]]


@pytest.mark.parametrize("wanted", ["0.5", "nan", "all of them"])
def test_only_measured_points_can_be_chosen(admin, people, version, wanted):
    page = choose(admin, people.home, wanted).content.decode()
    assert "Nothing was changed" in page
    people.home.refresh_from_db()
    assert people.home.sensitivity_wanted is None


def test_without_a_measured_version_the_page_says_so(admin, people):
    assert "Nothing to choose from" in admin.get("/operations/sensitivity/").content.decode()
