"""The playground: models tried in the browser, by a short-lived key, through the same gateway as every other call."""
