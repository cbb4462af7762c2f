"""The Model Context Protocol at /mcp: tools for agents, each a request to the API."""
