"""What is watched while the models answer: limits, alerts, and whether doctors see the AI."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

_SHARE = [MinValueValidator(0), MaxValueValidator(1)]


def _limit(help_text: str, default: float | None, *, is_share: bool = True) -> models.FloatField:
    return models.FloatField(
        null=True,
        blank=True,
        default=default,
        validators=_SHARE if is_share else [MinValueValidator(0)],
        help_text=f"{help_text} Empty: never an alert.",
    )


class Figure(models.TextChoices):
    """Each figure that is watched; the limit's field is `limit_` and its name."""

    FAILED = "failed", "predictions that failed"
    REFUSED = "refused", "predictions that were refused"
    SECONDS = "seconds", "seconds until an answer"
    AGREEMENT = "agreement", "agreement of verdict and AI"
    SENSITIVITY = "sensitivity", "cancers that the AI called"
    FALSE_POSITIVE = "false_positive", "cases without cancer that the AI called"
    SCORE = "score", "shift of the suspicion scores"
    HU = "hu", "shift of the Hounsfield values"
    PIXEL = "pixel_mm", "shift of the pixel size"
    SLICE = "slice_mm", "shift of the slice distance"
    MANUFACTURER = "manufacturer", "shift of the manufacturers"


class WatchSettings(models.Model):
    """From where on a figure raises an alert, and which alerts switch the AI display off."""

    window_days = models.PositiveSmallIntegerField(
        default=30,
        validators=[MinValueValidator(1), MaxValueValidator(365)],
        help_text="Figures are measured over so many days back from now.",
    )
    least_cases = models.PositiveIntegerField(
        default=30,
        validators=[MinValueValidator(1)],
        help_text="A figure of fewer predictions or cases says nothing and raises no alert.",
    )
    limit_failed = _limit("The largest share of predictions that may fail.", 0.05)
    limit_refused = _limit("The largest share that the checks before the networks refuse.", 0.5)
    limit_seconds = _limit(
        "95 of 100 predictions must answer within so many seconds of being asked.",
        300,
        is_share=False,
    )
    limit_agreement = _limit(
        "The least share of firm verdicts (cancer yes or no) that the AI called alike.", 0.6
    )
    limit_sensitivity = _limit("The least share of cases with cancer that the AI called.", 0.8)
    limit_false_positive = _limit(
        "The largest share of cases without cancer that the AI called.", 0.6
    )
    limit_score = _limit(
        "Largest PSI of the suspicion scores against those of the training's nodules. The finder "
        "marks other places than a reader does, so this differs by nature: watch it before you "
        "set a limit.",
        None,
        is_share=False,
    )
    limit_input = _limit(
        "Largest PSI of Hounsfield values, pixel size, slice distance and manufacturers against "
        "the training's. Usual: 0.1 is a shift, 0.25 a large one. Less than chance explains never "
        "counts.",
        0.25,
        is_share=False,
    )
    stop_on = models.JSONField(
        default=list,
        blank=True,
        help_text="A new alert of these switches the AI display off for all doctors, until an "
        "admin switches it on again.",
    )

    class Meta:
        verbose_name_plural = "watch settings"
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="one_row_of_watch_settings")]

    def __str__(self) -> str:
        return "Watch settings"

    @classmethod
    def current(cls) -> "WatchSettings":
        """The row, or the defaults while nobody has changed them."""
        return cls.objects.filter(pk=1).first() or cls(pk=1)

    def limit_of(self, figure: str) -> float | None:
        """The figure's limit; the four kinds of input share one."""
        drift = {Figure.HU, Figure.PIXEL, Figure.SLICE, Figure.MANUFACTURER}
        return self.limit_input if figure in drift else getattr(self, f"limit_{figure}")


class Alert(models.Model):
    """A figure went beyond its limit; open until it is back."""

    figure = models.CharField(max_length=20, choices=Figure)
    words = models.CharField(max_length=300)
    value = models.FloatField()
    limit = models.FloatField()
    n = models.PositiveIntegerField(help_text="Predictions or cases it was measured on.")
    stopped_display = models.BooleanField(default=False)
    raised_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["figure"], condition=Q(ended_at=None), name="one_open_alert_per_figure"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_figure_display()}, {self.raised_at:%Y-%m-%d %H:%M}"


class WatchState(models.Model):
    """What was measured last, and whether doctors see the AI. One row."""

    measured_at = models.DateTimeField(null=True)
    figures = models.JSONField(default=dict, help_text="Name: [value, on how many].")
    off_since = models.DateTimeField(null=True, help_text="Doctors see no AI since then.")
    off_reason = models.CharField(max_length=500, blank=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="one_row_of_watch_state")]

    def __str__(self) -> str:
        return "AI display " + ("off" if self.off_since else "on")

    @classmethod
    def current(cls) -> "WatchState":
        """The row as it is; on and unmeasured while there is none."""
        return cls.objects.filter(pk=1).first() or cls(pk=1)
