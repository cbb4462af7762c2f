"""The operator's pages: what they read, ask and write."""
