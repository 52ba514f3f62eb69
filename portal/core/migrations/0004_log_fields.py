import django.contrib.postgres.fields
from django.db import migrations, models

import portal.core.validators


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0003_bounds_and_names'),
    ]

    operations = [
        migrations.AddField(
            model_name='service',
            name='log_fields',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=500), blank=True, default=list, help_text='Log lines that hold these are its own, for example service.name=shop-api; empty: those that name its slug.', size=None, validators=[portal.core.validators.validate_log_fields]),
        ),
    ]
