"""Who did what, to what, when, from where. Rows are never edited or deleted."""

from typing import Any, NoReturn

from django.db import models


class AppendOnlyQuerySet(models.QuerySet):
    """Refuses in Python what the database triggers refuse too, with a clearer message."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError(self.model)

    def delete(self) -> NoReturn:
        raise AppendOnlyError(self.model)


class AppendOnlyError(TypeError):
    """Somebody tried to change a record that is only ever added to."""

    def __init__(self, model: type[models.Model]) -> None:
        super().__init__(f"{model._meta.verbose_name} rows are append-only")


class AppendOnlyModel(models.Model):
    """A row that is written once (the trigger in the migration holds it too)."""

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        abstract = True
        base_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError(type(self))
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError(type(self))


class AuditEvent(AppendOnlyModel):
    """One thing that somebody did, with the actor copied as text so that it outlives the user."""

    class Action(models.TextChoices):
        LOGGED_IN = "logged_in", "logged in"
        LOGIN_FAILED = "login_failed", "failed to log in"
        LOGGED_OUT = "logged_out", "logged out"
        PASSWORD_CHANGED = "password_changed", "changed their password"
        SECOND_FACTOR = "second_factor", "changed a second factor"
        SESSIONS_ENDED = "sessions_ended", "ended sessions"
        PROFILE_CHANGED = "profile_changed", "changed their profile"
        INVITED = "invited", "invited"
        AUDIT_EXPORTED = "audit_exported", "exported the audit trail"
        UPLOADED = "uploaded", "uploaded"
        UPLOAD_REFUSED = "upload_refused", "upload refused"
        VIEWED = "viewed", "viewed"
        PRESENTATION_SAVED = "presentation_saved", "saved the view"
        MEASURED = "measured", "measured"
        SETTLED = "settled", "said that a study is complete"
        DRAFT_CHANGED = "draft_changed", "changed a draft"
        STUDY_MOVED = "study_moved", "moved a study to another patient"
        STUDIES_MERGED = "studies_merged", "merged two studies"
        STUDY_SPLIT = "study_split", "split a study"
        SENT = "sent", "sent"
        CLAIMED = "claimed", "claimed"
        RELEASED = "released", "released"
        WITHDRAWN = "withdrawn", "withdrew"
        OPINION = "opinion", "recorded an opinion before the AI"
        ASKED_PLACE = "asked_place", "asked the AI about a place"
        ASSIGNED = "assigned", "assigned to a reader"
        CRITICAL_RESULT = "critical_result", "noted who was told a critical result"
        DEPUTY = "deputy", "named a deputy"
        VERDICT = "verdict", "gave a verdict"
        ADDENDUM = "addendum", "signed an addendum"
        RETURNED = "returned", "returned"
        OVERRIDDEN = "overridden", "overrode the chest gate"
        PREDICTION_REQUESTED = "prediction_requested", "asked for a prediction"
        SENT_FOR_RETRAINING = "sent_for_retraining", "sent for retraining"
        EXAMPLE_DECIDED = "example_decided", "decided on a training example"
        CONFIRMED = "confirmed", "recorded pathology or follow-up"
        RETRAIN_STARTED = "retrain_started", "started a training run"
        RETRAIN_CANCELLED = "retrain_cancelled", "cancelled a training run"
        DATASET_EXPORTED = "dataset_exported", "exported a dataset version"
        ACTIVATED = "activated", "activated a model"
        SHADOWED = "shadowed", "changed the shadow model"
        AI_DISPLAY = "ai_display", "hid or showed the AI"
        BREAK_GLASS = "break_glass", "opened by break-glass"
        ADMIN_CHANGED = "admin_changed", "changed in admin"
        DELETED = "deleted", "deleted a study"
        BACKED_UP = "backed_up", "made a backup"
        RESTORED = "restored", "restored a backup"

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.CharField(max_length=254, blank=True, help_text="E-mail at the time.")
    actor_pk = models.BigIntegerField(null=True, db_index=True)
    actor_role = models.CharField(max_length=20, blank=True)
    action = models.CharField(max_length=40, choices=Action, db_index=True)
    target_type = models.CharField(max_length=60, blank=True)
    target_id = models.CharField(max_length=64, blank=True)
    site_pk = models.BigIntegerField(null=True)
    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=200, blank=True)
    details = models.JSONField(default=dict)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["target_type", "target_id"])]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor} {self.get_action_display()}"


class Tombstone(AppendOnlyModel):
    """What stays of a deleted study: keys, hashes, who and why, and no word about the patient.

    Who has the files or the Study Instance UID can prove by the hashes that they are meant.
    """

    class Cause(models.TextChoices):
        REQUEST = "request", "on request"
        RETENTION = "retention", "by the site's retention rule"
        RESTORE = "restore", "again, after a restore"

    at = models.DateTimeField(auto_now_add=True)
    cause = models.CharField(max_length=20, choices=Cause)
    reason = models.CharField(max_length=500)
    actor = models.CharField(max_length=254, help_text="E-mail at the time, or the rule.")
    site_pk = models.BigIntegerField()
    case_pk = models.BigIntegerField(db_index=True, help_text="Audit rows name the case by it.")
    study_sha256 = models.CharField(
        max_length=64, db_index=True, help_text="Of site and Study Instance UID."
    )
    images = models.PositiveIntegerField()
    images_sha256 = models.CharField(
        max_length=64, help_text="Over the sorted SHA-256 of the files, one a line."
    )
    rows = models.JSONField(default=dict, help_text="How many rows went, by kind.")
    training = models.JSONField(
        default=list, help_text="The runs that used its corrections, and the versions they made."
    )

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Tombstone {self.pk} of case {self.case_pk}"
