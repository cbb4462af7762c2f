"""Image tasks: what is asked for, what each model offers, and what callers see of it."""
