"""Settings, all from the environment (docs/configuration.md lists every variable)."""

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from cancerprediction.environment import Environment
from cancerprediction.logs import logging_config

env = Environment()
BASE_DIR = Path(__file__).resolve().parent.parent

DEMO = env.bool("DEMO", default=False)
DEBUG = env.bool("DEBUG", default=False)
if DEMO and env.str("DATABASE_URL", default=""):
    raise ImproperlyConfigured(
        "DEMO=1 creates users with known passwords, so it only runs on its own database: "
        "unset DATABASE_URL, or unset DEMO."
    )

VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))
SECRET_KEY = env.str("SECRET_KEY")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
SITE_URL = env.str("SITE_URL", default="http://localhost:8000")
# Under Kubernetes the monitoring asks each pod by its own address.
POD_IP = env.str("POD_IP", default="")
if POD_IP:
    ALLOWED_HOSTS.append(POD_IP)

INSTALLED_APPS = [
    "apps.accounts",
    "apps.audit",
    "apps.cases",
    "apps.classifier",
    "apps.labtech",
    "apps.doctor",
    "apps.operations",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "csp",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "cancerprediction.middleware.RequestLog",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.accounts.middleware.SessionLimits",
    "apps.cases.middleware.UploadGuard",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "apps.accounts.middleware.SecondFactor",
    "apps.accounts.middleware.OwnWays",
    "apps.cases.anonymous.Anonymous",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "cancerprediction.urls"
WSGI_APPLICATION = "cancerprediction.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Database. SQLite is the embedded default for a first try; DATABASE_URL decides.
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Accounts
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["apps.accounts.backends.RoleBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
ACCOUNT_ADAPTER = "apps.accounts.adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,5/5m/key"}
# Admins always; a demo's known passwords are no secret that a second factor could help.
SECOND_FACTOR_ROLES = env.list("SECOND_FACTOR_ROLES", default=[]) + ([] if DEMO else ["admin"])
MFA_ADAPTER = "apps.accounts.second_factor.SecondFactorAdapter"
MFA_FORMS = {
    "login_webauthn": "apps.accounts.passkey_forms.LoginForm",
    "authenticate_webauthn": "apps.accounts.passkey_forms.AuthenticateForm",
    "reauthenticate_webauthn": "apps.accounts.passkey_forms.ReauthenticateForm",
    "add_webauthn": "apps.accounts.passkey_forms.AddForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_TOLERANCE = 1  # a clock may be half a minute off
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = DEMO or DEBUG
# Admins make the accounts, so nobody can take another's address to lock its owner out.
MFA_ALLOW_UNVERIFIED_EMAIL = True
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "account_login"

# Sessions, cookies, transport
SESSION_COOKIE_AGE = env.int("SESSION_HOURS", default=10) * 3600
SESSION_IDLE_MINUTES = env.int("SESSION_IDLE_MINUTES", default=60)
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not (DEMO or DEBUG)
SESSION_COOKIE_HTTPONLY = True
SECURE_SSL_REDIRECT = env.bool("SSL_REDIRECT", default=not (DEMO or DEBUG))
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=0)
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# The number of proxies in front that append to X-Forwarded-For; 0 trusts none.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXIES

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:", "blob:"],
        "connect-src": ["'self'"],
        "worker-src": ["'self'", "blob:"],
        "font-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    },
}

# Files
STORAGE_DIR = Path(env.str("STORAGE_DIR", default=str(VAR_DIR / "dicom")))
MODELS_DIR = Path(env.str("MODELS_DIR", default=str(VAR_DIR / "models")))
TRAINING_DATA_DIR = Path(env.str("TRAINING_DATA_DIR", default=str(VAR_DIR / "training")))
# Decides for ever which patients test and which train: never change it once corrections exist.
TRAINING_KEY = env.str("TRAINING_KEY", default=SECRET_KEY)
MAX_UPLOAD_MB = env.int("MAX_UPLOAD_MB", default=512)
MAX_UPLOAD_FILES = env.int("MAX_UPLOAD_FILES", default=5000)
MAX_UPLOAD_TOTAL_MB = env.int("MAX_UPLOAD_TOTAL_MB", default=4096)
STUDY_SETTLE_SECONDS = env.int("STUDY_SETTLE_SECONDS", default=30)
MIN_FREE_DISK_MB = env.int("MIN_FREE_DISK_MB", default=1024)
WARN_FREE_DISK_MB = env.int("WARN_FREE_DISK_MB", default=10240)
DATA_UPLOAD_MAX_NUMBER_FILES = 100  # the page sends fewer at a time
FILE_UPLOAD_HANDLERS = ["apps.cases.storage.IncomingUploadHandler"]
STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles")))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if DEBUG
            else "whitenoise.storage.CompressedManifestStaticFilesStorage"
        )
    },
}

# How long a case may wait for its doctor, in minutes; the worklist warns before and after.
READING_TARGET_MINUTES = {
    "emergency": env.int("TARGET_MINUTES_EMERGENCY", default=15),
    "urgent": env.int("TARGET_MINUTES_URGENT", default=60),
    "routine": env.int("TARGET_MINUTES_ROUTINE", default=24 * 60),
}

# Broker, cache, workers
BROKER_URL = env.str("BROKER_URL", default="redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "cancerprediction.cache.ForgivingRedisCache",
        "LOCATION": env.str("CACHE_URL", default=BROKER_URL),
        "KEY_PREFIX": "cps",
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
    }
}
CELERY_BROKER_URL = BROKER_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 6 * 3600,
    "socket_timeout": 10,
    "socket_connect_timeout": 2,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "apps.classifier.tasks.predict": {"queue": "inference"},
    "apps.classifier.tasks.answer_place": {"queue": "inference"},
    "apps.classifier.tasks.predict_in_shadow": {"queue": "training"},
    "apps.classifier.tasks.train": {"queue": "training"},
}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0.1, "interval_max": 0.5}
SWEEP_SECONDS = env.int("SWEEP_SECONDS", default=15)
CELERY_BEAT_SCHEDULE = {
    "requeue-stale": {
        "task": "apps.classifier.tasks.requeue_stale",
        "schedule": SWEEP_SECONDS,
        "options": {"expires": SWEEP_SECONDS},
    },
    "watch": {
        "task": "apps.classifier.tasks.watch",
        "schedule": 300,
        "options": {"expires": 300},
    },
}
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")
LEASE_SECONDS = env.int("LEASE_SECONDS", default=30)
# Where trainings run: in the training worker, or as a pipeline in Kubeflow.
TRAINING_BACKEND = env.str("TRAINING_BACKEND", default="celery")
if TRAINING_BACKEND not in {"celery", "kubeflow"}:
    env.mistakes.append(f"TRAINING_BACKEND is {TRAINING_BACKEND!r}: write celery or kubeflow.")
KUBEFLOW_HOST = env.str("KUBEFLOW_HOST", default="")
if TRAINING_BACKEND == "kubeflow" and not KUBEFLOW_HOST.startswith(("http://", "https://")):
    env.mistakes.append("KUBEFLOW_HOST must be an http address, as TRAINING_BACKEND is kubeflow.")
KUBEFLOW_TOKEN_FILE = env.str("KUBEFLOW_TOKEN_FILE", default="")
KUBEFLOW_IMAGE = env.str("KUBEFLOW_IMAGE", default="")
KUBEFLOW_STEP_SECONDS = env.int("KUBEFLOW_STEP_SECONDS", default=900)
TRAINING_MEMORY_MB = env.int("TRAINING_MEMORY_MB", default=8192)
TRAINING_HOURS = env.int("TRAINING_HOURS", default=24)
INFERENCE_THREADS = env.int("INFERENCE_THREADS", default=2)

# API
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.accounts.api.AuditedTokens",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["apps.accounts.api.MayUse"],
    "DEFAULT_PAGINATION_CLASS": "apps.accounts.api.BoundedPages",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"user": env.str("API_RATE", default="6000/min")},
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "apps.accounts.api.ShallowJSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Cancer Prediction System",
    "DESCRIPTION": "What the portals do, for programs. Research use. Not a diagnosis.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "ENUM_NAME_OVERRIDES": {
        "ConfirmationKindEnum": "apps.classifier.models.Confirmation.Kind",
        "MeasurementKindEnum": "apps.cases.models.Measurement.Kind",
        "ConfirmationLabelEnum": "apps.classifier.models.Confirmation.Label",
        "LungRadsCategoryEnum": "apps.doctor.lung_rads.CATEGORIES",
        "CaseStatusEnum": "apps.cases.models.Case.Status",
        "PredictionStatusEnum": "apps.classifier.models.Prediction.Status",
        "TaskEnum": "apps.classifier.models.ModelVersion.Task",
    },
}

LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["cancerprediction.formats"]
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_TZ = True
# Mails hold links that set a password, so only a demo may write them into its log.
vars().update(env.email("EMAIL_URL", default="consolemail://" if DEMO or DEBUG else "dummymail://"))

LOG_FORMAT = env.str("LOG_FORMAT", default="text" if DEMO or DEBUG else "json")
LOGGING = logging_config(LOG_FORMAT, env.str("LOG_LEVEL", default="INFO"))
# Bearer token of /metrics; without one the page does not exist.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
# The address of a collector; OpenTelemetry's own code reads it, and its further variables, too.
TRACES_ENDPOINT = env.str("OTEL_EXPORTER_OTLP_ENDPOINT", default="")

env.refuse_mistakes()
