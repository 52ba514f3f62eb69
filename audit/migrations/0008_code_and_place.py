"""The code of an action, who acted as somebody else, and where an address lies. A default rewrites no row."""

from django.db import migrations

SQL = """
ALTER TABLE audit_entry
    ADD COLUMN code varchar(32) NOT NULL DEFAULT '',
    ADD COLUMN impersonator_id varchar(200) NOT NULL DEFAULT '',
    ADD COLUMN impersonator_name varchar(200) NOT NULL DEFAULT '',
    ADD COLUMN geo_country varchar(2) NOT NULL DEFAULT '',
    ADD COLUMN asn bigint;
"""
UNDO = """
ALTER TABLE audit_entry DROP COLUMN code, DROP COLUMN impersonator_id, DROP COLUMN impersonator_name,
    DROP COLUMN geo_country, DROP COLUMN asn;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0007_service_of_entry")]

    operations = [migrations.RunSQL(SQL, UNDO)]
