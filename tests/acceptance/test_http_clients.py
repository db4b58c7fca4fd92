"""HTTP as the clients of other languages send it: each writes with a body and reads it back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.registry_process import RegistryProcess

pytestmark = pytest.mark.servers

BODY = '{"until": "10m", "reason": "fan"}'
CURL = ("curl", "--silent", "--show-error", "--fail", "--max-time", "20", "-X", "PUT", "-d", BODY)
HTTP_OPTIONS = ("--http0.9", "--http1.0", "--http1.1", "--http2")
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
URLLIB = """
import sys, urllib.request
url, body = sys.argv[1:]
request = urllib.request.Request(url, body.encode(), {'Content-Type': 'application/json'}, method='PUT')
urllib.request.urlopen(request, timeout=20).read()
"""
HTTP_CLIENT = """
import http.client, sys, urllib.parse
url, body = urllib.parse.urlsplit(sys.argv[1]), sys.argv[2].encode()
connection = http.client.HTTPConnection(url.netloc, timeout=20)
chunks = (body[at : at + 1] for at in range(len(body)))
connection.request('PUT', url.path, chunks, {'Content-Type': 'application/json'}, encode_chunked=True)
assert connection.getresponse().status == 200
"""
REQUESTS = """
import requests, sys
url, body = sys.argv[1:]
requests.put(url, body, headers={'Content-Type': 'application/json'}, timeout=20).raise_for_status()
"""
AIOHTTP = """
import aiohttp, asyncio, json, sys
async def put(url, body):
    async with aiohttp.ClientSession(raise_for_status=True) as session, session.put(url, json=json.loads(body)):
        pass
asyncio.run(put(*sys.argv[1:]))
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
JAVA_OF_OLD = """
import java.net.*;
class Old {
    public static void main(String[] arguments) throws Exception {
        var connection = (HttpURLConnection) new URL(arguments[0]).openConnection();
        connection.setRequestMethod("PUT");
        connection.setRequestProperty("Content-Type", "application/json");
        connection.setDoOutput(true);
        connection.setChunkedStreamingMode(0);
        connection.getOutputStream().write(arguments[1].getBytes());
        if (connection.getResponseCode() != 200) throw new Exception(connection.getResponseMessage());
    }
}
"""
GO = """
package main

import ("net/http"; "os"; "strings")

func main() {
    request, _ := http.NewRequest("PUT", os.Args[1], strings.NewReader(os.Args[2]))
    request.Header.Set("Content-Type", "application/json")
    answer, err := http.DefaultClient.Do(request)
    if err != nil || answer.StatusCode != 200 { os.Exit(1) }
}
"""


NAMES = (
    *("curl", "curl --http0.9", "curl --http1.0", "curl --http1.1", "curl --http2"),
    *("curl chunked", "curl expect", "curl identity", "wget", "node fetch", "node http", "perl HTTP::Tiny"),
    *("python urllib", "python http.client", "python requests", "python aiohttp", "bash, HTTP/1.0 without Host"),
    *("java.net.http", "java HttpURLConnection", "go net/http"),
)


def commands(url: str, directory: Path) -> dict[str, list[str]]:
    """The command lines, by the client's name; each puts the body to the address."""
    java, java_of_old, go = directory / "Put.java", directory / "Old.java", directory / "put.go"
    for path, text in ((java, JAVA), (java_of_old, JAVA_OF_OLD), (go, GO)):
        path.write_text(text)
    return {
        "curl": [*CURL, *JSON_TYPE, url],
        **{f"curl {option}": [*CURL, *JSON_TYPE, option, url] for option in HTTP_OPTIONS},
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
        "python urllib": [sys.executable, "-c", URLLIB, url, BODY],
        "python http.client": [sys.executable, "-c", HTTP_CLIENT, url, BODY],
        "python requests": [sys.executable, "-c", REQUESTS, url, BODY],
        "python aiohttp": [sys.executable, "-c", AIOHTTP, url, BODY],
        "bash, HTTP/1.0 without Host": ["bash", "-c", SHELL, "put", url.removeprefix("http://127.0.0.1:"), BODY],
        "java.net.http": ["java", "-XX:TieredStopAtLevel=1", str(java), url, BODY],
        "java HttpURLConnection": ["java", "-XX:TieredStopAtLevel=1", str(java_of_old), url, BODY],
        "go net/http": ["go", "run", str(go), url, BODY],
    }  # fmt: skip


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    with RegistryProcess(tmp_path_factory.mktemp("clients")) as registry:
        yield registry


OPTIONAL = {"java.net.http", "java HttpURLConnection", "go net/http"}
"""Java and Go are large: their clients are tried where there are some. The first asks for h2c, as curl --http2 does."""


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


def test_a_registration_arrives_from_busybox(registry):
    """Its wget knows no method but GET and POST."""
    body, url = '{"name": "busybox", "role": "edge"}', f"{registry.url}/nodes/register"
    command = ["busybox", "wget", "-q", "-O", "-", "--header", JSON_TYPE[1], "--post-data", body, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert registry.nodes()["busybox"]["role"] == "edge"


def test_http_2_without_an_upgrade_is_refused_at_once(registry):
    """What begins by HTTP/2's preface gets an answer that says no, and nothing is kept waiting."""
    command = [*CURL, *JSON_TYPE, "--http2-prior-knowledge", f"{registry.url}/nodes/nobody/maintenance"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode not in {0, 28}, "28 is curl's timeout"
    assert registry.nodes() is not None
