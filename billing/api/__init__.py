"""The part of the management API about money."""
