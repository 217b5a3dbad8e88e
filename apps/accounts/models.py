"""Who may log in, where they work, and in which groups they read."""

from datetime import date
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractUser, UserManager
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _
from rest_framework.authtoken.models import TokenProxy

from apps.accounts.permissions import ROLE_PERMISSIONS, Permission, Role


class Site(models.Model):
    """A hospital or department. Users and cases belong to exactly one."""

    class ReadingMode(models.TextChoices):
        CONCURRENT = "concurrent", "with the AI's answer beside the images"
        DOCTOR_FIRST = "doctor_first", "doctor first, the AI after their opinion"

    name = models.CharField(max_length=120, unique=True)
    reads_twice = models.BooleanField(
        "every case is read twice",
        default=False,
        help_text="A second doctor reads each case without seeing the first reading; where the two "
        "differ, a third decides. Switch it on only with three doctors or more.",
    )
    sensitivity_wanted = models.FloatField(
        null=True,
        blank=True,
        editable=False,
        help_text="Share of malignant nodules that the suspicion score shall call malignant here. "
        "Empty: as each model version was shipped.",
    )

    reading_mode = models.CharField(
        "when doctors see the AI",
        max_length=12,
        choices=ReadingMode,
        default=ReadingMode.CONCURRENT,
        help_text="Doctor first: whatever the AI said of a case is hidden from a doctor until "
        "their own opinion of it is recorded.",
    )

    shows_statistics = models.BooleanField(
        "doctors see each other's statistics",
        default=False,
        help_text="Otherwise each doctor sees only their own.",
    )

    retention_days = models.PositiveIntegerField(
        "days until a study is deleted",
        null=True,
        blank=True,
        validators=[MinValueValidator(30)],
        help_text="Counted from the last thing that happened to its case. Empty: never. What waits "
        "for a doctor is kept. A tombstone remains.",
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class UserByEmailManager(UserManager):
    """Creates users whose e-mail address is their name."""

    def _create_user(self, email: str, password: str | None, **extra: Any) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_user(self, email: str, password: str | None = None, **extra: Any) -> "User":
        return self._create_user(email, password, **extra)

    def create_superuser(self, email: str, password: str | None = None, **extra: Any) -> "User":
        extra.setdefault("role", Role.ADMIN)
        extra.setdefault("site", Site.objects.get_or_create(name="Main site")[0])
        return self._create_user(email, password, **extra)


class Theme(models.TextChoices):
    """How desk pages look; reading pages are always dark."""

    AUTO = "auto", _("as the computer")
    LIGHT = "light", _("light")
    DARK = "dark", _("dark")


class Keys(models.TextChoices):
    """How the shortcuts of one letter are pressed (WCAG 2.1.4 Character Key Shortcuts)."""

    PLAIN = "", _("the key alone")
    ALT = "alt", _("Alt and the key")
    OFF = "off", _("no shortcuts")


class User(AbstractUser):
    """A person with one role at one site."""

    username = None
    groups = None
    user_permissions = None
    is_superuser = None
    email = models.EmailField(unique=True, error_messages={"unique": "This e-mail is in use."})
    role = models.CharField(max_length=20, choices=[(r.value, r.label) for r in Role])
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="users")
    language = models.CharField(
        _("language"),
        max_length=10,
        choices=settings.LANGUAGES,
        blank=True,
        default="",
        db_default="",
    )
    time_zone = models.CharField(
        _("time zone"), max_length=64, blank=True, default="", db_default=""
    )
    theme = models.CharField(max_length=5, choices=Theme, default=Theme.AUTO, db_default="auto")
    mail_news = models.BooleanField(_("news by mail"), default=False, db_default=False)
    keys = models.CharField(
        _("keyboard"), max_length=4, choices=Keys, default=Keys.PLAIN, db_default="", blank=True
    )

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: list[str] = []
    objects = UserByEmailManager()

    class Meta:
        ordering = ["last_name", "first_name", "email"]
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                name="one_account_per_address",
                violation_error_message="This e-mail is in use.",
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="known_role"),
        ]

    def __str__(self) -> str:
        return self.get_full_name() or self.email

    @property
    def is_staff(self) -> bool:
        """Django admin is for admins, and only for them."""
        return self.can(Permission.USE_ADMIN)

    @is_staff.setter
    def is_staff(self, value: bool) -> None:
        """The role decides; a value from outside changes nothing."""

    def can(self, permission: Permission) -> bool:
        """Whether this person's role grants `permission`."""
        return self.is_active and permission in ROLE_PERMISSIONS.get(self.role, frozenset())


class Notification(models.Model):
    """Something that one person should know; where to go, and never who the patient is."""

    class Kind(models.TextChoices):
        RETURNED = "returned", _("A case came back to you")
        URGENT = "urgent", _("An urgent case waits to be read")
        FAILED = "failed", _("A prediction failed")
        LIVE = "live", _("Your correction went live in a new model")

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="notifications")
    kind = models.CharField(max_length=20, choices=Kind)
    key = models.CharField(max_length=80, help_text="What it tells of; told once to each person.")
    path = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    read_at = models.DateTimeField(null=True)
    mailed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["user", "read_at"])]
        constraints = [
            models.UniqueConstraint(fields=["user", "kind", "key"], name="news_is_told_once")
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ({self.user})"


class ReadingGroup(models.Model):
    """Doctors of one site who share a list of cases."""

    name = models.CharField(max_length=120)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="reading_groups")
    members = models.ManyToManyField(User, related_name="reading_groups", blank=True)
    leads = models.ManyToManyField(
        User,
        related_name="led_groups",
        blank=True,
        help_text="Members who may give waiting cases to a doctor of the group.",
    )

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["site", "name"], name="group_once_per_site")]

    def __str__(self) -> str:
        return self.name


class Absence(models.Model):
    """Days on which a doctor is away and another one reads what was sent to them."""

    doctor = models.ForeignKey(User, on_delete=models.CASCADE, related_name="absences")
    deputy = models.ForeignKey(User, on_delete=models.CASCADE, related_name="deputising")
    first_day = models.DateField()
    last_day = models.DateField()

    class Meta:
        ordering = ["first_day", "id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(last_day__gte=models.F("first_day")), name="absence_has_an_end"
            )
        ]

    def __str__(self) -> str:
        return f"{self.doctor} away, {self.deputy} reads"

    @classmethod
    def represented_by(cls, user: User, day: date) -> models.QuerySet:
        """The keys of the doctors of the user's site for whom they read on this day."""
        return cls.objects.filter(
            deputy=user, doctor__site_id=user.site_id, first_day__lte=day, last_day__gte=day
        ).values("doctor_id")


class ApiToken(TokenProxy):
    """A token under the name of its user: whatever Django admin shows or logs holds no key."""

    class Meta:
        proxy = True
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"token of {self.user}"
