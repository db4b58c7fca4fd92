from __future__ import annotations

from exporter.domain.backoff import Backoff


def test_pauses_double_up_to_the_longest_and_begin_again_after_a_success():
    backoff = Backoff(lambda: 0.0, first=0.5, longest=3.0)
    assert [backoff.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert backoff.next() == 0.5


def test_each_is_shortened_at_random_by_up_to_a_half():
    numbers = iter([0.0, 0.5, 1.0])
    backoff = Backoff(lambda: next(numbers), first=8.0)
    assert [backoff.next() for _ in range(3)] == [8.0, 12.0, 15.0]


def test_what_the_server_asks_for_is_the_least_and_somewhat_lengthened():
    numbers = iter([0.0, 1.0])
    backoff = Backoff(lambda: next(numbers))
    assert [backoff.next(at_least=10.0) for _ in range(2)] == [10.0, 15.0]
