"""Jobs that beat starts. Each can be run twice, at the same time or not at all without harm."""

from celery import shared_task

from billing import codes, promotions


@shared_task  # type: ignore[untyped-decorator]
def expire_promotions() -> int:
    """Take back promotional credits whose day has come. Answers how many nano-dollars."""
    return promotions.expire_promotions()


@shared_task  # type: ignore[untyped-decorator]
def count_captures() -> int:
    """Keep the spans short over which a refund may have to add up captures. Answers how many wallets."""
    return promotions.count_captures()


@shared_task  # type: ignore[untyped-decorator]
def forget_wrong_codes() -> int:
    """Delete old guesses at redeem codes. Answers how many."""
    return codes.forget_wrong_codes()
