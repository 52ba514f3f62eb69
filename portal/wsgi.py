"""The WSGI entry point that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

from portal.bodies import Bodies

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

application = Bodies(get_wsgi_application())
