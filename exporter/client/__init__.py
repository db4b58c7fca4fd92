"""Everything that asks a registry, or sends to it for nodes.

`Client` (`client.py`) is the public one: a method for each thing that a registry does, typed answers, plain errors.
Programs that send for many nodes at once take a `RegistryClient` (`protocol.py`): `HttpClient` (`overhttp.py`) over
REST, `RedisClient` (`overredis.py`) over the Redis channel. Such a client belongs to no node: one may serve ten
thousand, from any number of tasks, with a bounded number of connections. It retries nothing and keeps nothing: when to
send again is the caller's decision, which the reply's outcome is made for; that no answer came is a reply too.

All of it makes HTTP requests in one way (`http.py`), and holds no secret in a message.
"""

from exporter.client.client import Client as Client
from exporter.client.credentials import Credentials as Credentials
from exporter.client.documents import Node as Node
from exporter.client.errors import ClientError as ClientError
from exporter.client.errors import NotARegistry as NotARegistry
from exporter.client.errors import Refused as Refused
from exporter.client.errors import Unreachable as Unreachable
from exporter.client.events import Event as Event
