"""What the guides say. Texts are Markdown in one line, with %(names)s that guides/values.py fills in; `%%` is a percent
sign. A text is said once, where it belongs: of a client, a family, an endpoint, or of all calls."""
