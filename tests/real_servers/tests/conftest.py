from real_servers.fixtures import (
    postgres_flavour as postgres_flavour,
    redis_flavour as redis_flavour,
    start_postgres as start_postgres,
    start_redis as start_redis,
)
