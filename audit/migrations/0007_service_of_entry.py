"""The entries of one service, newest first: those whose `data.service` names it. Most entries name none."""

from django.db import migrations

SQL = """
CREATE INDEX audit_entry_service ON audit_entry ((data -> 'service'), recorded_at DESC, id DESC) WHERE data ? 'service';
"""
UNDO = "DROP INDEX audit_entry_service"


class Migration(migrations.Migration):
    dependencies = [("audit", "0006_bounds_and_names")]

    operations = [migrations.RunSQL(SQL, UNDO)]
