"""What people type about members: whom to invite, as what; names; and the name of what is to be deleted."""

import re
from collections.abc import Iterable
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.forms import one_line
from accounts.invitations import normalize
from accounts.models import Group, GroupMembership, Membership, Organization, User

EMAILS_MAX = 50
_BETWEEN = re.compile(r"[\s,;]+")
# As mail programs copy it: Bob Brook <bob@example.com>
_WITH_NAME = re.compile(r"[^<>,;\n]*<([^<>\s]+)>")


class EmailsInput(forms.Textarea):
    """A box for some addresses; nothing of it is corrected or filled in by the browser."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        own = {"rows": 3, "autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}
        super().__init__(own | (attrs or {}))


class EmailsField(forms.CharField):
    """Addresses apart by commas, blanks or lines. Its value is a list of them in lower case, each once."""

    widget = EmailsInput
    default_error_messages: ClassVar[dict[str, Any]] = {
        "malformed": _("This is no e-mail address: %(addresses)s"),
    }

    def to_python(self, value: object) -> Any:
        text = _WITH_NAME.sub(r" \1 ", super().to_python(value) or "")
        emails = list(dict.fromkeys(normalize(part) for part in _BETWEEN.split(text) if part))
        if len(emails) > EMAILS_MAX:
            raise ValidationError(
                ngettext(
                    "At most %(most)d address at a time.",
                    "At most %(most)d addresses at a time.",
                    EMAILS_MAX,
                )
                % {"most": EMAILS_MAX}
            )
        if wrong := [email for email in emails if not _is_email(email)]:
            raise ValidationError(
                self.error_messages["malformed"],
                "malformed",
                {"addresses": ", ".join(wrong)[:300]},
            )
        return emails


def _is_email(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True


class InviteForm(forms.Form):
    """Whom to invite into an organization, as what, and into which of its groups."""

    emails = EmailsField(
        label=_("E-mail addresses"),
        widget=EmailsInput(attrs={"autofocus": True}),
        help_text=_("Several at once: apart by commas or lines."),
    )
    role = forms.ChoiceField(
        label=_("Role"), choices=Membership.Role.choices, initial=Membership.Role.MEMBER
    )
    groups = forms.MultipleChoiceField(
        label=_("Groups"), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, groups: Iterable[Group], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.auto_id = "invite_%s"
        self.groups_by_id = {str(group.pk): group for group in groups}
        field = self.fields["groups"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(pk, group.name) for pk, group in self.groups_by_id.items()]
        if not self.groups_by_id:
            del self.fields["groups"]

    def clean_groups(self) -> list[Group]:
        return [self.groups_by_id[pk] for pk in self.cleaned_data["groups"]]


class GroupPeopleForm(forms.Form):
    """Who comes into a group: colleagues by tick, others by e-mail, all in one role."""

    colleagues = forms.MultipleChoiceField(
        label=_("From your organization"), required=False, widget=forms.CheckboxSelectMultiple
    )
    emails = EmailsField(
        label=_("By e-mail"),
        required=False,
        help_text=_("Several at once: apart by commas or lines."),
    )
    role = forms.ChoiceField(
        label=_("Role in the group"),
        choices=GroupMembership.Role.choices,
        initial=GroupMembership.Role.MEMBER,
    )

    def __init__(
        self, *args: Any, colleagues: Iterable[User], required: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.auto_id = "people_%s"
        self._is_required = required
        self.colleagues_by_id = {str(user.pk): user for user in colleagues}
        field = self.fields["colleagues"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(pk, _told(user)) for pk, user in self.colleagues_by_id.items()]
        if not self.colleagues_by_id:
            del self.fields["colleagues"]

    def clean_colleagues(self) -> list[User]:
        return [self.colleagues_by_id[pk] for pk in self.cleaned_data["colleagues"]]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        nobody = not cleaned.get("colleagues") and not cleaned.get("emails")
        if self._is_required and nobody and not self.errors:
            raise ValidationError(_("Tick a colleague or write an e-mail address."))
        return cleaned


def _told(user: User) -> str:
    return f"{user.name} ({user.email})" if user.name else user.email


class RoleForm(forms.Form):
    """A member's role in an organization."""

    role = forms.ChoiceField(choices=Membership.Role.choices)


class GroupRoleForm(forms.Form):
    """A member's role in a group."""

    role = forms.ChoiceField(choices=GroupMembership.Role.choices)


class MemberFilterForm(forms.Form):
    """Finds a member by a part of his name or address."""

    name = forms.CharField(required=False, max_length=254)


class NameForm(forms.Form):
    """What an organization or a group is called."""

    name = forms.CharField(
        label=_("Name"),
        max_length=Organization._meta.get_field("name").max_length,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_name(self) -> str:
        return one_line(self.cleaned_data["name"])


class NewGroupForm(NameForm):
    """A new group. `group_id` is made with the form: sent twice, it makes one group."""

    group_id = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].widget.attrs["autofocus"] = True
        self.fields["name"].help_text = _("A project or a department, such as “Research”.")


class DeletionForm(forms.Form):
    """The name of what is to be deleted, typed by whoever deletes it."""

    typed_name = forms.CharField(
        label=_("Type its name to confirm"),
        max_length=200,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "spellcheck": "false", "autofocus": True}
        ),
    )

    def __init__(self, *args: Any, expected: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._expected = expected

    def clean_typed_name(self) -> str:
        typed: str = self.cleaned_data["typed_name"]
        if typed.strip() != self._expected.strip():
            raise ValidationError(_("That is not its name."))
        return typed


class OrganizationDeletionForm(DeletionForm):
    """The same, with what an operator notes about credits that are left."""

    note = forms.CharField(
        label=_("How the credits that are left were refunded"),
        max_length=300,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, needs_note: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not needs_note:
            del self.fields["note"]
