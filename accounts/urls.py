"""Pages for everybody who is signed in."""

from django.urls import path

from accounts import invitation_views, languages, organization_views, views

urlpatterns = [
    path("", views.home, name="home"),
    path("start/", views.onboarding, name="onboarding"),
    path("language/", languages.choose_language, name="choose_language"),
    path("organizations/", organization_views.memberships, name="memberships"),
    path(
        "organization/<uuid:organization_id>/members/",
        organization_views.organization_members,
        name="organization_members",
    ),
    path(
        "organization/<uuid:organization_id>/members/<int:user_id>/role/",
        organization_views.change_member_role,
        name="change_member_role",
    ),
    path(
        "organization/<uuid:organization_id>/members/<int:user_id>/remove/",
        organization_views.remove_member,
        name="remove_member",
    ),
    path(
        "organization/<uuid:organization_id>/leave/",
        organization_views.leave_organization,
        name="leave_organization",
    ),
    path(
        "organization/<uuid:organization_id>/invitations/<uuid:invitation_id>/resend/",
        organization_views.resend_invitation,
        name="resend_invitation",
    ),
    path(
        "organization/<uuid:organization_id>/invitations/<uuid:invitation_id>/withdraw/",
        organization_views.withdraw_invitation,
        name="withdraw_invitation",
    ),
    path("invitations/<uuid:invitation_id>/join/", invitation_views.join, name="join"),
    path("invitations/<uuid:invitation_id>/decline/", invitation_views.decline, name="decline"),
    path("invitations/<str:token>/", invitation_views.invitation, name="invitation"),
]
