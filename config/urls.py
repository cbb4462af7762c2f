"""Routes of the control plane. The data plane's own (/v1, health) never reach Django: see config/asgi.py."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("", include("gateway.urls")),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]
