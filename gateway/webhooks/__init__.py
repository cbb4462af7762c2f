"""Webhooks of a group: who is told of what, and what becomes of it."""
