"""What asyncpg reads from a DSN."""

from typing import Final

DSN_OPTIONS: Final = frozenset(
    {
        *("host", "port", "user", "password", "passfile", "dbname", "database"),
        *("service", "target_session_attrs", "krbsrvname", "gsslib"),
        *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword"),
        *("sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version"),
    }
)
"""The options that asyncpg reads itself. It sends all others to the server as settings."""
