"""Flags concern services, and tokens may belong to one."""

import django.db.models.deletion
from django.db import migrations, models

# A service that gets another slug takes its flags along; one flag may name both.
RENAMED = """
CREATE FUNCTION security_flagservice_renamed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO security_flagservice (flag_id, slug, opened_at)
    SELECT flag_id, NEW.slug, opened_at FROM security_flagservice WHERE slug = OLD.slug
    ON CONFLICT DO NOTHING;
    DELETE FROM security_flagservice WHERE slug = OLD.slug;
    RETURN NULL;
END $$;
CREATE TRIGGER security_flagservice_renamed AFTER UPDATE OF slug ON core_service
FOR EACH ROW WHEN (OLD.slug <> NEW.slug) EXECUTE FUNCTION security_flagservice_renamed();
"""
NOT_RENAMED = """
DROP TRIGGER security_flagservice_renamed ON core_service;
DROP FUNCTION security_flagservice_renamed();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0004_log_fields'),
        ('security', '0010_words'),
    ]

    operations = [
        migrations.AddField(
            model_name='apitoken',
            name='service',
            field=models.ForeignKey(blank=True, help_text='Whose application uses it: what is recorded of the token stands in its timeline.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='core.service'),
        ),
        migrations.CreateModel(
            name='FlagService',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.CharField(max_length=100)),
                ('opened_at', models.DateTimeField(help_text='When the flag was opened, which never changes.')),
                ('flag', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='services', to='security.flag')),
            ],
            options={
                'default_permissions': (),
                'indexes': [models.Index(fields=['slug', '-opened_at', '-flag'], name='flag_service_timeline')],
                'constraints': [models.UniqueConstraint(fields=('flag', 'slug'), name='flag_service_once')],
            },
        ),
        migrations.RunSQL(RENAMED, NOT_RENAMED),
    ]
