"""The management API (/api/v1): what every app's part of it stands on, and the part about people, groups and keys."""
