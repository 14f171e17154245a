from real_servers.fixtures import (
    nats_flavour as nats_flavour,
    postgres_flavour as postgres_flavour,
    redis_flavour as redis_flavour,
    start_nats as start_nats,
    start_postgres as start_postgres,
    start_redis as start_redis,
)
