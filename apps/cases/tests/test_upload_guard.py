"""Uploads that are refused before a byte of them is read."""

from io import BytesIO

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, RequestFactory
from rest_framework.authtoken.models import Token

from apps.audit.models import AuditEvent
from apps.cases import storage
from apps.cases.middleware import UploadGuard
from tests.people import logged_in

pytestmark = pytest.mark.django_db
UPLOADS = "/api/v1/uploads/"
TWO_GIGABYTES = 2 * 1024**3


class Unreadable(BytesIO):
    """A body that must not be touched."""

    def read(self, *arguments):
        raise AssertionError("the body was read")


def claim(client: Client, size: int, path: str = UPLOADS, **headers):
    """Post with a Content-Length that promises `size` bytes."""
    return client.generic(
        "POST",
        path,
        content_type="multipart/form-data; boundary=x",
        CONTENT_LENGTH=str(size),
        **{"wsgi.input": Unreadable(), **headers},
    )


def test_a_2_gb_claim_is_refused_unread(people):
    answer = claim(logged_in(people.technician), TWO_GIGABYTES)
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"
    assert "512 MB" in answer.json()["message"]
    noted = AuditEvent.objects.get(action=AuditEvent.Action.UPLOAD_REFUSED)
    assert noted.details == {"code": "too_large", "size": TWO_GIGABYTES}
    assert noted.actor == people.technician.email


def test_a_body_larger_than_the_disk_can_hold_is_refused_unread(people, settings):
    settings.MIN_FREE_DISK_MB = 10**9
    answer = claim(logged_in(people.technician), 5_000_000)
    assert answer.status_code == 507
    assert answer.json()["code"] == "disk_full"


def test_a_large_body_of_a_stranger_is_refused_unread():
    answer = claim(Client(), 5_000_000)
    assert answer.status_code == 401
    assert not AuditEvent.objects.exists()


def test_a_large_body_with_a_wrong_token_is_refused_unread():
    answer = claim(Client(), 5_000_000, HTTP_AUTHORIZATION="Token made-up")
    assert answer.status_code == 401


def test_a_large_body_of_somebody_who_may_not_upload_is_refused_unread(people):
    for user in (people.owner, people.admin):
        assert claim(logged_in(user), 5_000_000).status_code == 403


def test_a_token_is_enough_to_be_let_in(people, rf: RequestFactory):
    token = Token.objects.create(user=people.technician)
    passed = UploadGuard(lambda request: "passed on")
    request = rf.post(
        UPLOADS,
        {"file": SimpleUploadedFile("a.dcm", bytes(2_000_000))},
        HTTP_AUTHORIZATION=f"Token {token.key}",
    )
    request.user = AnonymousUser()
    assert passed(request) == "passed on"


def test_a_browser_s_form_gets_a_page_instead_of_json(people):
    answer = claim(
        logged_in(people.technician), TWO_GIGABYTES, "/labtech/search/", HTTP_ACCEPT="text/html"
    )
    assert answer.status_code == 413
    assert "at most 512 MB" in answer.content.decode()


def test_small_requests_pass_while_the_disk_is_full(people, settings):
    settings.MIN_FREE_DISK_MB = 10**9
    assert logged_in(people.technician).get("/labtech/").status_code == 200


def test_uploaded_bytes_go_straight_to_where_they_are_checked(rf: RequestFactory, settings):
    request = rf.post(UPLOADS, {"file": SimpleUploadedFile("JONES^Ann.dcm", b"x" * 100)})
    uploaded = request.FILES["file"]
    path = uploaded.temporary_file_path()
    assert path.startswith(str(storage.incoming_dir()))
    assert "JONES" not in path
    uploaded.close()
