"""The part of the management API about calls, tasks, prices and providers."""
