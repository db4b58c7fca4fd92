"""The node's side of the protocol: to register, to be heard, to leave.

A `RegistryClient` (`voice.py`) carries what nodes say to the registry and brings back an `Answer`: `HttpClient` (`overhttp.py`)
over REST, `RedisClient` (`overbus.py`) over the Redis channel. A voice belongs to no node: one may speak for ten
thousand, from as many tasks as one likes, and holds a bounded number of connections. It repeats nothing later and
keeps nothing: when to speak again is its user's decision, which the answer's outcome is made for.

Whatever goes wrong on the way is an answer too, with a sentence for people that holds no secret. Only what the caller
got wrong raises: Invalid for a URL that is none.
"""
