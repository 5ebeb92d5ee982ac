"""The command line."""


def main() -> int:
    """Not yet."""
    return 0
