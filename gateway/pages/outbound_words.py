"""Why an address that somebody named is not called, and what became of a message to it, in the reader's language.

The data plane and the senders write English: into answers of the API, and into the log of a delivery, which outlives
whoever reads it. tests/gateway/pages/test_outbound_words.py fails where one of their texts is missing here.
"""

from django.utils.translation import gettext_noop

from billing.wording import KnownTexts

_ADDRESSES = (
    gettext_noop("Only https addresses are accepted."),
    gettext_noop("Only port 443 is accepted."),
    gettext_noop("The host is not a public IP address."),
    gettext_noop("%(host)s has no valid IP address."),
    gettext_noop("%(host)s is not an address of this machine alone."),
    gettext_noop("%(host)s is not at a public IP address."),
    gettext_noop("The address is longer than %(most)s characters."),
    gettext_noop("The address has a space, a backslash or a control character."),
    gettext_noop("The address has a fragment (#)."),
    gettext_noop("The address must begin with https://."),
    gettext_noop("The address has a user name or password."),
    gettext_noop("The host or port of the address is not valid."),
    gettext_noop("The host is not a valid IPv6 address."),
    gettext_noop("The host is not a valid name."),
    gettext_noop("The host is an unusual spelling of an IP address."),
    gettext_noop("The host is not a full domain name."),
    gettext_noop("The host is not a public name."),
    gettext_noop("A redirect leads to an address that is not valid."),
    gettext_noop("A redirect leads from https to http."),
)
_SENDING = (
    gettext_noop("more than %(most)s redirects"),
    gettext_noop("a redirect to nowhere"),
    gettext_noop("%(host)s has no IP address"),
    gettext_noop("%(host)s was not resolved in time"),
    gettext_noop("%(host)s was not resolved"),
    gettext_noop("no whole answer in time"),
    gettext_noop("its certificate is not valid"),
    gettext_noop("no connection"),
    gettext_noop("the connection broke"),
    gettext_noop("answered with status %(status)s"),
    gettext_noop("answered with a content encoding"),
    gettext_noop("answered %(status)s"),
    gettext_noop("redirects are not followed"),
    gettext_noop("given up after %(count)s attempts"),
    gettext_noop("the secret that signs cannot be read: rotate it"),
    gettext_noop("the address was changed"),
    gettext_noop("the webhook was removed"),
    gettext_noop("the webhook is switched off"),
    gettext_noop("what it tells of was deleted"),
    gettext_noop("an error on our side"),
)

OUTBOUND_TEXTS = KnownTexts((*_ADDRESSES, *_SENDING))
