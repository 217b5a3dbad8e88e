"""While a release rolls out, the last one's pods work on the newer database: what they would
stumble over is found here (docs/deploy-rancher.md, Upgrade)."""

import pytest
from django_migration_linter import MigrationLinter

OURS = ["accounts", "audit", "cases", "classifier"]
# There is no older program than the first release, so these may be what they are. Later ones come
# here only with a release that must stop the last one first, as CHANGELOG.md then says.
BEFORE_THE_FIRST_RELEASE = {
    "accounts.0002_one_account_per_address",
    "accounts.0004_reads_twice",
    "accounts.0005_doctor_first",
    "cases.0003_study_patient_name",
    "cases.0006_reads_twice",
    "cases.0007_windows_of_the_file",
    "cases.0009_announced_counts",
    "cases.0016_tables_and_inversion_of_the_file",
    "classifier.0004_contrast_beside_the_header",
    "classifier.0005_the_loop_closes",
    "classifier.0006_settings_that_hold",
}
WHAT_TO_DO = """
The last release's pods could not live with a migration that is named above. A new column needs
db_default (or null=True): default alone is not in the database, and the old program does not name
the column. Remove a column one release after its last use. Never rename."""


@pytest.mark.django_db
def test_the_last_release_can_live_with_every_migration():
    linter = MigrationLinter(no_cache=True, quiet=["ok", "ignore", "warning"])
    stumbling = set()
    for app, name in sorted(linter.migration_loader.disk_migrations):
        if app in OURS:
            before = linter.nb_erroneous
            linter.lint_migration(linter.migration_loader.disk_migrations[app, name])
            if linter.nb_erroneous > before:
                stumbling.add(f"{app}.{name}")
    assert stumbling == BEFORE_THE_FIRST_RELEASE, WHAT_TO_DO
