"""The entries of whoever acted as somebody else. A migration of its own: the lock of new columns would last as long."""

from django.db import migrations

SQL = """
-- "What did this person do as somebody else?" Hardly any entry is in it.
CREATE INDEX IF NOT EXISTS audit_entry_impersonator ON audit_entry (impersonator_name, recorded_at DESC, id DESC)
    WHERE impersonator_name <> '';
"""
UNDO = "DROP INDEX audit_entry_impersonator"


class Migration(migrations.Migration):
    dependencies = [("audit", "0008_code_and_place")]

    operations = [migrations.RunSQL(SQL, UNDO)]
