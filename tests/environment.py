"""Settings for a test run, set before Django reads them. `make test` provides DATABASE_URL."""

import atexit
import base64
import os
import shutil
import tempfile

os.environ.setdefault("DATABASE_URL", "postgresql:///tollgate")
os.environ["TOLLGATE_SECRET_KEY"] = "tests-only-" + "0" * 40
os.environ["TOLLGATE_KEY_PEPPER"] = "tests-only-pepper"
os.environ["TOLLGATE_CREDENTIAL_KEY"] = base64.b64encode(
    b"tests-only-credential-key-32-byt"
).decode()
os.environ["TOLLGATE_HOME"] = _home = tempfile.mkdtemp(prefix="tollgate-tests-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
# The folder that collectstatic fills; WhiteNoise warns where it is missing.
os.mkdir(os.path.join(_home, "static"))
os.environ["TOLLGATE_EMAIL_BACKEND"] = "django.core.mail.backends.locmem.EmailBackend"
os.environ["CELERY_BROKER_URL"] = "filesystem://"

from config.translations import compile_catalogs  # noqa: E402 - what stands above must be set before

compile_catalogs()
