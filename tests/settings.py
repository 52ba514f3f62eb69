"""The product's settings, with what makes a test run fast and separate from its neighbours."""

import os
from pathlib import Path

os.environ.setdefault("SECRET_KEY", "test-only")
os.environ.setdefault("FIELD_ENCRYPTION_KEYS", "test-only-field-key")

from portal.settings import *  # noqa: F403
from portal.settings import REDIS_URL, STATIC_ROOT, STORAGES, VAR_DIR

_worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
_number = int(_worker.removeprefix("gw") or 0) % 15 + 1
REDIS_URL = REDIS_URL.replace("?db=0", f"?db={_number}")
CACHES["default"]["LOCATION"] = REDIS_URL  # noqa: F405
CELERY_BROKER_URL = CELERY_BROKER_URL.replace("virtual_host=0", f"virtual_host={_number}")  # noqa: F405
CELERY_TASK_ALWAYS_EAGER = True
CELERY_TASK_EAGER_PROPAGATES = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    **STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
STATIC_ROOT.mkdir(
    parents=True, exist_ok=True
)  # else WhiteNoise warns in each test that asks by HTTP
AUDIT_LOG_DIR = str(Path(VAR_DIR) / "audit" / _worker)
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
