"""The pages of the playground, its key, and answers as HTML."""

from typing import Any

from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST, require_safe

from accounts import key_services
from accounts.models import Group
from accounts.navigation import own_groups
from accounts.views import MemberRequest, signed_in
from billing.presentation import group_frame, parse_cursor
from gateway.playground import choices, markdown

CHAT, IMAGES = "chat", "images"


@require_safe
@signed_in
def playground(request: MemberRequest) -> HttpResponse:
    """Chat, or images with `?mode=images`, for the group that `?group=` names, else the first of one's own."""
    groups = own_groups(request.user)
    group = _chosen_group(request, groups)
    mode = IMAGES if request.GET.get("mode") == IMAGES else CHAT
    context: dict[str, Any] = {"playground_page": True, "groups": groups, "mode": mode}
    if group is not None:
        context |= group_frame(request.user, group) | _choices(mode, request.GET.get("model", ""))
    return render(request, f"gateway/playground_{mode}.html", context)


def _chosen_group(request: MemberRequest, groups: list[Group]) -> Group | None:
    """Raises Http404 for a group that is not one's own: a playground spends, so looking on is not enough."""
    wanted = request.GET.get("group")
    if not wanted:
        return groups[0] if groups else None
    for group in groups:
        if group.pk == parse_cursor(wanted):
            return group
    raise Http404


def _choices(mode: str, wanted: str) -> dict[str, Any]:
    if mode == CHAT:
        providers = choices.list_chat_models()
        models = [model for provider in providers for model in provider.models]
        return {"providers": providers, "chosen": choices.choose(wanted, models)}
    drawers = choices.list_drawers()
    return {
        "drawers": drawers,
        "chosen": choices.choose(wanted, [drawer.model for drawer in drawers]),
    }


@sensitive_variables("text")
@require_POST
@signed_in
def playground_key(request: MemberRequest) -> HttpResponse:
    """The key by which this page calls the gateway, as JSON {`key`, `expires_at`}.

    It lives for hours and dies with the membership. No password is asked for: whoever has the session may spend here
    anyway, and the key can do nothing else.
    """
    for group in own_groups(request.user):
        if group.pk == parse_cursor(request.POST.get("group")):
            key, text = key_services.playground_key(group, request.user)
            expires_at = key.expires_at.isoformat() if key.expires_at else None
            return JsonResponse({"key": text, "expires_at": expires_at})
    raise Http404


@require_POST
@signed_in
def playground_markdown(request: MemberRequest) -> HttpResponse:
    """The posted `text` as a piece of HTML."""
    text = request.POST.get("text", "")
    if len(text) > markdown.TEXT_LENGTH_MAX:
        return HttpResponse(_("This answer is too long to be laid out."), status=413)
    return HttpResponse(markdown.render(text))
