"""web-config.yml: what is wrong is named, and nothing secret is repeated."""

from __future__ import annotations

import ssl

import pytest
import trustme

from exporter.auth.webconfig import read_web_config
from exporter.domain.errors import Invalid

CURVE = "CurveP256"
HASH = "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze"
TLS = "tls_server_config: {cert_file: s.crt, key_file: s.key, %s}"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A certificate with its key, another key, and an authority."""
    path, ca = tmp_path_factory.mktemp("tls"), trustme.CA()
    issued, other = ca.issue_cert("localhost"), ca.issue_cert("localhost")
    (path / "s.crt").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(path / "s.key"))
    other.private_key_pem.write_to_path(str(path / "other.key"))
    ca.cert_pem.write_to_path(str(path / "ca.crt"))
    (path / "empty").write_text("")
    return path


def read(directory, text):
    path = directory / "web.yml"
    path.write_text(text)
    return read_web_config(str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tls: {}", "tls: unknown key"),
        ("[1]", "expected keys and values, got 'something else'"),
        ("a: b: c", "not YAML in line 1, column 5"),
        ("rate_limit: {burst: 1}", "rate_limit: not available here: limits.untrusted_requests_per_second does it"),
        ("tls_server_config: {cert_fil: s.crt}", "tls_server_config.cert_fil: unknown key"),
        ("tls_server_config: {cert_file: s.crt}", "tls_server_config.key_file: required, or key"),
        ("tls_server_config: {cert_file: none, key_file: s.key}", "tls_server_config.cert_file: cannot read"),
        ("tls_server_config: {cert_file: 7, key_file: s.key}", "tls_server_config.cert_file: expected text"),
        (
            "tls_server_config: {cert_file: s.crt, key_file: other.key}",
            "tls_server_config.cert_file: the certificate and",
        ),
        ("tls_server_config: {cert_file: s.crt, key_file: empty}", "tls_server_config.key_file: required"),
        (TLS % "cert: x", "tls_server_config.cert: expected either this or cert_file"),
        (TLS % "client_ca_file: ca.crt", "tls_server_config.client_auth_type: required with client_ca_file"),
        (TLS % "client_auth_type: RequireAnyClientCert", "RequireAnyClientCert verifies nothing"),
        (TLS % "client_auth_type: Maybe", "client_auth_type: expected NoClientCert, VerifyClientCertIfGiven"),
        (TLS % "client_allowed_sans: [a]", "client_allowed_sans: needs client_auth_type"),
        (
            TLS % "client_auth_type: RequireAndVerifyClientCert, client_ca_file: s.key",
            "client_ca_file: holds no certificates that can be used",
        ),
        (TLS % "min_version: TLS14", "min_version: expected TLS10, TLS11, TLS12, TLS13, got 'TLS14'"),
        (TLS % "min_version: [TLS12]", "min_version: expected text, got something else"),
        (TLS % "client_auth_type: [a]", "client_auth_type: expected text, got something else"),
        (TLS % "min_version: TLS13, max_version: TLS12", "max_version: expected no less than min_version"),
        (TLS % "cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]", "unknown cipher suite 'TLS_RSA_WITH_RC4_128_SHA'"),
        (TLS % "curve_preferences: [CurveP256, X25519]", "curve_preferences: expected one of CurveP256"),
        (TLS % "prefer_server_cipher_suites: 1", "prefer_server_cipher_suites: expected true or false, got 1"),
        (
            "http_server_config: {http3: true}",
            "http_server_config.http3: unknown key; did you mean http2?",
        ),
        ("http_server_config: {http2: 1}", "http_server_config.http2: expected true or false, got 1"),
        ("http_server_config: {headers: {Server: x}}", "http_server_config.headers.Server: cannot be set"),
        ("http_server_config: {headers: {X-Frame-Options: x}}", "expected deny or sameorigin, got 'x'"),
        ('http_server_config: {headers: {X-XSS-Protection: "a\\r\\nb: c"}}', "expected text of one line"),
        ("basic_auth_users: {alice: hunter2}", "basic_auth_users.'alice': expected a bcrypt hash"),
        (f"basic_auth_users: {{'a:b': {HASH}}}", "expected a name without a colon"),
        ("basic_auth_users: [alice]", "basic_auth_users: expected keys and values"),
    ],
)
def test_what_is_wrong_is_named(directory, text, message):
    with pytest.raises(Invalid) as refused:
        read(directory, text)

    assert message in str(refused.value)
    assert str(refused.value).startswith("web.config_file: ")
    assert "hunter2" not in str(refused.value)


def test_everything_that_can_be_said(directory):
    """All keys of the toolkit's that a Python server can honour."""
    more = (
        "client_ca_file: ca.crt, client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: [a.test], "
        "min_version: TLS12, max_version: TLS12, prefer_server_cipher_suites: false, curve_preferences: [CurveP256], "
        "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]"
    )
    text = f"{TLS % more}\nhttp_server_config: {{http2: false, headers: {{X-Frame-Options: deny}}}}\n"
    web = read(directory, text + f"basic_auth_users: {{alice: {HASH}}}\n")

    assert web.tls is not None
    assert web.tls.verify_mode is ssl.CERT_REQUIRED
    assert web.tls.maximum_version is ssl.TLSVersion.TLSv1_2
    assert {cipher["name"] for cipher in web.tls.get_ciphers() if cipher["protocol"] == "TLSv1.2"} == {
        "ECDHE-ECDSA-AES128-GCM-SHA256"
    }
    assert web.headers == ((b"x-frame-options", b"deny"),)
    assert (web.users, HASH in repr(web)) == ({"alice": HASH.encode()}, False)
    assert {name.rpartition("/")[2] for name in web.files} == {"web.yml", "s.crt", "s.key", "ca.crt"}


def test_certificates_may_stand_in_the_file_itself(directory):
    def indented(name):
        return "".join(f"    {line}\n" for line in (directory / name).read_text().splitlines())

    web = read(directory, f"tls_server_config:\n  cert: |\n{indented('s.crt')}  key: |\n{indented('s.key')}")
    assert web.tls is not None
    assert read(directory, "").tls is None
