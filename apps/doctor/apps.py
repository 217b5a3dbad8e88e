from django.apps import AppConfig


class DoctorConfig(AppConfig):
    name = "apps.doctor"
    verbose_name = "Doctor"
