"""Celery's door to the classifier. Each task takes an id; the row says what there is to do.

The worker-side modules load inside the tasks, so that web processes never load the networks.
"""

import os
from contextlib import suppress
from typing import Any

from celery import shared_task
from celery.signals import celeryd_after_setup, worker_process_init
from django.conf import settings

_serves_inference = False
_serves_training = False
NICER = 10


@shared_task
def predict(prediction_id: int) -> None:
    from apps.classifier.place_answers import answer_waiting
    from apps.classifier.prediction import run_prediction

    run_prediction(prediction_id, between=answer_waiting)


@shared_task
def answer_place(question_id: int) -> None:
    from apps.classifier.place_answers import answer

    answer(question_id)


@shared_task
def predict_in_shadow(prediction_id: int) -> None:
    from apps.classifier.prediction import run_shadow

    run_shadow(prediction_id)


@shared_task
def train(training_run_id: int) -> None:
    if settings.TRAINING_BACKEND == "kubeflow":
        _hand_over(training_run_id)
        return
    from apps.classifier.training_process import run_in_own_process

    run_in_own_process(training_run_id)


def _hand_over(training_run_id: int) -> None:
    from apps.classifier.kubeflow import NotSubmitted, hand_over

    with suppress(NotSubmitted):  # the row says why
        hand_over(training_run_id)


@shared_task
def watch() -> None:
    from apps.classifier import watching

    watching.watch()


@shared_task
def requeue_stale() -> None:
    from apps.classifier.sweep import sweep

    sweep()


@celeryd_after_setup.connect
def note_queues(sender: str, instance: Any, **kwargs: Any) -> None:
    """Before the worker forks: remember whether its processes will run predictions."""
    global _serves_inference, _serves_training
    _serves_inference = "inference" in instance.app.amqp.queues.consume_from
    _serves_training = "training" in instance.app.amqp.queues.consume_from


@worker_process_init.connect
def prepare_process(**kwargs: Any) -> None:
    """In each process of a worker: an inference worker bounds its threads and loads the active
    networks; one that only trains and answers in shadow gives way to everything else."""
    if _serves_training and not _serves_inference:
        os.nice(NICER)
    if _serves_inference:
        from apps.classifier.prediction import warm_up

        warm_up()
