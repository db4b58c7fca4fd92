from __future__ import annotations

import msgspec

from exporter.domain.clock import HOUR
from exporter.domain.durable import LastHeartbeat
from exporter.domain.lifecycle import Lifecycle, Phase
from exporter.domain.node import NodeRecord, Removal, Tombstone
from exporter.domain.registration import Link
from exporter.domain.status import Status, Transport
from exporter.domain.transition import Transition
from exporter.stores import memory, redis, sqliterows
from exporter.stores.base import Batch, Mark, Recent, Saved, Snapshot
from exporter.stores.redisscripts import SAVE
from exporter.stores.rules import MAX_TOMBSTONES
from tests.support.durables import NOW, heartbeats, record, stored, tombstone, transition

DAY = 24 * HOUR


def batch(*changes, heartbeats=None, mark=None):
    """A batch of records, tombstones and transitions, in whatever order."""
    made = Batch(heartbeats=heartbeats or {}, mark=mark)
    for change in changes:
        match type(change).__name__:
            case "NodeRecord":
                made.records[change.name] = change
            case "Tombstone":
                made.tombstones[change.name] = change
            case "Transition":
                made.transitions.append(change)
    return made


def test_a_new_store_is_empty(store, run):
    assert run(store.load()) == Snapshot([], [], None)


def test_what_was_saved_is_loaded(store, run):
    """The record with its last heartbeat, its status by the last transition, and the mark."""
    mark = Mark(NOW + 30, {Transport.BUS: [(NOW + 1, NOW + 2), (NOW + 5, NOW + 9)]})

    saved = run(
        store.save(batch(record("a"), transition("a", at=20), heartbeats={"a": heartbeats(10, "bus")}, mark=mark))
    )

    assert saved == Saved({"a"}, set(), [transition("a", at=20)])
    assert run(store.load()) == Snapshot([stored(record("a"), 10, "bus", transition("a", at=20))], [], mark)


def test_a_record_comes_back_as_it_was(store, run):
    """Non-ASCII text, kept JSON with its spaces and line breaks, links, a lifecycle: every field."""
    full = record(
        "gpu_01.site-b",
        role="lead",
        vpn_ip="fd00::1",
        public_ip="203.0.113.9",
        capabilities=msgspec.Raw('{"gpu": true,\n "höhe": [1.50, null]}'.encode()),
        metadata=msgspec.Raw('{ "ort": "Zürich 🚀", "quote": "say \\"hi\\"" }'.encode()),
        node_id="µ-7",
        links=(Link("b", "vpn_mesh"),),
        ttl_ns=5,
        gpus=8,
        gpu_memory_bytes=2**37,
        gpu_type="RTX 4090 »Ti«",
        os="Линукс",
        environment="staging",
        site="東京",
        cost_usd_per_hour=0.1,
    )
    full = NodeRecord(
        full.registration, full.registered_at_ns, full.revision_ns, Lifecycle(Phase.DRAINING, NOW + 9, "größer")
    )

    run(store.save(batch(full, heartbeats={full.name: heartbeats(1)})))

    (node,) = run(store.load()).nodes
    assert node.record == full
    assert bytes(node.record.registration.metadata) == bytes(full.registration.metadata)


def test_nodes_are_loaded_in_order_of_registration(store, run):
    """By time and then by name, however they were saved and changed."""
    run(store.save(batch(record("c", registered=2), record("b", registered=1), record("z", registered=0))))
    run(store.save(batch(record("a", registered=1), record("z", revision=9, registered=0))))

    assert [node.record.name for node in run(store.load()).nodes] == ["z", "a", "b", "c"]


def test_a_node_without_a_heartbeat_was_last_seen_when_it_registered(store, run):
    run(store.save(batch(record("a", registered=5))))

    assert run(store.load()).nodes == [stored(record("a", registered=5), 5)]


def test_a_later_record_replaces_and_is_no_news(store, run):
    run(store.save(batch(record(revision=1))))

    assert run(store.save(batch(record(revision=2, role="lead")))) == Saved()
    assert run(store.load()).nodes == [stored(record(revision=2, role="lead"))]


def test_a_stale_record_is_dropped(store, run):
    run(store.save(batch(record(revision=2))))

    assert run(store.save(batch(record(revision=1, role="lead")))) == Saved()
    assert run(store.load()).nodes == [stored(record(revision=2))]


def test_of_two_records_of_one_revision_the_last_stands(store, run):
    run(store.save(batch(record(revision=2))))
    run(store.save(batch(record(revision=2, role="lead"))))

    assert run(store.load()).nodes == [stored(record(revision=2, role="lead"))]


def test_revisions_are_compared_to_the_nanosecond(store, run):
    """They do not fit a double, which would take these two for equal."""
    run(store.save(batch(record(revision=1_001))))
    run(store.save(batch(record(revision=1_000, role="lead"))))

    assert run(store.load()).nodes == [stored(record(revision=1_001))]


def test_a_tombstone_removes_the_node(store, run):
    run(store.save(batch(record(revision=1), heartbeats={"a": heartbeats(5)})))

    assert run(store.save(batch(tombstone(at=2)))) == Saved(set(), {"a"}, [])
    assert run(store.load()) == Snapshot([], [tombstone(at=2)], None)


def test_a_tombstone_that_is_not_later_than_the_record_is_dropped(store, run):
    run(store.save(batch(record(revision=2))))

    assert run(store.save(batch(tombstone(at=2)))) == Saved()
    assert run(store.load()) == Snapshot([stored(record(revision=2))], [], None)


def test_a_second_tombstone_is_kept_if_it_is_later_and_is_no_news(store, run):
    """Two registries forget one node: one of them publishes it."""
    run(store.save(batch(record())))
    run(store.save(batch(tombstone(at=5, removal=Removal.FORGOTTEN))))

    assert run(store.save(batch(tombstone(at=7, removal=Removal.FORGOTTEN)))) == Saved()
    assert run(store.save(batch(tombstone(at=6)))) == Saved()
    assert run(store.load()).tombstones == [tombstone(at=7, removal=Removal.FORGOTTEN)]


def test_a_tombstone_of_a_name_that_nobody_knows_is_kept_and_news(store, run):
    """The node appeared and left between two batches."""
    assert run(store.save(batch(tombstone(at=5)))) == Saved(set(), {"a"}, [])
    assert run(store.load()).tombstones == [tombstone(at=5)]


def test_a_record_older_than_the_tombstone_does_not_come_back(store, run):
    run(store.save(batch(tombstone(at=5))))

    assert run(store.save(batch(record(revision=4)))) == Saved()
    assert run(store.load()) == Snapshot([], [tombstone(at=5)], None)


def test_a_record_that_is_not_older_than_the_tombstone_is_new(store, run):
    run(store.save(batch(record(revision=1))))
    run(store.save(batch(tombstone(at=5))))

    assert run(store.save(batch(record(revision=5, registered=5)))) == Saved({"a"}, set(), [])
    assert run(store.load()) == Snapshot([stored(record(revision=5, registered=5), 5)], [], None)


def test_a_node_registered_again_starts_active_and_keeps_its_history(store, run):
    run(store.save(batch(record(), transition(at=10), transition(at=20, to="offline", from_="warning"))))
    run(store.save(batch(tombstone(at=30))))
    run(store.save(batch(record(revision=40, registered=40))))

    assert run(store.load()).nodes == [
        stored(record(revision=40, registered=40), 40, last=transition(at=20, to="offline", from_="warning"))
    ]
    assert run(store.transitions("a", 9)) == [transition(at=20, to="offline", from_="warning"), transition(at=10)]


def test_a_node_registered_again_may_enter_the_status_that_it_left_in(store, run):
    """Also where the store never saw it leave."""
    run(store.save(batch(record(), transition(at=10))))
    run(store.save(batch(record(revision=40, registered=40))))

    assert run(store.save(batch(transition(at=50)))) == Saved(set(), set(), [transition(at=50)])
    assert run(store.load()).nodes == [stored(record(revision=40, registered=40), 40, last=transition(at=50))]


def test_a_heartbeat_goes_forward_only(store, run):
    run(store.save(batch(record(), heartbeats={"a": heartbeats(10, "bus")})))
    run(store.save(batch(heartbeats={"a": heartbeats(9, "http")})))
    run(store.save(batch(heartbeats={"a": heartbeats(10, "http")})))

    assert run(store.load()).nodes == [stored(record(), 10, "bus")]

    run(store.save(batch(heartbeats={"a": heartbeats(11, "http")})))

    assert run(store.load()).nodes == [stored(record(), 11, "http")]


def test_a_heartbeat_of_a_node_that_is_not_there_is_dropped(store, run):
    """Never registered, departed, or departing in the same batch."""
    run(store.save(batch(record("departed"), record("departing"))))
    run(store.save(batch(tombstone("departed", at=1))))
    names = ("unknown", "departed", "departing")

    run(store.save(batch(tombstone("departing", at=2), heartbeats={name: heartbeats(50) for name in names})))
    run(store.save(batch(*(record(name, revision=60) for name in names))))

    assert run(store.load()).nodes == [stored(record(name, revision=60)) for name in sorted(names)]


def test_a_transition_that_was_announced_is_not_announced_again(store, run):
    """Nor one that is older, nor one that leads where the node is."""
    run(store.save(batch(record(), transition(at=10))))

    again = batch(
        transition(at=10, to="offline"),
        transition(at=9, to="offline"),
        transition(at=11, from_="offline", to="warning"),
    )

    assert run(store.save(again)) == Saved()
    assert run(store.transitions("a", 9)) == [transition(at=10)]


def test_what_another_registry_made_before_a_return_that_it_did_not_know_is_not_recorded(store, run):
    """Its numbers may be ahead. What follows on the recorded one, or came after it, is recorded."""
    back = msgspec.structs.replace(transition(at=2, from_="warning", to="active"), stamp_ns=NOW + 20)
    run(store.save(batch(record(), transition(at=1), back)))

    unknowing = [
        msgspec.structs.replace(transition(at=3, from_="warning", to="offline"), stamp_ns=NOW + 20),
        msgspec.structs.replace(transition(at=4, from_="offline", to="active"), stamp_ns=NOW + 21),
    ]
    assert run(store.save(batch(*unknowing))) == Saved()

    following = msgspec.structs.replace(transition(at=5), stamp_ns=NOW + 20)
    later = msgspec.structs.replace(transition(at=6, from_="active", to="offline"), stamp_ns=NOW + 21)
    assert run(store.save(batch(following, later))).transitions == [following, later]
    assert run(store.transitions("a", 9)) == [later, following, back, transition(at=1)]


def test_transitions_of_one_batch_follow_each_other(store, run):
    steps = [transition(at=1), transition(at=2, from_="warning", to="offline"), transition(at=3, to="active")]

    assert run(store.save(batch(record(), *steps))).transitions == steps
    assert run(store.transitions("a", 9)) == steps[::-1]
    assert run(store.transitions("a", 2)) == steps[:0:-1]
    assert run(store.load()).nodes == [stored(record(), last=steps[-1])]


def test_the_last_transition_of_a_node_that_leaves_is_kept(store, run):
    """It goes offline and is forgotten within one batch."""
    run(store.save(batch(record())))

    saved = run(store.save(batch(tombstone(at=9), transition(at=8, to="offline"))))

    assert saved == Saved(set(), {"a"}, [transition(at=8, to="offline")])
    assert run(store.transitions("a", 9)) == [transition(at=8, to="offline")]


def test_a_transition_of_an_unknown_name_is_dropped(store, run):
    assert run(store.save(batch(transition()))) == Saved()
    assert run(store.transitions("a", 9)) == []


def test_the_newest_hundred_transitions_are_kept(store, run):
    steps = [transition(at=at, to=("warning", "active")[at % 2]) for at in range(130)]
    run(store.save(batch(record(), *steps[:70])))
    run(store.save(batch(*steps[70:])))

    assert run(store.transitions("a", 1_000)) == steps[:29:-1]


def test_of_too_many_tombstones_the_oldest_go_with_their_history(make_store, run, monkeypatch):
    """New names that leave do not fill a store; those that came back, or left again since, count as they stand."""
    monkeypatch.setattr(memory, "MAX_TOMBSTONES", 3)
    monkeypatch.setattr(sqliterows, "MAX_TOMBSTONES", 3)
    monkeypatch.setattr(redis, "SAVE", SAVE.replace(f"{MAX_TOMBSTONES}", "3"))
    store = make_store()
    run(store.save(batch(record("a"), record("b"), transition("a", at=1), transition("b", at=1))))
    run(store.save(batch(tombstone("a", at=5), tombstone("b", at=6), tombstone("c", at=7))))
    run(store.save(batch(tombstone("a", at=8), record("c", revision=9))))
    run(store.save(batch(tombstone("d", at=10), tombstone("e", at=11))))

    names = ["a", "d", "e"]
    assert sorted(each.name for each in run(store.load()).tombstones) == names
    assert [each.name for each in run(store.recent(NOW, 10)).tombstones] == names[::-1]
    assert (len(run(store.transitions("a", 5))), len(run(store.transitions("b", 5)))) == (1, 0)
    assert [node.record.name for node in run(store.load()).nodes] == ["c"]


def test_tombstones_of_more_than_seven_days_are_pruned_with_their_history(store, run):
    run(store.save(batch(record("old", revision=-9 * DAY), transition("old", at=-9 * DAY, to="offline"))))
    run(store.save(batch(record("new", revision=-9 * DAY), transition("new", at=-9 * DAY, to="offline"))))
    run(store.save(batch(tombstone("old", at=-8 * DAY), tombstone("new", at=-6 * DAY))))

    assert run(store.load()).tombstones == [tombstone("new", at=-6 * DAY)]
    assert run(store.load()).tombstones == [tombstone("new", at=-6 * DAY)]
    assert run(store.transitions("old", 9)) == []
    assert run(store.transitions("new", 9)) == [transition("new", at=-9 * DAY, to="offline")]


def test_no_wall_clock_prunes_what_left_lately(store, run):
    """Mesh time is a year behind: what left a moment before the mark is kept, and goes 7 days later."""
    year = 365 * DAY
    run(store.save(batch(record("a", revision=-year), transition("a", at=-year, to="offline"))))
    run(store.save(batch(tombstone("a", at=1 - year), mark=Mark(NOW - year + 2, {}, NOW))))
    loaded = run(store.load())
    assert (loaded.tombstones, loaded.mark) == ([tombstone("a", at=1 - year)], Mark(NOW - year + 2, {}, NOW))
    assert run(store.transitions("a", 9)) == [transition("a", at=-year, to="offline")]

    run(store.save(batch(mark=Mark(NOW - year + 8 * DAY, {}, NOW + 8 * DAY))))
    assert run(store.load()).tombstones == []


def test_a_mark_is_known_though_mesh_time_is_ahead_of_the_wall_clock(store, run):
    """As after the clock of Redis' host was set back by years."""
    ahead = Mark(NOW + 3 * 365 * DAY, {Transport.HTTP: [(NOW, NOW + 5)]}, NOW)
    run(store.save(batch(record("a"), mark=ahead)))
    assert run(store.load()).mark == ahead


def test_a_mark_stands_until_the_next(store, run):
    run(store.save(batch(mark=Mark(NOW + 1))))
    run(store.save(batch(record())))
    assert run(store.load()).mark == Mark(NOW + 1)

    run(store.save(batch(mark=Mark(NOW + 2))))
    assert run(store.load()).mark == Mark(NOW + 2)


def test_an_empty_batch_changes_nothing(store, run):
    assert run(store.save(Batch())) == Saved()
    assert run(store.load()) == Snapshot([], [], None)


def test_saving_a_batch_again_changes_nothing(store, run):
    """After StoreUnavailable nobody knows whether it was applied. Its transitions are new still: nobody got them."""
    run(store.save(batch(record("b"))))
    whole = batch(
        *(record("a"), tombstone("b", at=3), transition("a", at=2)), heartbeats={"a": heartbeats(1)}, mark=Mark(NOW + 4)
    )
    run(store.save(whole))
    before = run(store.load())

    assert run(store.save(whole)) == Saved(set(), set(), whole.transitions)
    assert run(store.load()) == before


def test_five_thousand_nodes_are_one_batch(store, run):
    """With every kind of change, spread over all of them."""
    names = [f"node-{number:04}" for number in range(5_000)]
    run(store.save(batch(*(record(name, registered=at) for at, name in enumerate(names)))))
    leaving, staying = names[::5], [name for name in names if name not in set(names[::5])]
    changes = batch(
        *(tombstone(name, at=10_000) for name in leaving),
        *(transition(name, at=20_000) for name in staying),
        heartbeats={name: heartbeats(15_000, "bus") for name in names},
        mark=Mark(NOW + 7),
    )

    saved = run(store.save(changes))

    assert saved.tombstones == set(leaving)
    assert sorted(saved.transitions, key=lambda transition: transition.node) == changes.transitions
    snapshot = run(store.load())
    assert snapshot.nodes == [
        stored(record(name, registered=at), 15_000, "bus", transition(name, at=20_000))
        for at, name in enumerate(names)
        if name not in set(leaving)
    ]
    assert sorted(tombstone.name for tombstone in snapshot.tombstones) == leaving
    assert snapshot.mark == Mark(NOW + 7)


def test_closing_twice_is_safe(store, run):
    run(store.close())
    run(store.close())


def test_a_last_heartbeat_keeps_its_types(store, run):
    run(store.save(batch(record(), heartbeats={"a": LastHeartbeat(NOW + 1, Transport.BUS)})))

    assert run(store.load()).nodes[0].last_heartbeat.transport is Transport.BUS


def test_recent_transitions_of_all_nodes_stand_newest_first(store, run):
    """From that time on and with it, at one time by name backwards, and however late they were saved."""
    run(store.save(batch(record("a"), record("b"), transition("b", at=50))))
    run(store.save(batch(transition("a", at=20), transition("a", at=50, to="offline", from_="warning"))))
    run(store.save(batch(transition("a", at=70, to="active", from_="offline"))))

    assert run(store.recent(NOW + 21, 10)) == Recent(
        [
            transition("a", at=70, to="active", from_="offline"),
            transition("b", at=50),
            transition("a", at=50, to="offline", from_="warning"),
        ]
    )
    assert run(store.recent(NOW + 20, 10)).transitions[-1] == transition("a", at=20)
    assert run(store.recent(NOW, 2)).transitions == [
        transition("a", at=70, to="active", from_="offline"),
        transition("b", at=50),
    ]


def test_recent_has_departed_nodes_still(store, run):
    """With why and when; a node that registered again is not gone."""
    run(store.save(batch(record("a"), record("b"), record("c"), record("d"))))
    forgotten = tombstone("b", at=30, removal=Removal.FORGOTTEN)
    run(store.save(batch(tombstone("a", at=20), forgotten, tombstone("c", at=40), tombstone("d", at=5))))
    run(store.save(batch(record("c", revision=50, registered=50))))

    assert run(store.recent(NOW + 10, 10)) == Recent([], [forgotten, tombstone("a", at=20)])
    assert run(store.recent(NOW + 10, 1)).tombstones == [forgotten]


def test_recent_keeps_the_transitions_of_a_node_that_is_gone(store, run):
    run(store.save(batch(record("a"), transition("a", at=20))))
    run(store.save(batch(tombstone("a", at=30))))

    assert run(store.recent(NOW, 10)) == Recent([transition("a", at=20)], [tombstone("a", at=30)])


def later(sequence, to, *, from_="active", at=0):
    """A transition by a wall clock that was set back: its number is later, its time is not."""
    return Transition("a", Status(from_), Status(to), NOW + at, NOW + sequence, NOW + sequence)


def test_no_wall_clock_orders_transitions(store, run):
    """It was set back by an hour, also to before the registration."""
    run(store.save(batch(record(registered=10), later(11, "warning", at=10))))
    back = later(12, "offline", from_="warning", at=-HOUR)

    assert run(store.save(batch(back))).transitions == [back]
    assert run(store.transitions("a", 9)) == [back, later(11, "warning", at=10)]
    assert run(store.load()).nodes[0].status is Status.OFFLINE
    assert run(store.recent(NOW - 2 * HOUR, 9)).transitions == [back, later(11, "warning", at=10)]
    assert run(store.recent(NOW, 9)).transitions == [later(11, "warning", at=10)]


def test_no_wall_clock_orders_heartbeats(store, run):
    run(store.save(batch(record(), heartbeats={"a": LastHeartbeat(NOW + 50, Transport.BUS, NOW + 50)})))
    back = LastHeartbeat(NOW + 50, Transport.BUS, NOW + 51)
    run(store.save(batch(heartbeats={"a": back})))
    run(store.save(batch(heartbeats={"a": LastHeartbeat(NOW + 90, Transport.BUS, NOW + 49)})))

    assert run(store.load()).nodes[0].last_heartbeat == back


def test_no_wall_clock_orders_a_departure(store, run):
    """Its time is shown; its revision decides."""
    run(store.save(batch(record(revision=5))))
    gone = Tombstone("a", NOW - HOUR, Removal.DEPARTED, NOW, NOW + 6, NOW)

    assert run(store.save(batch(gone))).tombstones == {"a"}
    assert run(store.load()).tombstones == [gone]


def test_a_history_that_is_written_again_is_no_news_and_fills_every_gap(store, run):
    """Two registries re-seed an emptied store, one of which knows less than the other."""
    steps = [later(1, "warning"), later(2, "offline", from_="warning"), later(3, "active", from_="offline")]

    assert run(store.save(Batch({"a": record()}, history=steps[2:]))) == Saved({"a"}, set(), [])
    assert run(store.save(Batch({"a": record()}, history=steps))) == Saved()
    assert run(store.transitions("a", 9)) == steps[::-1]
    assert run(store.load()).nodes == [stored(record(), last=steps[2])]
    assert run(store.save(batch(later(2, "offline", at=7)))) == Saved()


def test_a_history_of_a_name_that_nobody_knows_is_dropped(store, run):
    run(store.save(Batch(history=[later(1, "warning")])))

    assert run(store.transitions("a", 9)) == []
