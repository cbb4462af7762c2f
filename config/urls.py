"""Routes of the control plane. The data plane's own (/v1, health) never reach Django: see config/asgi.py."""

from allauth.account.decorators import secure_admin_login
from allauth.account.views import email
from django.contrib import admin
from django.urls import include, path, re_path

from accounts.api import documentation
from accounts.api.unknown import Unknown
from accounts.reauthentication import recently_authenticated
from accounts.security_views import SessionsView, profile, session_end
from accounts.views import signed_in

# One sign-in page for everybody, with its limits and second factors.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
handler429 = "accounts.security_limits.too_many_requests"

urlpatterns = [
    path("", include("guides.urls")),
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("", include("gateway.urls")),
    path("", include("accounts.api.urls")),
    path("", include("billing.api.urls")),
    path("", include("gateway.api.urls")),
    re_path("^api/v1/", Unknown.as_view()),
    path("api/schema/", documentation.schema, name="api_schema"),
    path("api/schema/openapi.<str:form>", documentation.schema, name="api_schema_as"),
    path("api/docs/", documentation.docs, name="api_docs"),
    path("accounts/profile/", profile, name="profile"),
    path("accounts/sessions/", SessionsView.as_view(), name="usersessions_list"),
    path("accounts/sessions/<int:session_id>/end/", session_end, name="session_end"),
    # By mail to an address of his own, a thief could set a new password and pass for the user ever after.
    path("accounts/email/", signed_in(recently_authenticated(email)), name="account_email"),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]
