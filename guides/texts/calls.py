"""What is true of every call: keys, errors, and the charge."""

from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class ErrorText(NamedTuple):
    """A status with our codes for it, and what it means."""

    status: str
    codes: tuple[str, ...]
    text: str | Promise


TITLE = _("Use %(family)s with %(client)s")
DESCRIPTION = _(
    "%(client)s with %(family)s through Tollgate: configuration, examples, parameters, prices, errors and how a "
    "charge is computed."
)
OVERVIEW_TITLE = _("Tollgate with %(client)s")
OVERVIEW_DESCRIPTION = _(
    "%(client)s through Tollgate: configuration, families of models, and what it does about errors."
)
SHARE = _("You pay %(share)s of the list price, from prepaid credits.")
SHARES = _("You pay between %(lowest)s and %(highest)s of the list price, from prepaid credits.")

MAKE_KEY = _("Make a key")
MAKE_KEY_TEXT = _(
    "[Sign in](%(sign_in_url)s), open the page Keys of your group and issue one. It is shown once: keep it in the "
    "environment variable `TOLLGATE_API_KEY`, which every example here reads."
)
CONFIGURE = _("Configure %(client)s")
CHOOSE = _("Choose a model")
PROCEED = _("Stream, call functions")

PICTURE_STEPS = (
    (
        _("Ask for a picture"),
        _(
            "Post a prompt to `%(path)s`. The answer comes at once, with 202 and a `task_id`; its price is held from "
            "then on."
        ),
    ),
    (
        _("Wait for it"),
        _(
            "Ask `/v1/tasks/{task_id}` again after the seconds that `retry-after` names, until `status` is "
            "`completed` or `failed`; before that it is `pending`, then `processing`."
        ),
    ),
    (
        _("Fetch it"),
        _(
            "`images[0].url` is a signed address that needs no key. Go on from it by naming it as a source of the "
            "next task."
        ),
    ),
)
PICTURE_CALL = (
    _("Ask for a picture"),
    _(
        "OpenAI’s call for pictures waits until the task behind it has ended, and answers with the picture itself. "
        "The header `x-tollgate-task` names the task, `x-tollgate-charge` says what it cost."
    ),
)
PICTURE_EDIT = _(
    "A picture is changed at `/v1/edit_image`: the same fields, and `source_image_urls` with up to %(sources)s "
    "pictures. The words of the prompt say what shall be different."
)
THE_ANSWER = _("The answer of %(path)s")
TASK_ENDED = _(
    "Polled until it has ended, the task tells where its pictures are and what they cost:"
)

ERRORS = (
    ErrorText(
        "400",
        ("invalid_request_error", "unsupported_parameter"),
        _("The request has a fault; `param` names the field."),
    ),
    ErrorText("401", ("invalid_api_key",), _("The key is missing, mistyped, revoked or expired.")),
    ErrorText(
        "402",
        ("insufficient_credits", "key_budget_exceeded"),
        _(
            "The credits, or a budget of the key or its group, do not cover the call. The message says what is left."
        ),
    ),
    ErrorText(
        "403",
        ("model_not_allowed", "ip_not_allowed"),
        _("The key or its group may not call this model, or not from this network."),
    ),
    ErrorText("404", ("model_not_found",), _("There is no model of that name.")),
    ErrorText(
        "429",
        ("rate_limited", "concurrency_limited"),
        _("A limit of the key or its group is reached; `retry-after` says for how many seconds."),
    ),
    ErrorText(
        "502, 504",
        ("upstream_error", "upstream_timeout"),
        _("%(vendor)s failed or did not answer in time."),
    ),
    ErrorText(
        "503",
        ("no_channel_available", "temporarily_unavailable"),
        _("Nobody can serve the model at the moment; `retry-after` says when to ask again."),
    ),
)
ERRORS_ARE_FREE = _(
    "None of them costs anything. Once a stream has begun, an error is its last event, and the call is not charged "
    "either."
)
RETRIES = _("What %(client)s does about it, for one turn of yours:")
PAYMENT, LIMIT, OUTAGE = "402", "429", "503"
CUT = _("A stream that breaks off")

CHARGE = _(
    "A call costs the sum of its lines: tokens of each kind, times the list price, times your share. It is rounded "
    "once, to a billionth of a dollar. The kinds do not overlap: cached input is not counted as input again, and "
    "reasoning is part of the output."
)
CHARGE_EXAMPLE = _("A call of `%(model)s` with these tokens, at the prices of today:")
PICTURE_CHARGE = _(
    "The price of a task is exact and known before: it is held when the task is made, and charged when the pictures "
    "are there. `POST /v1/price_quotes` tells it without making anything."
)
WHERE_SHOWN = _(
    "Plain answers have the charge in the header `x-tollgate-charge`. The call history has every call with its lines, "
    "so that you can recompute it, and so has `GET /v1/calls/{id}` with the id from `x-request-id`."
)
WHERE_SHOWN_OF_TASKS = _(
    "`billing` in the ended task says what was charged. The call history has every task with its lines, so that you "
    "can recompute it."
)

EXAMPLE_MODEL = _("The examples on this page name `%(name)s`.")
CHEAPEST_MODEL = _("The least expensive is `%(name)s`.")
LONGEST_CONTEXT = _("`%(name)s` has the longest context, %(tokens)s tokens.")
RETIRING = _("%(vendor)s retires `%(name)s` on %(date)s.")
PRICES_ARE_LIVE = _("Read from the price book when this page was made. USD for a million tokens.")
PICTURE_PRICES_ARE_LIVE = _("Read from the price book when this page was made. USD.")

GUIDES_TITLE = _("Guides")
GUIDES_LEAD = _(
    "Change the base URL and the key, and keep your code. One guide for each client and family of models: "
    "configuration, examples, parameters, prices and errors."
)
GUIDES_DESCRIPTION = _(
    "How to use GPT, GPT Image, Claude and Gemini through Tollgate from agents, SDKs and the command line."
)

API_DOCS_PATH = "/api/docs/"
NO_MODELS = _("No model of this family can be called here at the moment.")
