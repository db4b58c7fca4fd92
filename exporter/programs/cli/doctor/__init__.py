"""`aurora-cli doctor`: the whole way from heartbeat to message, checked link by link."""
