"""The web server, the same in the demo and in the image; gunicorn reads this file by itself."""

import os

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
