"""How far a call has come: what is told of it when its deadline passes."""

import time

from gateway.attempt import Progress


def test_a_client_that_kept_the_call_waiting_for_most_of_its_time_held_it_up() -> None:
    progress = Progress()
    time.sleep(0.02)
    assert not progress.is_held_up
    # He reads fast just now, so that nothing waits for him at the deadline itself.
    progress.sending_s = 0.015
    assert progress.is_held_up


def test_a_client_that_does_not_read_just_now_holds_the_call_up() -> None:
    progress = Progress()
    progress.is_sending = True
    assert progress.is_held_up
