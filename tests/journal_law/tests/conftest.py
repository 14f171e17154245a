from real_servers.fixtures import (
    postgres_dsn as postgres_dsn,
    postgres_flavour as postgres_flavour,
    postgres_server as postgres_server,
    redis_flavour as redis_flavour,
    redis_server as redis_server,
    redis_url as redis_url,
)
