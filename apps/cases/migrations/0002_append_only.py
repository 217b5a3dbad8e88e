from django.db import migrations

from apps.audit.triggers import append_only


class Migration(migrations.Migration):
    dependencies = [("cases", "0001_initial")]
    operations = [
        append_only("cases_caseevent"),
        append_only("cases_accessgrant"),
        append_only("cases_verdict"),
        append_only("cases_report"),
    ]
