"""Pages of the account that allauth does not bring."""

from allauth.usersessions.models import UserSession
from allauth.usersessions.views import ListUserSessionsView
from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.forms import one_line
from accounts.models import User
from accounts.security_sessions import end_session, list_sessions
from accounts.services import rename_user
from accounts.views import MemberRequest, signed_in


class ProfileForm(forms.Form):
    """What others read about the user."""

    name = forms.CharField(
        label=_("Name"),
        max_length=User._meta.get_field("name").max_length,
        required=False,
        help_text=_(
            "Your colleagues see it beside what you do. Without one they see your address."
        ),
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )

    def clean_name(self) -> str:
        return one_line(self.cleaned_data["name"])


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def profile(request: MemberRequest) -> HttpResponse:
    """The user's name."""
    form = ProfileForm(
        request.POST if request.method == "POST" else None, initial={"name": request.user.name}
    )
    if request.method == "POST" and form.is_valid():
        rename_user(request.user, form.cleaned_data["name"])
        messages.success(request, gettext("Saved."))
        return redirect("profile")
    return render(
        request, "account/profile.html", {"form": form}, status=422 if form.errors else 200
    )


class SessionsView(ListUserSessionsView):  # type: ignore[misc]
    """The user's sessions; a POST ends all but the present one."""

    def get_context_data(self, **kwargs: object) -> dict[str, object]:
        context: dict[str, object] = super().get_context_data(**kwargs)
        return context | {"lines": list_sessions(self.request.user)}


@require_POST
@signed_in
def session_end(request: MemberRequest, session_id: int) -> HttpResponse:
    """Ends one session of the user."""
    try:
        end_session(request.user, session_id)
    except UserSession.DoesNotExist as error:
        raise Http404 from error
    messages.success(request, gettext("That session has ended."))
    return redirect("usersessions_list")
