"""The pages of a group: what they ask, read and show."""
