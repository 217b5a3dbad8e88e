"""A doctor answers a second opinion in place, and is told when it was decided meanwhile."""

import pytest
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.cases.tests.factories import make_case
from apps.classifier.models import Opinion, TrainingExample
from apps.classifier.tests.factories import make_training_example
from tests.people import People, logged_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_opinions_are_answered_in_place(page: Page, live_server, people: People):
    case = make_case(people.home, status="sent")
    first, second = (
        make_training_example(case, doctor=people.owner, opinion_asked_at=timezone.now())
        for _ in range(2)
    )
    session = logged_in(people.colleague).cookies[settings.SESSION_COOKIE_NAME].value
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}
    page.context.add_cookies([cookie])
    page.goto(f"{live_server.url}/doctor/opinions/")

    card = page.locator(f"#opinion-{first.pk}")
    card.get_by_label("Why").fill("Rim of calcium.")
    card.get_by_role("button", name="Malignant").click()
    expect(page.get_by_text(f"Correction {first.pk}: you said “malignant”.")).to_be_visible()
    assert Opinion.objects.get().text == "Rim of calcium."

    TrainingExample.objects.filter(pk=second.pk).update(status="rejected")
    page.locator(f"#opinion-{second.pk}").get_by_role("button", name="Benign").click()
    expect(page.locator(".toasts")).to_contain_text("decided in the meantime")
    assert Opinion.objects.count() == 1
