"""What the codes of errors mean, in the reader's language: beside the message of the API, which is English."""

from collections.abc import Mapping

from django.utils.translation import gettext_lazy

from gateway.pages import task_presentation

REASONS: Mapping[str, object] = {
    **task_presentation.REASONS,
    "call_not_found": gettext_lazy("The call that was asked for does not exist."),
    "concurrency_limited": gettext_lazy("Too many calls ran at the same time."),
    "conflict": gettext_lazy("The request does not fit the present state."),
    "file_not_found": gettext_lazy("The file that was asked for does not exist."),
    "forbidden": gettext_lazy("The key may not do this."),
    "gateway_lost": gettext_lazy("The gateway process ended before the call did."),
    "host_not_allowed": gettext_lazy("The request was meant for another server."),
    "idempotency_conflict": gettext_lazy("The idempotency key was used for another request."),
    "insufficient_credits": gettext_lazy("The group has too few credits for this call."),
    "internal_error": gettext_lazy("Something went wrong on our side."),
    "invalid_api_key": gettext_lazy("The key is missing, unknown, revoked or expired."),
    "invalid_json": gettext_lazy("The body is not JSON."),
    "invalid_request_error": gettext_lazy("A field of the request is not valid."),
    "ip_not_allowed": gettext_lazy("The key may not be used from this address."),
    "key_budget_exceeded": gettext_lazy("A budget of the key or its group is used up."),
    "key_scope": gettext_lazy("The key is not for this API."),
    "metrics_not_allowed": gettext_lazy("Metrics are for the operator alone."),
    "method_not_allowed": gettext_lazy("The address does not take this method."),
    "model_endpoint_mismatch": gettext_lazy("The model is not offered at this endpoint."),
    "model_not_allowed": gettext_lazy("The key or its group may not call this model."),
    "model_not_found": gettext_lazy("There is no such model."),
    "not_found": gettext_lazy("There is nothing at this address."),
    "origin_not_allowed": gettext_lazy("The request came from a page of another site."),
    "previous_response_not_found": gettext_lazy("The earlier response is not known."),
    "rate_limited": gettext_lazy("A limit of requests or tokens per minute was reached."),
    "request_timeout": gettext_lazy("The request did not arrive in time."),
    "request_too_large": gettext_lazy("The request was too large."),
    "task_not_cancellable": gettext_lazy("The task had begun already."),
    "task_not_found": gettext_lazy("The task that was asked for does not exist."),
    "temporarily_unavailable": gettext_lazy("The gateway could not take calls at that moment."),
    "unsupported_parameter": gettext_lazy("A field of the request is not supported."),
}


def say_code(code: str) -> str:
    """What the code means; empty for a provider's own, which nobody here can explain."""
    return str(REASONS.get(code, ""))
