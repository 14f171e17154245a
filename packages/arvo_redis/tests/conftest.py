from real_servers.fixtures import (
    redis_flavour as redis_flavour,
    redis_server as redis_server,
    redis_url as redis_url,
    start_redis as start_redis,
)
