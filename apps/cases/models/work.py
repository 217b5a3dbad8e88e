"""The work on one study: who has it, in which state, and everything that happened to it."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import Absence, ReadingGroup, Site, User
from apps.accounts.permissions import Role
from apps.audit.models import AppendOnlyModel
from apps.cases.models.imaging import Study

NOT_DONE = Q(status__in=["sent", "in_review", "returned"])


class CaseQuerySet(models.QuerySet):
    def visible_to(self, user: User) -> "CaseQuerySet":
        """The cases whose images this user may open: the one place that decides it.

        A technician: the own site's. A doctor: assigned to them, to a group of theirs, to a
        doctor whose deputy they are today, or in their site's open pool, once sent. Anything
        else, and everything for an admin: only while a break-glass grant of theirs lasts.
        """
        granted = Q(
            pk__in=AccessGrant.objects.filter(user=user, expires_at__gt=timezone.now()).values(
                "case_id"
            )
        )
        if user.role == Role.LABTECH:
            return self.filter(site_id=user.site_id)
        if user.role == Role.DOCTOR:
            groups = ReadingGroup.objects.filter(members=user).values("pk")
            away = Absence.represented_by(user, timezone.localdate())
            return self.filter(self._for_doctor(user, groups, away) | granted)
        return self.filter(granted)

    def readable_by(self, user: User) -> "CaseQuerySet":
        """A doctor's worklist: visible without break-glass."""
        # As numbers: PostgreSQL uses the indexes of an OR only where no part of it is a query.
        groups = list(ReadingGroup.objects.filter(members=user).values_list("pk", flat=True))
        away = [one["doctor_id"] for one in Absence.represented_by(user, timezone.localdate())]
        return self.filter(self._for_doctor(user, groups, away))

    def claimable_by(self, user: User) -> "CaseQuerySet":
        """What this doctor may take for reading: a second look needs other eyes than the first."""
        own = self.model.readings.rel.related_model.objects.filter(
            doctor=user, finished_at__isnull=False
        )
        again = ~Q(stage=Case.Stage.FIRST) & Q(pk__in=own.values("case"))
        return self.readable_by(user).filter(status=Case.Status.SENT).exclude(again)

    def workable_by(self, user: User) -> "CaseQuerySet":
        """The cases to which this user may add something: visible without break-glass."""
        visible = self.visible_to(user)
        if user.role == Role.LABTECH:
            return visible
        return visible.readable_by(user) if user.role == Role.DOCTOR else self.none()

    @staticmethod
    def _for_doctor(
        user: User, groups: models.QuerySet | list[int], away: models.QuerySet | list[int]
    ) -> Q:
        pool = Q(receiver__isnull=True, receiver_group__isnull=True, site_id=user.site_id)
        own = Q(receiver=user) | Q(receiver_group__in=groups) | Q(claimed_by=user) | pool
        # A deputy reads what was sent to the doctor who is away, while they are.
        own |= Q(receiver__in=away)
        return own & ~Q(status__in=[Case.Status.DRAFT, Case.Status.WITHDRAWN])


class Case(models.Model):
    """The work on one study."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        SENT = "sent", _("sent")
        IN_REVIEW = "in_review", _("in review")
        REPORTED = "reported", _("reported")
        RETURNED = "returned", _("returned")
        WITHDRAWN = "withdrawn", _("withdrawn")

    class Stage(models.TextChoices):
        FIRST = "first", "first read"
        SECOND = "second", "second read"
        ARBITRATION = "arbitration", "arbitration"

    class Priority(models.IntegerChoices):
        EMERGENCY = 0, _("emergency")
        URGENT = 1, _("urgent")
        ROUTINE = 2, _("routine")

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="cases")
    study = models.OneToOneField(Study, on_delete=models.PROTECT, related_name="case")
    status = models.CharField(
        max_length=20, choices=Status, default=Status.DRAFT, editable=False, db_index=True
    )
    stage = models.CharField(
        max_length=12, choices=Stage, default=Stage.FIRST, help_text="Which reading it waits for."
    )
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.ROUTINE)
    clinical_question = models.CharField(max_length=1000, blank=True)
    note = models.TextField(max_length=4000, blank=True)
    receiver = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="cases_received",
    )
    receiver_group = models.ForeignKey(
        ReadingGroup, null=True, blank=True, on_delete=models.PROTECT, related_name="cases"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="cases_created"
    )
    sent_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="cases_sent"
    )
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="cases_claimed"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)
    reported_at = models.DateTimeField(null=True)
    return_unread = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Returned, and its sender has not looked yet.",
    )
    revision = models.PositiveIntegerField(default=1, help_text="Grows with every change of state.")

    objects = CaseQuerySet.as_manager()

    class Meta:
        ordering = ["priority", "sent_at", "id"]
        indexes = [
            models.Index(fields=["site", "status", "priority", "sent_at"]),
            # The few cases that somebody still has to do with, by each way that they reach a
            # doctor: a worklist never looks at the many that are reported.
            *(
                models.Index(fields=fields, condition=NOT_DONE, name=f"open_cases_{fields[0]}")
                for fields in (
                    ["site", "priority", "sent_at"],
                    ["receiver"],
                    ["receiver_group"],
                    ["claimed_by"],
                )
            ),
            models.Index(
                fields=["-reported_at", "-id"],
                condition=Q(status="reported"),
                name="cases_reported_lately",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(receiver__isnull=True) | Q(receiver_group__isnull=True),
                name="one_receiver",
            )
        ]

    def __str__(self) -> str:
        return f"Case {self.pk}"

    @property
    def is_orphaned(self) -> bool:
        """Claimed by a doctor who has left: nobody could read, return or release it."""
        return (
            self.status == self.Status.IN_REVIEW
            and self.claimed_by is not None
            and not self.claimed_by.is_active
        )

    @property
    def can_be_withdrawn(self) -> bool:
        """Whether its technician may take it back."""
        waiting = {self.Status.DRAFT, self.Status.SENT, self.Status.RETURNED}
        return self.status in waiting or self.is_orphaned

    @property
    def is_read_apart(self) -> bool:
        """Between the first reading and the second: nobody may tell the second reader anything."""
        return self.stage == self.Stage.SECOND and self.status != self.Status.REPORTED

    @property
    def waits_for_other_eyes(self) -> bool:
        """Read once or twice already, and not reported yet."""
        return self.stage != self.Stage.FIRST and self.status != self.Status.REPORTED

    @property
    def is_open_for_reading(self) -> bool:
        return self.status in {self.Status.SENT, self.Status.IN_REVIEW, self.Status.REPORTED}


class CaseEvent(AppendOnlyModel):
    """One thing that happened to a case. Nobody edits it."""

    class Kind(models.TextChoices):
        CREATED = "created", _("created")
        IMAGES_ADDED = "images_added", _("images added")
        SETTLED = "settled", _("said to be complete")
        SENT = "sent", _("sent")
        CLAIMED = "claimed", _("opened for reading")
        RELEASED = "released", _("released")
        RETURNED = "returned", _("returned")
        OPINION = "opinion", _("opinion recorded before the AI was shown")
        ASSIGNED = "assigned", _("assigned")
        CRITICAL_RESULT = "critical_result", _("critical result told")
        VERDICT = "verdict", _("verdict given")
        CORRECTED = "corrected", _("verdict corrected")
        ADDENDUM = "addendum", _("addendum signed")
        READ = "read", _("read, to be read again")
        WITHDRAWN = "withdrawn", _("withdrawn")
        OVERRIDDEN = "overridden", _("chest check overridden")
        SENT_FOR_RETRAINING = "sent_for_retraining", _("sent for retraining")
        CONFIRMED = "confirmed", _("pathology or follow-up recorded")
        BREAK_GLASS = "break_glass", _("opened by break-glass")
        DRAFTED = "drafted", _("draft changed")
        MOVED = "moved", _("moved to another patient")
        MERGED = "merged", _("merged")
        SPLIT = "split", _("split")

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="events")
    at = models.DateTimeField(auto_now_add=True)
    kind = models.CharField(max_length=30, choices=Kind)
    actor = models.CharField(max_length=254, blank=True, help_text="Name at the time.")
    actor_pk = models.BigIntegerField(null=True)
    text = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} by {self.actor}"

    @property
    def text_without_answer(self) -> str:
        """The text for whoever does not read cases: what a doctor or the AI found is left out."""
        tells = {
            self.Kind.OPINION,
            self.Kind.CRITICAL_RESULT,
            self.Kind.ADDENDUM,
            self.Kind.OVERRIDDEN,
            self.Kind.VERDICT,
            self.Kind.READ,
            self.Kind.CORRECTED,
            self.Kind.SENT_FOR_RETRAINING,
            self.Kind.CONFIRMED,
        }
        return "" if self.kind in tells else self.text


class AccessGrant(AppendOnlyModel):
    """Break-glass: one user may open one case for a short time, for a stated reason."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="access_grants"
    )
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="access_grants")
    reason = models.CharField(max_length=500)
    granted_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user} on {self.case}"
