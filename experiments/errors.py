"""The one exception whose message is meant for the person at the terminal."""


class UserError(ValueError):
    """A mistake in what was asked for; its message is one clear line for the person who asked."""
