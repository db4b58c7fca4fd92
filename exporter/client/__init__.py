"""The node's side of the protocol: register, send heartbeats, deregister.

A `RegistryClient` (`protocol.py`) sends what nodes report to the registry and returns a `Reply`: `HttpClient`
(`overhttp.py`) over REST, `RedisClient` (`overredis.py`) over the Redis channel. A client belongs to no node: one may
serve ten thousand, from any number of tasks, with a bounded number of connections. It retries nothing and keeps
nothing: when to send again is the caller's decision, which the reply's outcome is made for.

A transport failure is a reply too, with a sentence for people that holds no secret. Only the caller's own mistakes
raise: Invalid for a malformed URL.
"""
