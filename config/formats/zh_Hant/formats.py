"""Digits in threes with a comma, as dashboards in Chinese have them; Django would not group them at all."""

NUMBER_GROUPING = 3
THOUSAND_SEPARATOR = ","
