"""News reach whom they concern, once, on the page and by mail, and never name the patient."""

from datetime import timedelta

import pytest
from django.core import mail
from django.test import override_settings
from django.urls import reverse
from django.utils import timezone

from apps.accounts import notifications
from apps.accounts.models import Notification, User
from apps.accounts.tests.factories import make_group, make_user, request_of
from apps.cases.services import return_case, send_case
from apps.cases.tests.factories import make_case
from apps.classifier.activation import _tell_doctors
from apps.classifier.models import Prediction
from apps.classifier.sweep import tell_of_failures
from apps.classifier.tests.factories import (
    make_model_version,
    make_prediction,
    make_training_example,
    make_training_run,
)
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db
Kind = Notification.Kind


def told(kind: str) -> set[User]:
    return {one.user for one in Notification.objects.filter(kind=kind)}


def test_whoever_sent_a_case_hears_that_it_came_back(people: People):
    case = make_case(people.home, status="returned", technician=people.technician)
    assert told(Kind.RETURNED) == {people.technician}
    client = logged_in(people.technician)
    assert ">1<" in client.get(reverse("news_count")).content.decode()
    news = Notification.objects.get()
    there = client.post(reverse("open_news", args=[news.pk]))
    assert there.url == reverse("labtech:case", args=[case.public_id])
    assert ">1<" not in client.get(reverse("news_count")).content.decode()


def test_a_case_that_comes_back_twice_is_told_twice(people: People):
    case = make_case(people.home, status="returned", technician=people.technician)
    send_case(case, request=request_of(people.technician), revision=case.revision)
    return_case(case, request=request_of(people.owner), revision=case.revision, reason="again")
    assert Notification.objects.filter(kind=Kind.RETURNED).count() == 2


def test_urgent_cases_reach_those_who_may_read_them_and_nobody_else(people: People):
    left = make_user(site=people.home, is_active=False)
    make_case(people.home, status="sent")
    assert not told(Kind.URGENT)
    make_case(people.home, status="sent", priority=1, receiver=people.owner)
    assert told(Kind.URGENT) == {people.owner}
    group = make_group(people.teammate, left)
    make_case(people.home, status="sent", priority=0, receiver_group=group)
    assert told(Kind.URGENT) == {people.owner, people.teammate}
    make_case(people.home, status="sent", priority=0)
    assert told(Kind.URGENT) == {people.owner, people.teammate, people.colleague}


def test_admins_hear_once_of_a_failed_prediction(people: People):
    case = make_case(people.home, status="sent")
    make_prediction(case)
    Prediction.objects.update(status="failed", finished_at=timezone.now())
    tell_of_failures()
    tell_of_failures()
    assert list(Notification.objects.values_list("user", "kind")) == [(people.admin.pk, "failed")]


def test_a_failure_of_long_ago_is_no_news(people: People):
    make_prediction(make_case(people.home, status="sent"))
    Prediction.objects.update(status="failed", finished_at=timezone.now() - timedelta(hours=2))
    tell_of_failures()
    assert not Notification.objects.exists()


def test_whoever_corrected_it_hears_that_the_correction_is_live(people: People):
    example = make_training_example(make_case(people.home), doctor=people.owner)
    make_training_example(make_case(people.home), doctor=people.colleague)
    version = make_model_version("malignancy", status="candidate")
    run = make_training_run(candidate=version)
    run.examples.add(example)
    _tell_doctors(version)
    _tell_doctors(version)
    assert told(Kind.LIVE) == {people.owner}


def wants_mail(user: User) -> Notification:
    user.mail_news = True
    user.save()
    notifications.notify([user], Kind.RETURNED, key="case 1", path="/labtech/cases/x/")
    return Notification.objects.get(user=user)


def test_mail_goes_once_to_those_who_want_it_and_names_nobody(people: People):
    wants_mail(people.technician)
    notifications.notify([people.owner], Kind.URGENT, key="case 2", path="/doctor/")
    assert [notifications.send_mails(), notifications.send_mails()] == [1, 0]
    (letter,) = mail.outbox
    assert letter.to == [people.technician.email]
    assert "A case came back to you" in letter.body
    assert "/labtech/cases/x/" in letter.body


def test_a_mail_that_cannot_leave_is_tried_again(people: People, monkeypatch):
    wants_mail(people.technician)

    def no_server(*args: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(notifications, "send_mail", no_server)
    assert notifications.send_mails() == 0
    monkeypatch.undo()
    assert notifications.send_mails() == 1


def test_what_was_read_or_is_old_needs_no_mail(people: People):
    one = wants_mail(people.technician)
    Notification.objects.update(at=timezone.now() - notifications.TOO_LATE)
    assert notifications.send_mails() == 0
    Notification.objects.update(at=timezone.now(), read_at=timezone.now())
    assert notifications.send_mails() == 0
    Notification.objects.update(at=timezone.now() - notifications.KEPT)
    notifications.forget_old()
    assert not Notification.objects.filter(pk=one.pk).exists()


@override_settings(EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend")
def test_without_a_mail_server_news_stay_on_the_page(people: People):
    wants_mail(people.technician)
    assert notifications.send_mails() == 0
    assert Notification.objects.get().mailed_at is None


def test_ones_news_are_ones_own(people: People):
    wants_mail(people.technician)
    news = Notification.objects.get()
    other = logged_in(people.owner)
    assert other.post(reverse("open_news", args=[news.pk])).status_code == 404
    other.post(reverse("news"))
    news.refresh_from_db()
    assert news.read_at is None
    mine = logged_in(people.technician)
    assert "A case came back to you" in mine.get(reverse("news")).content.decode()
    mine.post(reverse("news"))
    news.refresh_from_db()
    assert news.read_at is not None
