"""Organizations, members, groups and invitations in the management API."""

from accounts.api import group_members, groups, invitations, members, organizations
from accounts.api.routes import route

ORGANIZATION = "organizations/<uuid:organization_id>"
GROUP = "groups/<uuid:group_id>"
INVITATION = "invitations/<uuid:invitation_id>"
MEMBER = "members/<int:user_id>"

urlpatterns = [
    *route("organizations", organizations.Organizations.as_view(), "api_organizations"),
    *route(f"{ORGANIZATION}/members", members.Members.as_view(), "api_members"),
    *route(f"{ORGANIZATION}/{MEMBER}", members.MemberDetail.as_view(), "api_member"),
    *route(f"{ORGANIZATION}/invitations", invitations.Invitations.as_view(), "api_invitations"),
    *route(
        f"{ORGANIZATION}/{INVITATION}", invitations.InvitationDetail.as_view(), "api_invitation"
    ),
    *route(
        f"{ORGANIZATION}/{INVITATION}/resend",
        invitations.InvitationResend.as_view(),
        "api_invitation_resend",
    ),
    *route("groups", groups.Groups.as_view(), "api_groups"),
    *route(f"{GROUP}/members", group_members.GroupMembers.as_view(), "api_group_members"),
    *route(f"{GROUP}/{MEMBER}", group_members.GroupMemberDetail.as_view(), "api_group_member"),
    *route(
        f"{GROUP}/invitations", group_members.GroupInvitations.as_view(), "api_group_invitations"
    ),
    *route(
        f"{GROUP}/{INVITATION}",
        group_members.GroupInvitationDetail.as_view(),
        "api_group_invitation",
    ),
    *route(
        f"{GROUP}/{INVITATION}/resend",
        group_members.GroupInvitationResend.as_view(),
        "api_group_invitation_resend",
    ),
]
