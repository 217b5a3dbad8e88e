"""The Celery application: three queues, late acknowledgement, prefetch one."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cancerprediction.settings")

app = Celery("cancerprediction")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
