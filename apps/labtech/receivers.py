"""To whom a technician may send a case, besides the site's open pool."""

from django.db.models import QuerySet

from apps.accounts.models import ReadingGroup, Site, User
from apps.accounts.permissions import Role


def doctors_of(site: Site) -> QuerySet[User]:
    """The site's doctors who can log in."""
    return User.objects.filter(site=site, role=Role.DOCTOR, is_active=True)


def groups_of(site: Site) -> QuerySet[ReadingGroup]:
    """The site's reading groups with at least one such doctor: others would never read it."""
    return ReadingGroup.objects.filter(site=site, members__in=doctors_of(site)).distinct()
