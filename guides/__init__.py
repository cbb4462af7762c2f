"""What the public reads: home, prices, models, status and guides, in every language and as Markdown. Writes nothing."""
