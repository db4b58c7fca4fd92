from __future__ import annotations

import pytest
from redis import exceptions

from exporter.redislink.errors import explain
from exporter.redislink.url import parse_redis_url

URL = parse_redis_url("redis://aurora:s3cret@h:7/2")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            exceptions.AuthenticationError("invalid username-password pair or user is disabled."),
            "it refuses the user and password: set the right ones in its URL",
        ),
        (
            exceptions.NoPermissionError("User aurora has no permissions to run the 'evalsha' command"),
            "its user lacks a permission (User aurora has no permissions to run the 'evalsha' command)",
        ),
        (
            exceptions.ResponseError("-OOM command not allowed when used memory > 'maxmemory'. script: 1, on @user_s"),
            "it is out of memory and takes no writes: raise its maxmemory or free some",
        ),
        (
            exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots, but"),
            "it takes no writes, since it cannot save to its disk: look into its log",
        ),
        (
            exceptions.ReadOnlyError("You can't write against a read only replica."),
            "it is a replica and takes no writes: give the master's address, or its Sentinels'",
        ),
        (
            exceptions.ResponseError(
                "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
            ),
            "it is a replica and takes no writes: give the master's address, or its Sentinels'",
        ),
        (
            exceptions.MasterDownError("Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
            "it is a replica that lost its master, and answers nothing until it has one",
        ),
        (
            exceptions.ResponseError("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN"),
            "it is busy with a script that another program runs: wait, or end it by SCRIPT KILL",
        ),
        (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "it is still loading its data: wait"),
        (exceptions.TimeoutError("Timeout reading from h:7"), "it did not answer in time"),
        (TimeoutError(), "it did not answer in time"),
        (
            exceptions.ConnectionError("Error 111 connecting to h:7. Connect call failed ('h', 7)."),
            "it refuses connections: nobody listens at this address",
        ),
        (
            exceptions.ConnectionError("max number of clients reached"),
            "it has as many clients as it allows: raise its maxclients",
        ),
        (
            exceptions.ClusterDownError("Hash slot not served"),
            "its cluster is down: no server has some of its slots",
        ),
        (FileNotFoundError(2, "No such file or directory"), "[Errno 2] No such file or directory"),
        (exceptions.ConnectionError(), "ConnectionError"),
    ],
)
def test_an_error_is_one_sentence_that_names_the_server(error, sentence):
    assert explain(error, URL) == f"Redis at redis://h:7/2: {sentence}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("unknown command 'AUTH', with args beginning with: 's3cret' ", "unknown command 'AUTH'"),
        ("something about s3cret", "something about ***"),
        ("x" * 500, "x" * 200),
    ],
)
def test_an_error_that_nobody_foresaw_is_shown_without_secrets(text, shown):
    assert explain(exceptions.ResponseError(text), URL) == f"Redis at redis://h:7/2: {shown}"
