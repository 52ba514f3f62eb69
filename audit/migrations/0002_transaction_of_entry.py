"""Which transaction wrote an entry: the order in which readers of the stream follow it without loss."""

from django.db import migrations

# The default is stable, so existing rows get one value without being rewritten.
SQL = """
ALTER TABLE audit_entry ADD COLUMN txid xid8 NOT NULL DEFAULT pg_current_xact_id();
-- audit.stream: what follows a position, up to the horizon of finished transactions.
CREATE INDEX audit_entry_stream ON audit_entry (txid, id);
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [migrations.RunSQL(SQL, "ALTER TABLE audit_entry DROP COLUMN txid;")]
