"""Every fault that must be survived, what has to hold, and the tests that inject it. `make faults` plays them all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One fault; `tests` are node ids below tests/, without parameters."""

    number: str
    injected: str
    holds: str
    tests: tuple[str, ...]


FAULTS = (
    # What any service of this kind must survive.
    Fault(
        "1",
        "Redis killed, started again",
        "reads stay 200, nothing lost, no false status",
        (
            "acceptance/test_redis_outage.py::test_redis_is_killed_and_comes_back_empty",
            "acceptance/test_redis_outage.py::test_nobody_listens_at_the_address_of_redis",
        ),
    ),
    Fault(
        "2",
        "Redis starts empty",
        "written again from memory; what left stays away",
        (
            "acceptance/test_redis_outage.py::test_redis_is_killed_and_comes_back_empty",
            "stores/test_redis_faults.py::test_a_redis_that_restarts_empty_is_seeded_again",
        ),
    ),
    Fault(
        "3",
        "Redis stopped (SIGSTOP)",
        "answers within 2 s; writes 503; blind time does not count",
        (
            "acceptance/test_redis_outage.py::test_redis_hangs",
            "bus/test_listener.py::test_a_stopped_redis_is_noticed",
            "stores/test_redis_faults.py::test_a_redis_that_hangs_is_given_up_within_two_seconds",
        ),
    ),
    Fault(
        "4",
        "Redis out of memory, or set to drop keys",
        "503 with the reason, reads fine; a warning at start",
        (
            "faults/test_stores.py::test_a_redis_that_takes_no_writes_is_down_until_it_does",
            "stores/test_redis_store.py::test_a_redis_that_drops_data_is_warned_of",
        ),
    ),
    Fault(
        "5",
        "Redis' password changed",
        "said without the secret, and recovers",
        (
            "stores/test_redis_faults.py::test_a_password_that_changes_while_running_is_said_and_waited_for",
            "bus/test_listener.py::test_a_changed_password_is_reported_without_the_secret",
        ),
    ),
    Fault(
        "6",
        "subscription black-holed",
        "noticed, and connected again",
        ("bus/test_listener.py::test_a_black_holed_subscription_is_noticed",),
    ),
    Fault(
        "7",
        "Sentinel failover",
        "the new master is found; nothing lost",
        (
            "bus/test_listener.py::test_behind_sentinels_the_new_master_is_found",
            "stores/test_redis_faults.py::test_sentinels_lead_to_the_new_master",
            "faults/test_soak.py::test_a_short_soak_finds_nothing",
        ),
    ),
    Fault(
        "8",
        "CLIENT KILL, events faster than Redis keeps them",
        "subscribed again; the gap counts as blind",
        (
            "acceptance/test_redis_outage.py::test_subscription_is_cut",
            "bus/test_listener.py::test_a_killed_subscription_is_a_gap",
        ),
    ),
    Fault(
        "9",
        "registry down, stopped, or started while Redis is down",
        "all nodes kept; no false status; the dead go offline",
        (
            "acceptance/test_restart.py::test_node_that_died_in_between_is_held_first",
            "acceptance/test_restart.py::test_stopped_process_blames_nobody",
            "acceptance/test_redis_outage.py::test_redis_is_down_at_the_start",
        ),
    ),
    Fault(
        "10",
        "kill -9 during writes",
        "nothing acknowledged is lost",
        (
            "acceptance/test_restart.py::test_kill_9_loses_nothing_and_blames_nobody",
            "acceptance/test_restart.py::test_kill_9_during_load_loses_nothing_acknowledged",
            "stores/test_store_durability.py::test_nothing_acknowledged_is_lost_when_the_process_is_killed",
        ),
    ),
    Fault(
        "11",
        "wall clock an hour ahead, an hour back",
        "no false status; ages never negative; the dead go offline",
        (
            "faults/test_ordering.py::test_the_wall_clock_is_set_back",
            "nodemap/test_status.py::test_a_jump_of_the_wall_clock_changes_no_status_and_no_age",
        ),
    ),
    Fault(
        "12",
        "heartbeats stamped wrongly, out of order, twice",
        "receipt decides; last_seen never goes back",
        (
            "domain/test_heartbeat.py::test_a_timestamp_that_cannot_be_used_is_no_timestamp",
            "stores/test_store_contract.py::test_a_heartbeat_goes_forward_only",
        ),
    ),
    Fault(
        "13",
        "one name, two machines; a copied token",
        "409; the owner is unchanged",
        (
            "client/test_overhttp.py::test_a_name_of_another_living_machine_is_a_conflict",
            "api/test_rest_agents.py::test_two_machines_that_take_turns_are_a_conflict",
            "api/test_rest_tokens.py::test_a_node_cannot_register_as_another",
        ),
    ),
    Fault(
        "14",
        "hostile strings everywhere",
        "refused by field, or carried faithfully; the scrape parses",
        (
            "api/test_rest_fuzz.py::test_no_body_breaks_anything",
            "domain/test_registration.py::test_any_bytes_are_a_registration_or_refused",
            "fuzz/test_fuzz.py::test_whatever_comes_is_taken_or_refused",
        ),
    ),
    Fault(
        "15",
        "new nodes without end from one source; values without end",
        "limits answer 429; others are unaffected",
        (
            "api/test_rest_attacks.py::test_strangers_that_ask_too_often_are_refused",
            "api/test_rest_tokens.py::test_a_stolen_join_token_fills_the_mesh_slowly",
            "nodemap/test_bounds.py::test_what_nodes_state_together_has_a_limit",
        ),
    ),
    Fault(
        "16",
        "slow heads and bodies, 500 connections",
        "others are served; each ends by a deadline",
        (
            "api/test_rest_protocol.py::test_slow_connections_do_not_keep_others_waiting",
            "api/test_rest_protocol.py::test_slow_headers_end",
            "api/test_rest_protocol.py::test_slow_bodies_end",
        ),
    ),
    Fault(
        "17",
        "huge bodies, bombs, unknown encodings",
        "413 or 415",
        (
            "api/test_rest_protocol.py::test_a_huge_body_is_refused_and_thrown_away",
            "api/test_rest_attacks.py::test_bombs_are_refused_in_few_words",
            "api/test_rest_middleware.py::test_bodies_have_a_limit",
        ),
    ),
    Fault(
        "18",
        "deep JSON, huge numbers, wrong types, duplicate keys",
        "4xx with the field, never 500",
        (
            "domain/test_strictjson.py::test_any_bytes_are_read_or_refused",
            "api/test_rest_fuzz.py::test_no_body_breaks_anything",
        ),
    ),
    Fault(
        "19",
        "junk on the bus, and a flood of it",
        "heartbeats in between count; counted by reason",
        (
            "bus/test_listener.py::test_a_flood_drowns_nobody",
            "bus/test_listener.py::test_what_waits_unread_is_no_outage",
            "bus/test_events.py::test_any_bytes_are_read_or_refused",
        ),
    ),
    Fault(
        "20",
        "5,000 nodes register again at once",
        "all are in",
        (
            "faults/test_mass_return.py::test_five_thousand_nodes_register_again_at_once",
            "stores/test_store_contract.py::test_five_thousand_nodes_are_one_batch",
        ),
    ),
    Fault(
        "21",
        "the whole mesh, most of it, one site goes missing",
        "one alert; node alerts are inhibited",
        (
            "alerts/test_inhibition.py::test_one_alert_stands_for_many",
            "scenarios/test_outages.py::test_people_get_a_message_of_the_outage_and_of_no_node",
        ),
    ),
    Fault(
        "22",
        "scrapers that read a byte a second",
        "cut off; heartbeats and other scrapes unaffected",
        (
            "api/test_rest_attacks.py::test_a_reader_that_does_not_read_is_cut_off",
            "api/test_events.py::test_a_slow_reader_is_dropped_with_a_reason_and_others_are_not",
        ),
    ),
    Fault(
        "23",
        "several registries, one cut off from Redis",
        "the same answers after healing; each transition once",
        (
            "faults/test_ordering.py::test_nodes_of_a_registry_that_is_cut_off_are_held",
            "acceptance/test_replicas.py::test_each_transition_is_published_once",
            "faults/test_soak.py::test_a_short_soak_finds_nothing",
        ),
    ),
    Fault(
        "24",
        "SIGTERM during scrapes, writes, half requests",
        "what was received whole is answered; exit 0",
        (
            "acceptance/test_restart.py::test_sigterm_during_load_finishes_what_it_began",
            "acceptance/test_ending_connections.py::test_what_is_unfinished_holds_nobody_up",
            "acceptance/test_ending_connections.py::test_nor_does_it_with_tls",
        ),
    ),
    Fault(
        "25",
        "disk full under SQLite",
        "503; old data whole; recovers when there is room",
        ("stores/test_store_durability.py::test_a_full_disk_is_said_and_waited_for",),
    ),
    Fault(
        "26",
        "database cut, flipped, of zero bytes, of a newer version",
        "refused with a way out; never empty instead",
        (
            "acceptance/test_operation.py::test_damaged_database_is_refused",
            "stores/test_sqlite_store.py::test_a_file_of_zero_bytes_is_refused",
            "stores/test_sqlite_store.py::test_a_file_of_a_newer_version_is_refused",
        ),
    ),
    Fault(
        "27",
        "tokens: missing, wrong, of another node, rotated",
        "401 or 403; old and new overlap",
        (
            "acceptance/test_security.py::test_tokens",
            "api/test_rest_tokens.py::test_a_registration_gives_the_node_its_token_and_rotation_a_new_one",
        ),
    ),
    Fault(
        "28",
        "TLS: plain HTTP, old versions, no or wrong certificates",
        "refused",
        ("acceptance/test_security.py::test_tls_with_client_certificates",),
    ),
    # What did not hold once, each by its input.
    Fault(
        "S1",
        "a node dies while another registry is cut off",
        "merging makes no heartbeat",
        ("faults/test_ordering.py::test_merging_makes_no_heartbeat",),
    ),
    Fault(
        "S2",
        "a registry that is cut off goes on acknowledging",
        "others hold its nodes; then it refuses",
        (
            "faults/test_ordering.py::test_nodes_of_a_registry_that_is_cut_off_are_held",
            "faults/test_ordering.py::test_a_dead_node_of_a_registry_that_is_gone_goes_offline",
        ),
    ),
    Fault(
        "S3",
        "Redis' clock is set",
        "no false status",
        ("faults/test_ordering.py::test_the_clock_of_redis_is_set",),
    ),
    Fault(
        "S4",
        "the wall clock goes back and a node dies",
        "recorded at once, in order",
        ("faults/test_ordering.py::test_the_wall_clock_is_set_back",),
    ),
    Fault(
        "S5",
        "a write that was answered 503 is applied later",
        "all registries agree",
        ("faults/test_ordering.py::test_a_write_that_was_given_up_is_applied_later",),
    ),
    Fault(
        "S6",
        "Redis emptied, or restored from an old dump",
        "each transition once; nobody active without a heartbeat",
        (
            "faults/test_ordering.py::test_a_store_forgets",
            "nodemap/test_merging.py::test_the_stamp_that_another_registry_gave_a_heartbeat_is_no_return",
        ),
    ),
    Fault(
        "S7",
        "the registry restarts, then Redis restarts empty",
        "the last transition stays; nothing is published again",
        ("faults/test_ordering.py::test_redis_restarts_empty_after_the_registry_did",),
    ),
    Fault(
        "S8",
        "SQLite's journal flipped, cut, removed after kill -9",
        "all is there, or refused",
        (
            "stores/test_sqlite_damage.py::test_a_bit_that_flipped",
            "stores/test_sqlite_damage.py::test_a_file_that_is_cut_or_gone",
            "stores/test_sqlite_damage.py::test_half_a_transaction_whose_journal_is_damaged",
        ),
    ),
    Fault(
        "S9",
        "protected mode, or no Redis at all at its address",
        "named and waited for",
        ("faults/test_stores.py::test_what_is_no_redis_is_named_and_waited_for",),
    ),
    Fault(
        "S10",
        "junk in Redis",
        "set aside, or served from memory",
        (
            "faults/test_stores.py::test_junk_in_redis_ends_nothing",
            "faults/test_stores.py::test_a_redis_that_says_nothing_is_waited_for_while_running_and_refused_at_a_start",
        ),
    ),
    Fault(
        "S11",
        "Redis that is read but takes no writes",
        "down until a write succeeds",
        ("faults/test_stores.py::test_a_redis_that_takes_no_writes_is_down_until_it_does",),
    ),
    Fault(
        "S12",
        "two registries on one file by another name",
        "the second is refused",
        ("stores/test_sqlite_damage.py::test_a_second_registry_is_refused_by_whatever_name",),
    ),
    Fault(
        "S13",
        "Redis without persistence",
        "said at start, by a gauge and /health",
        ("faults/test_stores.py::test_a_redis_without_persistence_is_reported",),
    ),
    Fault(
        "S14",
        "disk full, out of memory, wrong password",
        "the 503 has the reason",
        (
            "redislink/test_redis_errors.py::test_an_error_is_one_sentence_that_names_the_server",
            "faults/test_stores.py::test_a_redis_that_takes_no_writes_is_down_until_it_does",
        ),
    ),
    Fault(
        "S15",
        "SIGTERM at any moment over Redis",
        "ends within its deadline",
        (
            "acceptance/test_ending.py::test_sigterm_at_any_moment_ends_it",
            "process/test_tasks.py::test_work_on_a_real_redis_always_ends",
        ),
    ),
    Fault(
        "S16",
        "standard error that nobody reads",
        "logging waits for nobody",
        ("acceptance/test_ending.py::test_standard_error_that_nobody_reads_holds_nobody_up",),
    ),
    Fault(
        "S17",
        "HTTP upgrades that clients ask for",
        "ignored, and the body read",
        (
            "acceptance/test_http_clients.py::test_a_body_arrives_from",
            "api/test_rest_attacks.py::test_an_upgrade_is_ignored_and_the_body_is_read",
        ),
    ),
    Fault(
        "S18",
        "addresses with ports in X-Forwarded-For",
        "the address without its port",
        ("api/test_rest_trust.py::test_a_trusted_proxy_names_the_caller",),
    ),
    Fault(
        "S19",
        "--web.listen-address=:9999",
        "IPv4 and IPv6",
        ("wiring/test_listening.py::test_without_a_host_both_families_are_served",),
    ),
    Fault(
        "S20",
        "the cluster's node that we subscribed to is removed",
        "noticed, and the next node is tried",
        ("bus/test_cluster.py::test_a_node_that_was_removed_from_its_cluster_is_left_for_the_next",),
    ),
    Fault(
        "S21",
        "Content-Encoding: identity; a small z in times",
        "taken",
        (
            "api/test_rest_middleware.py::test_an_encoding_that_changes_nothing_is_taken",
            "domain/test_timestamp.py::test_a_time_with_its_offset_is_read",
        ),
    ),
    Fault(
        "S22",
        "the lowest versions that pyproject.toml allows",
        "limits apply with them too (make lowest)",
        ("api/test_rest_attacks.py::test_one_stranger_has_a_share_of_connections",),
    ),
    Fault(
        "S23",
        "a Redis that answers with more than anybody can take",
        "bounded memory; named and waited for",
        (
            "faults/test_hostile_redis.py::test_it_takes_bounded_memory_and_ends_nothing",
            "redislink/test_hostile_server.py::test_a_large_array_is_refused_before_memory_is_set_aside",
            "redislink/test_hostile_server.py::test_slots_that_no_cluster_has_are_refused",
        ),
    ),
    Fault(
        "S24",
        "two registries write of one node at once; one stops",
        "what either acknowledged stays",
        (
            "faults/test_concurrent_writes.py::test_commands_at_two_registries_in_one_moment_both_count",
            "faults/test_concurrent_writes.py::test_a_registry_that_stops_saves_no_birth_over_a_registration",
            "faults/test_concurrent_writes.py::test_a_birth_that_was_not_saved_yet_yields_to_a_registration",
            "faults/test_concurrent_writes.py::test_nothing_is_acknowledged_from_what_a_registry_has_not_heard_of",
            "faults/test_concurrent_writes.py::test_a_registry_says_nothing_of_nodes_that_it_has_not_heard_of",
        ),
    ),
    Fault(
        "S25",
        "others alter a Redis while registries run",
        "put right, from memory where need be; nobody is turned",
        ("faults/test_altered_redis.py::test_a_redis_that_others_alter",),
    ),
    Fault(
        "S26",
        "others move or overwrite SQLite's files while a registry runs",
        "what was acknowledged is there, or refused",
        (
            "faults/test_altered_files.py::test_files_that_others_alter",
            "faults/test_altered_files.py::test_what_others_take_from_the_file_is_written_again",
            "faults/test_altered_files.py::test_another_database_over_the_file_is_put_aside",
            "faults/test_altered_files.py::test_a_file_that_is_copied_over_again_and_again",
        ),
    ),
    Fault(
        "S27",
        "Redis loads its data for long, is busy with a script",
        "not up before a ping is answered; said why",
        (
            "bus/test_listener.py::test_a_redis_that_loads_its_data_is_not_received",
            "redislink/test_redis_errors.py::test_an_error_is_one_sentence_that_names_the_server",
        ),
    ),
    Fault(
        "S28",
        "wall clocks are a year off, while running and across a start",
        "what left stays away, histories and outages are kept",
        (
            "stores/test_store_contract.py::test_no_wall_clock_prunes_what_left_lately",
            "stores/test_store_contract.py::test_a_mark_is_known_though_mesh_time_is_ahead_of_the_wall_clock",
            "nodemap/test_merging.py::test_a_stop_is_no_time_in_which_late_heartbeats_could_have_come",
        ),
    ),
    Fault(
        "S29",
        "what waits on the bus while a registry is stopped (SIGSTOP)",
        "yields to what others acknowledged since; is asked for again",
        (
            "faults/test_late_commands.py::test_what_waited_through_a_stop_yields_to_what_was_written_since",
            "bus/test_consumer.py::test_a_departure_that_waited_yields_to_a_registration_since",
            "bus/test_consumer.py::test_in_a_flood_registrations_are_taken",
        ),
    ),
    Fault(
        "S30",
        "a Sentinel replaces a master that lives",
        "the registry goes to the new one; nothing lost",
        (
            "faults/test_ordering.py::test_a_master_that_was_replaced_by_mistake_is_left",
            "bus/test_publisher.py::test_a_master_that_was_replaced_by_mistake_is_left",
        ),
    ),
)
