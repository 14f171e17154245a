"""Machine memory of Arvo on Redis or Valkey, shared by many processes."""

__all__: list[str] = []
