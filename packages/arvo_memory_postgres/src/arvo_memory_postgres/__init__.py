"""Machine memory of Arvo on PostgreSQL, for many processes."""

__all__: list[str] = []
