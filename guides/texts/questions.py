"""Questions that are worth asking about any guide."""

from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Question(NamedTuple):
    """A question and its answer."""

    question: str | Promise
    answer: str | Promise


OF_TEXT = (
    Question(
        _("What happens when the credits run out?"),
        _(
            "The next call is refused with 402 and nothing is sent to %(vendor)s. Answers that are under way are "
            "finished: what they can cost at most was held before they began. A manager of the group grants more, or "
            "redeems a code."
        ),
    ),
    Question(
        _("Am I charged for an answer that breaks off?"),
        _(
            "Not if %(vendor)s or Tollgate broke it off: such a call costs nothing, however much had come. If your "
            "side closes the connection, the tokens that were generated until then are charged."
        ),
    ),
    Question(
        _("Can I limit what this client spends?"),
        _(
            "Yes. Give it a key of its own: a key can have a budget by the day, by the month and in all, limits of "
            "requests, tokens and calls at a time, and a list of the models that it may name."
        ),
    ),
)

OF_PICTURES = (
    Question(
        _("What does a picture cost that fails?"),
        _(
            "Nothing. The price is held when the task is made and charged when its pictures are there. If only some "
            "of them come, only those are charged; `billing` in the task says what was reserved, charged and "
            "refunded."
        ),
    ),
    Question(
        _("How long can I fetch a picture?"),
        _(
            "For seven days. Its URL is signed and needs no key, so it can be handed on; after that the file is "
            "deleted, and `expires_at` says when."
        ),
    ),
    Question(
        _("How do I avoid paying twice when I repeat a request?"),
        _(
            "Send an `Idempotency-Key` of your own choice with it. The same request with the same key answers the "
            "same task with `task_replayed`; another request with that key is a 409."
        ),
    ),
    Question(
        _("How do I send a picture that lies on my disk?"),
        _(
            "Post it to `%(api_url)s/files` as the form field `file`. The id that comes back stands for it in "
            "`source_image_urls` for an hour."
        ),
    ),
    Question(
        _("Can I be told when a task has ended?"),
        _(
            "Yes. Name a `callback_url` with https: the finished task is posted there, signed by the scheme of "
            "Standard Webhooks, and tried again for a day until your server answers with 2xx."
        ),
    ),
)
