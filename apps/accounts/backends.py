"""Logging in by e-mail, and Django admin's permissions from the role."""

from allauth.account.auth_backends import AuthenticationBackend

from apps.accounts.models import User
from apps.accounts.permissions import Permission


class RoleBackend(AuthenticationBackend):
    """Admins may see every model in Django admin; each ModelAdmin says what it lets them change.

    It is the only backend, so Django's own tables of permissions, which our users do not have,
    are never asked.
    """

    def has_perm(self, user_obj: User, perm: str, obj: object = None) -> bool:
        return user_obj.can(Permission.USE_ADMIN)

    def has_module_perms(self, user_obj: User, app_label: str) -> bool:
        return user_obj.can(Permission.USE_ADMIN)

    def get_all_permissions(self, user_obj: User, obj: object = None) -> set[str]:
        return set()

    get_user_permissions = get_group_permissions = get_all_permissions
