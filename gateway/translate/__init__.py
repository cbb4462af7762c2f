"""One API in the words of another, for models whose provider does not speak the client's. Pure."""
