"""Who may use which address: the whole table. A new address fails tests/test_access.py until
it has a row here.

Answers: YES, the request was let in and judged by its content; NO, 403; HIDDEN, 404, as if it
did not exist.
"""

from dataclasses import dataclass

YES, NO, HIDDEN = "yes", "no", "hidden"

# Whoever looks, and at which case. The names are those of tests/people.py.
COLUMNS = {
    "technician of the site": ("technician", "pool"),
    "technician of another site": ("foreign_technician", "pool"),
    "doctor it was sent to": ("owner", "sent_to_owner"),
    "doctor, sent to another one": ("teammate", "sent_to_owner"),
    "doctor of the group": ("teammate", "sent_to_group"),
    "doctor outside the group": ("colleague", "sent_to_group"),
    "doctor, open pool": ("colleague", "pool"),
    "doctor, another site's pool": ("stranger", "pool"),
    "doctor, not sent yet": ("owner", "draft"),
    "doctor, withdrawn": ("owner", "withdrawn"),
    "doctor by break-glass": ("stranger", "opened_by_stranger"),
    "doctor after break-glass": ("stranger", "once_opened_by_stranger"),
    "admin": ("admin", "pool"),
    "admin by break-glass": ("admin", "opened_by_admin"),
}


@dataclass(frozen=True)
class ByCase:
    """The answers for an address of one case, by column."""

    technician: str
    doctor: str
    doctor_elsewhere: str
    doctor_by_break_glass: str
    admin: str
    admin_by_break_glass: str

    def expected(self) -> dict[str, str]:
        technician_elsewhere = HIDDEN if self.technician == YES else self.technician
        mine = ["doctor it was sent to", "doctor of the group", "doctor, open pool"]
        not_mine = [
            "doctor, sent to another one",
            "doctor outside the group",
            "doctor, another site's pool",
            "doctor, not sent yet",
            "doctor, withdrawn",
            "doctor after break-glass",
        ]
        return {
            "technician of the site": self.technician,
            "technician of another site": technician_elsewhere,
            **dict.fromkeys(mine, self.doctor),
            **dict.fromkeys(not_mine, self.doctor_elsewhere),
            "doctor by break-glass": self.doctor_by_break_glass,
            "admin": self.admin,
            "admin by break-glass": self.admin_by_break_glass,
        }


@dataclass(frozen=True)
class ByRole:
    """The answers for an address that belongs to no case."""

    labtech: str
    doctor: str
    admin: str


# What a case's own page or image answers.
LOOK = ByCase(YES, YES, HIDDEN, YES, HIDDEN, YES)
LOOK_AS_READER = ByCase(NO, YES, HIDDEN, YES, HIDDEN, YES)
READ = ByCase(NO, YES, HIDDEN, NO, NO, NO)
PREPARE = ByCase(YES, NO, NO, NO, NO, NO)
KEEP_VIEW = ByCase(YES, YES, HIDDEN, YES, NO, NO)
RETRY = ByCase(YES, YES, HIDDEN, NO, HIDDEN, YES)
OVERRIDE = ByCase(YES, YES, HIDDEN, NO, NO, NO)
MEASURE = ByCase(YES, YES, HIDDEN, NO, NO, NO)
# The doctor is its author; for everybody else it does not exist.
OWN_MEASUREMENT = ByCase(HIDDEN, YES, HIDDEN, HIDDEN, NO, NO)

EVERYBODY = ByRole(YES, YES, YES)
EVERYBODY_BUT_NO_SUCH_ROW = ByRole(HIDDEN, HIDDEN, HIDDEN)
TECHNICIANS = ByRole(YES, NO, NO)
DOCTORS = ByRole(NO, YES, NO)
ADMINS = ByRole(NO, NO, YES)
DOCTORS_BUT_NO_SUCH_ROW = ByRole(NO, HIDDEN, NO)
ADMINS_BUT_NO_SUCH_ROW = ByRole(NO, NO, HIDDEN)
READERS_AND_ADMINS = ByRole(NO, YES, YES)

CASE, SERIES, INSTANCE, PREDICTION = "case", "series", "instance", "prediction"
MEASUREMENT, FINDING = "measurement", "finding"
API = "api/v1/"

# (method, address, what the id names or "", answers)
TABLE = [
    ("GET", "", "", EVERYBODY),
    # --- accounts, once logged in
    ("GET", "accounts/login/", "", EVERYBODY),
    ("GET", "accounts/logout/", "", EVERYBODY),
    ("GET", "accounts/reauthenticate/", "", EVERYBODY),
    ("GET", "accounts/password/change/", "", EVERYBODY),
    ("GET", "accounts/password/set/", "", EVERYBODY),
    ("GET", "accounts/profile/", "", EVERYBODY),
    ("POST", "accounts/profile/theme/", "", EVERYBODY),
    ("GET", "accounts/news/", "", EVERYBODY),
    ("GET", "accounts/news/count/", "", EVERYBODY),
    ("POST", "accounts/news/<int:number>/", "", EVERYBODY_BUT_NO_SUCH_ROW),
    ("GET", "accounts/sessions/", "", EVERYBODY),
    ("POST", "accounts/sessions/<int:number>/end/", "", EVERYBODY),
    # Keys and codes are one's own; apps/accounts/tests/test_second_factor.py tries them.
    ("GET", "accounts/second-factor/", "", EVERYBODY),
    ("GET", "accounts/second-factor/authenticate/", "", EVERYBODY),
    ("GET", "accounts/second-factor/reauthenticate/", "", EVERYBODY),
    ("GET", "accounts/second-factor/totp/activate/", "", EVERYBODY),
    ("GET", "accounts/second-factor/totp/deactivate/", "", EVERYBODY_BUT_NO_SUCH_ROW),
    ("GET", "accounts/second-factor/recovery-codes/", "", EVERYBODY_BUT_NO_SUCH_ROW),
    ("GET", "accounts/second-factor/recovery-codes/generate/", "", EVERYBODY),
    ("GET", "accounts/second-factor/recovery-codes/download/", "", EVERYBODY_BUT_NO_SUCH_ROW),
    ("GET", "accounts/second-factor/webauthn/", "", EVERYBODY),
    ("GET", "accounts/second-factor/webauthn/add/", "", EVERYBODY),
    ("GET", "accounts/second-factor/webauthn/login/", "", EVERYBODY),
    ("GET", "accounts/second-factor/webauthn/reauthenticate/", "", EVERYBODY),
    ("GET", "accounts/second-factor/webauthn/keys/<int:pk>/edit/", "", EVERYBODY),
    ("GET", "accounts/second-factor/webauthn/keys/<int:pk>/remove/", "", EVERYBODY),
    # --- technician
    ("GET", "labtech/", "", TECHNICIANS),
    ("POST", "labtech/search/", "", TECHNICIANS),
    ("POST", "labtech/show/", "", TECHNICIANS),
    ("GET", "labtech/cases/<uuid:public_id>/", CASE, PREPARE),
    ("GET", "labtech/cases/<uuid:public_id>/state/", CASE, PREPARE),
    ("POST", "labtech/cases/<uuid:public_id>/send/", CASE, PREPARE),
    ("POST", "labtech/cases/<uuid:public_id>/withdraw/", CASE, PREPARE),
    ("POST", "labtech/cases/<uuid:public_id>/keep/", CASE, PREPARE),
    ("POST", "labtech/cases/<uuid:public_id>/ask-ai/", CASE, PREPARE),
    ("GET", "labtech/cases/<uuid:public_id>/filing/", CASE, PREPARE),
    ("POST", "labtech/cases/<uuid:public_id>/move/", CASE, PREPARE),
    ("POST", "labtech/cases/<uuid:public_id>/merge/", CASE, PREPARE),
    ("POST", "labtech/cases/<uuid:public_id>/split/", CASE, PREPARE),
    ("GET", "labtech/instances/<uuid:public_id>/tags/", INSTANCE, PREPARE),
    # --- doctor
    ("GET", "doctor/", "", DOCTORS),
    ("GET", "doctor/rows/", "", DOCTORS),
    ("POST", "doctor/search/", "", DOCTORS),
    ("POST", "doctor/next/", "", DOCTORS),
    # Which cases, and to whom, is tested in apps/doctor/tests/test_assigning.py.
    ("POST", "doctor/assign/", "", DOCTORS),
    ("GET", "doctor/absences/", "", DOCTORS),
    ("POST", "doctor/absences/", "", DOCTORS),
    ("POST", "doctor/absences/<int:pk>/cancel/", "", DOCTORS_BUT_NO_SUCH_ROW),
    ("GET", "doctor/statistics/", "", DOCTORS),
    ("GET", "doctor/cases/<uuid:public_id>/critical/", CASE, READ),
    ("POST", "doctor/cases/<uuid:public_id>/critical/", CASE, READ),
    ("GET", "doctor/cases/<uuid:public_id>/confirm/", CASE, READ),
    ("POST", "doctor/cases/<uuid:public_id>/confirm/", CASE, READ),
    ("GET", "doctor/opinions/", "", DOCTORS),
    # Whose correction it is, and at which site, is tested in apps/doctor/tests/test_opinions.py.
    ("POST", "doctor/opinions/<uuid:public_id>/answer/", "", DOCTORS_BUT_NO_SUCH_ROW),
    ("GET", "doctor/opinions/<uuid:public_id>/crop.png", "", DOCTORS_BUT_NO_SUCH_ROW),
    ("GET", "doctor/corrections/", "", DOCTORS),
    ("GET", "doctor/break-glass/", "", READERS_AND_ADMINS),
    ("POST", "doctor/break-glass/", "", READERS_AND_ADMINS),
    ("GET", "doctor/cases/<uuid:public_id>/", CASE, LOOK_AS_READER),
    ("GET", "doctor/cases/<uuid:public_id>/state/", CASE, LOOK_AS_READER),
    ("GET", "doctor/cases/<uuid:public_id>/history/", CASE, LOOK_AS_READER),
    ("GET", "doctor/cases/<uuid:public_id>/compare/", CASE, LOOK_AS_READER),
    ("GET", "doctor/cases/<uuid:public_id>/report.pdf", CASE, LOOK_AS_READER),
    ("GET", "doctor/cases/<uuid:public_id>/report.json", CASE, LOOK_AS_READER),
    ("GET", "doctor/cases/<uuid:public_id>/report.sr.dcm", CASE, LOOK_AS_READER),
    ("GET", "doctor/cases/<uuid:public_id>/report.marks.dcm", CASE, LOOK_AS_READER),
    # --- operations
    ("GET", "operations/", "", ADMINS),
    ("GET", "operations/state/", "", ADMINS),
    ("GET", "operations/audit/", "", ADMINS),
    ("GET", "operations/monitoring/", "", ADMINS),
    ("POST", "operations/monitoring/display/", "", ADMINS),
    ("POST", "operations/audit/export/", "", ADMINS),
    ("GET", "operations/people/", "", ADMINS),
    ("POST", "operations/people/", "", ADMINS),
    ("GET", "operations/people/invite/", "", ADMINS),
    ("POST", "operations/people/invite/", "", ADMINS),
    ("POST", "operations/people/<int:number>/<slug:step>/", "", ADMINS_BUT_NO_SUCH_ROW),
    ("GET", "operations/settings/", "", ADMINS),
    ("POST", "operations/settings/<int:number>/", "", ADMINS_BUT_NO_SUCH_ROW),
    ("POST", "operations/predictions/<uuid:public_id>/retry/", "", ADMINS_BUT_NO_SUCH_ROW),
    ("GET", "operations/models/", "", ADMINS),
    ("POST", "operations/models/<slug:task>/rollback/", "", ADMINS),
    ("GET", "operations/models/<slug:task>/<int:number>/", "", ADMINS_BUT_NO_SUCH_ROW),
    ("POST", "operations/models/<slug:task>/<int:number>/activate/", "", ADMINS_BUT_NO_SUCH_ROW),
    ("POST", "operations/models/<slug:task>/<int:number>/shadow/", "", ADMINS_BUT_NO_SUCH_ROW),
    ("GET", "operations/sensitivity/", "", ADMINS),
    ("POST", "operations/sensitivity/choose/", "", ADMINS),
    ("GET", "operations/examples/", "", ADMINS),
    ("POST", "operations/examples/<uuid:public_id>/decide/", "", ADMINS_BUT_NO_SUCH_ROW),
    ("GET", "operations/examples/<uuid:public_id>/crop.png", "", ADMINS_BUT_NO_SUCH_ROW),
    ("GET", "operations/runs/", "", ADMINS),
    ("POST", "operations/runs/start/", "", ADMINS),
    ("GET", "operations/runs/<uuid:public_id>/", "", ADMINS_BUT_NO_SUCH_ROW),
    ("GET", "operations/runs/<uuid:public_id>/state/", "", ADMINS_BUT_NO_SUCH_ROW),
    ("POST", "operations/runs/<uuid:public_id>/again/", "", ADMINS_BUT_NO_SUCH_ROW),
    ("POST", "operations/runs/<uuid:public_id>/cancel/", "", ADMINS_BUT_NO_SUCH_ROW),
    # --- API: images and cases
    ("GET", API + "cases/", "", EVERYBODY),
    ("POST", API + "cases/search/", "", EVERYBODY),
    ("GET", API + "cases/<uuid:public_id>/", CASE, LOOK),
    ("GET", API + "series/<uuid:public_id>/manifest/", SERIES, LOOK),
    ("GET", API + "series/<uuid:public_id>/presentation/", SERIES, LOOK),
    ("PUT", API + "series/<uuid:public_id>/presentation/", SERIES, KEEP_VIEW),
    ("GET", API + "series/<uuid:public_id>/measurements/", SERIES, LOOK),
    ("POST", API + "series/<uuid:public_id>/measurements/", SERIES, MEASURE),
    ("PUT", API + "measurements/<uuid:public_id>/", MEASUREMENT, OWN_MEASUREMENT),
    ("DELETE", API + "measurements/<uuid:public_id>/", MEASUREMENT, OWN_MEASUREMENT),
    ("GET", API + "series/<uuid:public_id>/thumbnail.png", SERIES, LOOK),
    ("GET", API + "instances/<uuid:public_id>/hu/", INSTANCE, LOOK),
    ("GET", API + "instances/<uuid:public_id>/voi-lut/", INSTANCE, LOOK),
    ("GET", API + "instances/<uuid:public_id>/image.png", INSTANCE, LOOK),
    ("GET", API + "instances/<uuid:public_id>/attributes/", INSTANCE, LOOK),
    # --- API: technician
    ("POST", API + "uploads/", "", TECHNICIANS),
    ("POST", API + "uploads/batch/", "", TECHNICIANS),
    ("POST", API + "uploads/known/", "", TECHNICIANS),
    ("POST", API + "uploads/zip/", "", TECHNICIANS),
    ("GET", API + "receivers/", "", TECHNICIANS),
    ("POST", API + "cases/<uuid:public_id>/send/", CASE, PREPARE),
    ("POST", API + "cases/<uuid:public_id>/settle/", CASE, PREPARE),
    ("POST", API + "cases/<uuid:public_id>/withdraw/", CASE, PREPARE),
    # --- API: doctor
    ("GET", API + "worklist/", "", DOCTORS),
    ("GET", API + "cases/<uuid:public_id>/predictions/", CASE, LOOK_AS_READER),
    ("GET", API + "cases/<uuid:public_id>/findings/", CASE, LOOK_AS_READER),
    ("GET", API + "findings/<uuid:public_id>/heatmap/", FINDING, LOOK_AS_READER),
    ("GET", API + "cases/<uuid:public_id>/verdicts/", CASE, LOOK_AS_READER),
    ("POST", API + "cases/<uuid:public_id>/verdicts/", CASE, READ),
    ("GET", API + "cases/<uuid:public_id>/draft/", CASE, READ),
    ("PUT", API + "cases/<uuid:public_id>/draft/", CASE, READ),
    ("DELETE", API + "cases/<uuid:public_id>/draft/", CASE, READ),
    ("POST", API + "cases/<uuid:public_id>/unaided-opinion/", CASE, READ),
    ("POST", API + "cases/<uuid:public_id>/lung-rads/", CASE, READ),
    ("GET", API + "text-templates/", "", DOCTORS),
    ("POST", API + "text-templates/", "", DOCTORS),
    # Each doctor's own: apps/doctor/tests/test_structured.py.
    ("DELETE", API + "text-templates/<uuid:public_id>/", "", DOCTORS_BUT_NO_SUCH_ROW),
    ("POST", API + "cases/<uuid:public_id>/places/", CASE, READ),
    # Whose question it is, and of which case, is tested in apps/doctor/tests/test_places.py.
    ("GET", API + "places/<uuid:public_id>/", "", DOCTORS_BUT_NO_SUCH_ROW),
    ("GET", API + "places/<uuid:public_id>/heatmap/", "", DOCTORS_BUT_NO_SUCH_ROW),
    ("POST", API + "cases/<uuid:public_id>/verdicts/preview/", CASE, READ),
    ("POST", API + "cases/<uuid:public_id>/addenda/", CASE, READ),
    ("POST", API + "cases/<uuid:public_id>/claim/", CASE, READ),
    ("POST", API + "cases/<uuid:public_id>/release/", CASE, READ),
    ("POST", API + "cases/<uuid:public_id>/take-over/", CASE, READ),
    ("POST", API + "cases/<uuid:public_id>/return/", CASE, READ),
    ("POST", API + "cases/<uuid:public_id>/chest-correction/", CASE, READ),
    ("POST", API + "cases/<uuid:public_id>/contrast-correction/", CASE, READ),
    ("GET", API + "cases/<uuid:public_id>/confirmations/", CASE, LOOK_AS_READER),
    ("POST", API + "cases/<uuid:public_id>/confirmations/", CASE, READ),
    ("GET", API + "opinions/", "", DOCTORS),
    ("POST", API + "opinions/<uuid:public_id>/", "", DOCTORS_BUT_NO_SUCH_ROW),
    ("GET", API + "opinions/<uuid:public_id>/crop.png", "", DOCTORS_BUT_NO_SUCH_ROW),
    ("POST", API + "predictions/<uuid:public_id>/retry/", PREDICTION, RETRY),
    ("POST", API + "predictions/<uuid:public_id>/override/", PREDICTION, OVERRIDE),
    ("POST", API + "break-glass/", "", READERS_AND_ADMINS),
    # --- API: operations
    ("GET", API + "models/", "", ADMINS),
    ("POST", API + "models/<slug:task>/rollback/", "", ADMINS),
    ("GET", API + "models/<slug:task>/<int:number>/", "", ADMINS_BUT_NO_SUCH_ROW),
    ("POST", API + "models/<slug:task>/<int:number>/activate/", "", ADMINS_BUT_NO_SUCH_ROW),
    ("GET", API + "training-examples/", "", ADMINS),
    ("GET", API + "training-examples/<uuid:public_id>/", "", ADMINS_BUT_NO_SUCH_ROW),
    ("GET", API + "training-examples/<uuid:public_id>/crop.png", "", ADMINS_BUT_NO_SUCH_ROW),
    ("POST", API + "training-examples/<uuid:public_id>/decide/", "", ADMINS_BUT_NO_SUCH_ROW),
    ("GET", API + "training-runs/", "", ADMINS),
    ("POST", API + "training-runs/", "", ADMINS),
    ("GET", API + "training-runs/<uuid:public_id>/", "", ADMINS_BUT_NO_SUCH_ROW),
    ("POST", API + "training-runs/<uuid:public_id>/cancel/", "", ADMINS_BUT_NO_SUCH_ROW),
    # --- API: about itself
    ("GET", API + "schema/", "", EVERYBODY),
    ("GET", API + "docs/", "", EVERYBODY),
]

# Open to everybody, logged in or not; everything else asks for a log-in.
OPEN_TO_ANYBODY = {
    "accounts/login/",
    "accounts/signup/",  # says that nobody signs up
    "accounts/inactive/",
    "accounts/password/reset/",
    "accounts/password/reset/done/",
    "accounts/password/reset/key/<uidb36>-<key>/",
    "accounts/password/reset/key/done/",
    "healthz",
    "readyz",
    "metrics",  # asks for a token of its own
}
