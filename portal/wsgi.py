"""The WSGI entry point that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

from portal.request_bodies import RequestBodyMiddleware

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

application = RequestBodyMiddleware(get_wsgi_application())
