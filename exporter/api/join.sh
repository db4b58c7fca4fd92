#!/bin/sh
# Make this machine a node of the mesh, or upgrade its agent:
#   curl -fsSL @REGISTRY@/join | sh -s -- --site home
# It fetches the agent, one file, from the registry and lets it install itself; --help lists its options.
set -eu

main() {
    registry='@REGISTRY@'
    sha256='@SHA256@'
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9}; do
        if command -v "$python" >/dev/null && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))'; then
            exec "$python" -c "$fetch" "$registry" "$sha256" "$@" </dev/null
        fi
    done
    echo 'join: Python 3.9 or newer is needed: install one (apt-get install python3), or name it: PYTHON=...' >&2
    exit 1
}

fetch='
import hashlib, os, sys, tempfile, urllib.request
registry, sha256, options = sys.argv[1], sys.argv[2], sys.argv[3:]
url = registry + "/agent/aurora-agent.pyz"
try:
    context = None
    words = [word for option in options for word in option.split("=", 1)]
    given = dict(zip(words, words[1:]))
    if url.startswith("https:"):
        import ssl
        context = ssl.create_default_context(cafile=given.get("--ca-file"))
        if "--cert-file" in given:
            context.load_cert_chain(given["--cert-file"], given.get("--key-file"))
    agent = urllib.request.urlopen(url, timeout=30, context=context).read()
except Exception as error:
    sys.exit(f"join: {url} cannot be fetched: {error}")
if hashlib.sha256(agent).hexdigest() != sha256:
    sys.exit(f"join: {url} is not what the registry announced: run this again")
path = ""
try:
    descriptor, path = tempfile.mkstemp(suffix=".pyz")
    with os.fdopen(descriptor, "wb") as file:
        file.write(agent)
except OSError as error:
    if path:
        os.unlink(path)
    sys.exit(f"join: the agent cannot be put down anywhere: {error}; TMPDIR names another place")
os.environ["AURORA_JOIN_FETCHED"] = path
os.execv(sys.executable, [sys.executable, path, "install", "--registry", registry, *options])
'

main "$@"
