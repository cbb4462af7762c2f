"""How numbers are written where Django and dashboards disagree."""
