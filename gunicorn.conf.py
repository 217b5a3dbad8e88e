"""The web server, the same in the demo and in the image; gunicorn reads this file by itself."""

import os
import shutil
import tempfile

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cancerprediction.settings")
# Its processes count requests in files that any of them can add up, also those of one that left.
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="metrics-"))

from django.conf import settings

bind = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("WEB_WORKERS", "2"))
threads = int(os.environ.get("WEB_THREADS", "4"))
worker_class = "gthread"
# A slow line may take minutes for one upload; the thread, not the worker, waits for it.
timeout = 120
graceful_timeout = 25
keepalive = 5
# Memory that a decoder leaked goes back to the system; jitter keeps workers from leaving together.
max_requests, max_requests_jitter = 5000, 500
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
control_socket_disable = True
logconfig_dict = settings.LOGGING


def on_exit(server: object) -> None:
    """The counts end with the server."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
