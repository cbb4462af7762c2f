"""Stripe's secrets in the environment: both or none, and none that is empty."""

import os
import subprocess
import sys

import pytest

from tests.world import ROOT

KEY, SECRET = "TOLLGATE_STRIPE_SECRET_KEY", "TOLLGATE_STRIPE_WEBHOOK_SECRET"


def start(**variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import config.settings"],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "variables",
    [
        {KEY: "sk_test_1", SECRET: ""},
        {KEY: "sk_test_1", SECRET: "  "},
        {KEY: "sk_test_1"},
        {KEY: "", SECRET: "whsec_1"},
        {SECRET: "whsec_1"},
    ],
)
def test_one_secret_without_the_other_refuses_to_start(variables: dict[str, str]) -> None:
    done = start(**variables)
    assert done.returncode != 0
    assert "must be set together" in done.stderr


@pytest.mark.parametrize(
    "variables", [{}, {KEY: "", SECRET: ""}, {KEY: "sk_test_1", SECRET: "whsec_1"}]
)
def test_both_or_none_start(variables: dict[str, str]) -> None:
    done = start(**variables)
    assert done.returncode == 0, done.stderr
