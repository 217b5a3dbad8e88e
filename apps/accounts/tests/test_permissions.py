"""The table of roles, and what happens to somebody it does not know."""

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.test import RequestFactory

from apps.accounts.models import User
from apps.accounts.permissions import ROLE_PERMISSIONS, Permission, Role, require
from apps.accounts.views import home
from tests.people import People


def test_every_role_has_its_line_and_every_permission_a_holder():
    assert set(ROLE_PERMISSIONS) == set(Role)
    assert set().union(*ROLE_PERMISSIONS.values()) == set(Permission)


def test_only_technicians_upload_and_only_doctors_read():
    def holders(permission: Permission) -> set[str]:
        return {role for role, granted in ROLE_PERMISSIONS.items() if permission in granted}

    assert holders(Permission.UPLOAD) == holders(Permission.SEND_CASE) == {Role.LABTECH}
    assert holders(Permission.READ_CASE) == {Role.DOCTOR}
    assert holders(Permission.USE_ADMIN) == holders(Permission.MANAGE_MODELS) == {Role.ADMIN}


def test_a_switched_off_account_may_do_nothing(people: People):
    people.admin.is_active = False
    assert not any(people.admin.can(permission) for permission in Permission)


def test_a_view_is_closed_to_a_role_without_its_permission(people: People):
    @require(Permission.UPLOAD)
    def upload(request):
        return "done"

    request = RequestFactory().get("/")
    request.user = people.technician
    assert upload(request) == "done"
    request.user = people.owner
    with pytest.raises(PermissionDenied):
        upload(request)


def test_the_database_knows_no_other_roles(people: People):
    with pytest.raises(IntegrityError, match="known_role"), transaction.atomic():
        User.objects.update(role="visitor")


def test_somebody_with_an_unknown_role_gets_a_plain_refusal(people: People):
    request = RequestFactory().get("/")
    request.user = people.owner
    request.user.role = "visitor"
    with pytest.raises(PermissionDenied):
        home(request)


def test_djangos_own_permissions_follow_the_role(people: People):
    assert people.admin.has_perm("cases.view_case")
    assert people.admin.has_module_perms("cases")
    for person in (people.technician, people.owner):
        assert not person.has_perm("cases.view_case")
        assert not person.has_module_perms("cases")
        assert person.get_all_permissions() == set()
