"""What goes wrong between us and an issuer."""


class IssueError(Exception):
    """No certificate; the text says whose fault it is and why, in one line."""
