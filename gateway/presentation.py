"""What the pages about calls show: a chart of days, and a charge explained so that anyone can follow it."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from billing import pricing
from billing.models import Price, Transfer
from billing.money import divide_half_even, format_scaled
from billing.presentation import dollars
from gateway.history import CHARGEABLE
from gateway.models import CallRecord, Model

SERIES_MAX = 5
PLOT_TOP, PLOT_HEIGHT = 8, 184
TICKS_MAX = 4
EXAMPLE_MODEL = "openai/gpt-5.5"

BUCKET_LABELS = {
    "input": _lazy_input if False else "",
}
