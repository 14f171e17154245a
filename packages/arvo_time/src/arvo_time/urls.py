"""URLs of backends, for authors of packages that open one by URL."""

from ._backend_url import BackendUrl

__all__ = ["BackendUrl"]
