"""One index for each filter of audit/filters.py. Partial where most entries have nothing to find."""

from django.db import migrations

SQL = """
-- Exactly one action, or by its beginning ("auth."): the operator class serves both in any collation.
CREATE INDEX audit_entry_action_or_group ON audit_entry (action varchar_pattern_ops, recorded_at DESC, id DESC);
DROP INDEX audit_entry_action;
-- "What failed?"
CREATE INDEX audit_entry_outcome ON audit_entry (outcome, recorded_at DESC, id DESC) WHERE outcome <> 'success';
-- "What came from there?"
CREATE INDEX audit_entry_source ON audit_entry (source_ip, recorded_at DESC, id DESC) WHERE source_ip IS NOT NULL;
-- "What was done to number 7?", without knowing what it is
CREATE INDEX audit_entry_object ON audit_entry (target_id, recorded_at DESC, id DESC) WHERE target_id <> '';
-- From a log line or a trace to its entries
CREATE INDEX audit_entry_request ON audit_entry (request_id) WHERE request_id <> '';
CREATE INDEX audit_entry_trace ON audit_entry (trace_id) WHERE trace_id <> '';
"""
UNDO = """
CREATE INDEX audit_entry_action ON audit_entry (action, recorded_at DESC, id DESC);
DROP INDEX audit_entry_action_or_group, audit_entry_outcome, audit_entry_source, audit_entry_object,
    audit_entry_request, audit_entry_trace;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_saved_filters_and_ingest")]

    operations = [migrations.RunSQL(SQL, UNDO)]
