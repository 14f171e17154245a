"""The concurrent machine memory and event broker of Arvo, in one process."""

__all__: list[str] = []
