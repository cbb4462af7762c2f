"""Names as people type them."""

from accounts.forms import OnboardingForm


def test_onboarding_needs_both_names() -> None:
    form = OnboardingForm({"organization_name": " ", "group_name": "g" * 121})
    assert set(form.errors) == {"organization_name", "group_name"}
