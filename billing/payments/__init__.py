"""Buying credits: what a payment provider has to do (interface), orders, and Stripe Checkout as the one provider."""
