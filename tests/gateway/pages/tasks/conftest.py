"""People with a key, and the folder of static files."""
