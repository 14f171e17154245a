"""The arvo command."""

__all__: list[str] = []
