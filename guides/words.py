"""Words for what the public pages tell apart: states, kinds of models, features."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

STATES: Mapping[str, Promise] = {
    "operational": pgettext_lazy("status of a service", "Operational"),
    "degraded": pgettext_lazy("status of a service", "Degraded"),
    "down": pgettext_lazy("status of a service", "Down"),
    "unserved": pgettext_lazy("status of a service", "Not served here"),
    "quiet": pgettext_lazy("status of a service", "No recent calls"),
}
OVERALL: Mapping[str, Promise] = {
    "operational": _("Everything works"),
    "degraded": _("Some services have trouble"),
    "down": _("Tollgate is not answering calls"),
}
RANGES: Mapping[str, Promise] = {"24h": _("24 hours"), "90d": _("90 days")}
KINDS: Mapping[str, Promise] = {
    "text": _("Text"),
    "image": _("Pictures"),
    "embedding": _("Embeddings"),
}
MODALITIES: Mapping[str, Promise] = {
    "text->text": _("Text to text"),
    "text->embedding": _("Text to embeddings"),
    "text+image->image": _("Text and pictures to pictures"),
    "image->image": _("Pictures to pictures"),
}
FEATURES: Mapping[str, Promise] = {
    "caching": _("Prompt caching"),
    "long_context": _("Prices by context length"),
    "tiers": _("Flex and priority tiers"),
    "chat": _("Chat Completions API"),
    "responses": _("Responses API"),
    "messages": _("Anthropic Messages API"),
    "generate": _("Gemini API"),
    "draw": _("Text to picture"),
    "edit": _("Editing of pictures"),
    "mask": _("Masks"),
    "transparent": _("Transparent background"),
    "upscale": _("Enlarging of pictures"),
}
"""What a model can be chosen by, out of its prices, its endpoints and what it offers for pictures."""
ENDPOINTS: Mapping[str, Promise] = {
    "/v1/chat/completions": _("OpenAI’s Chat Completions, streamed or whole"),
    "/v1/responses": _("OpenAI’s Responses, streamed or whole"),
    "/v1/messages": _("Anthropic’s Messages, streamed or whole"),
    "/v1/embeddings": _("OpenAI’s Embeddings"),
    "/v1/text_to_image": _("A picture out of words, as a task that is polled or calls back"),
    "/v1/edit_image": _("A picture out of pictures and words, as a task"),
    "/v1/upscale_image": _("A picture enlarged, as a task"),
    "/v1/images/generations": _("OpenAI’s Images, which waits for the picture"),
    "/v1/images/edits": _("OpenAI’s edits of pictures, which wait for the picture"),
}
GEMINI_ENDPOINT: Promise = _("Google’s generateContent, streamed or whole")
