"""HTTP as the clients of other languages send it: each writes with a body and reads it back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.registry_process import RegistryProcess

pytestmark = pytest.mark.servers

BODY = '{"until": "10m", "reason": "fan"}'
CURL = ("curl", "--silent", "--show-error", "--fail", "--max-time", "20", "-X", "PUT", "-d", BODY)
JSON_TYPE = ("-H", "Content-Type: application/json")
NODE_FETCH = """
const [url, body] = process.argv.slice(1);
const answer = await fetch(url, {method: 'PUT', body, headers: {'Content-Type': 'application/json'}});
if (!answer.ok) throw new Error(await answer.text());
"""
NODE_HTTP = """
const [url, body] = process.argv.slice(1);
const headers = {'Content-Type': 'application/json', Expect: '100-continue'};
const request = require('http').request(url, {method: 'PUT', headers}, (answer) => {
  answer.resume();
  if (answer.statusCode !== 200) process.exitCode = 1;
});
request.on('continue', () => { for (const letter of body) request.write(letter); request.end(); });
"""
PERL = """
use HTTP::Tiny;
my ($url, $body) = @ARGV;
my $options = {content => $body, headers => {'Content-Type' => 'application/json'}};
my $answer = HTTP::Tiny->new->request('PUT', $url, $options);
die $answer->{content} unless $answer->{success};
"""
PYTHON = """
import sys, urllib.request
url, body = sys.argv[1:]
request = urllib.request.Request(url, body.encode(), {'Content-Type': 'application/json'}, method='PUT')
urllib.request.urlopen(request, timeout=20).read()
"""
SHELL = """
exec 3<>"/dev/tcp/127.0.0.1/${1%%/*}"
head='PUT /%s HTTP/1.0\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n'
printf "$head%s" "${1#*/}" "${#2}" "$2" >&3
read -r _ status _ <&3
[ "$status" = 200 ]
"""
JAVA = """
import java.net.URI;
import java.net.http.*;
class Put {
    public static void main(String[] arguments) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(arguments[0])).header("Content-Type", "application/json")
            .PUT(HttpRequest.BodyPublishers.ofString(arguments[1])).build();
        var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200) throw new Exception(answer.body());
    }
}
"""


NAMES = (
    *("curl", "curl --http1.0", "curl --http2", "curl chunked", "curl expect", "curl identity", "wget"),
    *("node fetch", "node http", "perl HTTP::Tiny", "python urllib", "bash, HTTP/1.0 without Host", "java.net.http"),
)


def commands(url: str, directory: Path) -> dict[str, list[str]]:
    """The command lines, by the client's name; each puts the body to the address."""
    java = directory / "Put.java"
    java.write_text(JAVA)
    return {
        "curl": [*CURL, *JSON_TYPE, url],
        "curl --http1.0": [*CURL, *JSON_TYPE, "--http1.0", url],
        "curl --http2": [*CURL, *JSON_TYPE, "--http2", url],
        "curl chunked": [*CURL, *JSON_TYPE, "-H", "Transfer-Encoding: chunked", url],
        "curl expect": [*CURL, *JSON_TYPE, "-H", "Expect: 100-continue", url],
        "curl identity": [*CURL, *JSON_TYPE, "-H", "Content-Encoding: identity", url],
        "wget": [
            "wget", "--quiet", "--tries=1", "--timeout=20", "--output-document=-", "--method=PUT",
            f"--body-data={BODY}", "--header=Content-Type: application/json", url,
        ],
        "node fetch": ["node", "--input-type=module", "-e", NODE_FETCH, url, BODY],
        "node http": ["node", "-e", NODE_HTTP, url, BODY],
        "perl HTTP::Tiny": ["perl", "-e", PERL, url, BODY],
        "python urllib": ["python3", "-c", PYTHON, url, BODY],
        "bash, HTTP/1.0 without Host": ["bash", "-c", SHELL, "put", url.removeprefix("http://127.0.0.1:"), BODY],
        "java.net.http": ["java", "-XX:TieredStopAtLevel=1", str(java), url, BODY],
    }  # fmt: skip


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    with RegistryProcess(tmp_path_factory.mktemp("clients")) as registry:
        yield registry


OPTIONAL = {"java.net.http"}
"""A JDK is large: its client is tried where there is one. It asks for h2c, as curl --http2 does."""


@pytest.mark.parametrize("client", NAMES)
def test_a_body_arrives_from(client, registry, tmp_path):
    """Whatever it asks for besides: upgrades, 100 Continue, chunks, HTTP/1.0."""
    name = "n-" + "".join(letter for letter in client if letter.isalnum())
    assert registry.register(name=name) == 201
    command = commands(f"{registry.url}/nodes/{name}/maintenance", tmp_path)[client]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:
        if client in OPTIONAL:
            pytest.skip(f"no {command[0]} on this machine")
        raise
    assert done.returncode == 0, done.stderr
    document = registry.nodes()[name]
    assert (document["lifecycle"], document["lifecycle_reason"]) == ("maintenance", "fan")
