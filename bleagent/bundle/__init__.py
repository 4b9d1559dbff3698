"""``bleagent support-bundle``: what helps others to help, and nothing that opens a door."""
