"""Never above the limit in any window, close to it over time, together with every other process."""

import itertools
import multiprocessing
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug import Response

from connectors.http.budgets import Budgets, Window

NOW = 1_767_225_600.0


def busiest(times, seconds):
    """The most calls that any window of that length holds."""
    times = sorted(times)
    return max((sum(start <= t < start + seconds for t in times[i:]) for i, start in enumerate(times)), default=0)


class Slow:
    """Calls the vendor sees late, and a vendor that counts them when it sees them."""

    def __init__(self, budgets, window):
        self.budgets, self.window, self.under_way, self.seen = budgets, window, [], []

    def send(self, now, until_seen, until_answered):
        """Sends a call if it may be sent."""
        if self.budgets.spend([self.window], 1, now) == 0:
            self.seen.append(now + until_seen)
            self.under_way.append((now + until_seen + until_answered, now))

    def answer(self, now):
        """Takes all answers that came before an instant."""
        for answered, sent in sorted(one for one in self.under_way if one[0] <= now):
            self.budgets.answered([self.window], 1, sent, answered)
        self.under_way = [one for one in self.under_way if one[0] > now]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 0.6), st.floats(0, 3), st.floats(0, 3)), min_size=10, max_size=80), st.integers(2, 6))
def test_calls_that_are_under_way_for_long_are_counted_when_the_vendor_may_have_seen_them(tmp_path_factory, calls, limit):
    slow, now = Slow(Budgets(tmp_path_factory.mktemp("budget") / "b.sqlite"), Window("w", limit, 5.0)), NOW
    for pause, until_seen, until_answered in calls:
        now += pause
        slow.answer(now)
        slow.send(now, until_seen, until_answered)
    assert busiest(slow.seen, 5.0) <= limit


def spent_until(budgets, windows, end, weight=1.0, now=NOW):
    """Instants at which calls get through when somebody asks as often as told to."""
    times = []
    while now < end:
        wait = budgets.spend(windows, weight, now)
        if wait:
            now += wait
        else:
            times.append(now)
    return times


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 4)), max_size=60), st.integers(4, 9), st.floats(0.5, 10))
def test_no_window_ever_holds_more_than_the_limit_whenever_calls_come(tmp_path_factory, arrivals, limit, seconds):
    budgets, window = Budgets(tmp_path_factory.mktemp("budget") / "b.sqlite"), Window("w", limit, seconds)
    passed = [(NOW + at, weight) for at, weight in sorted(arrivals) if budgets.spend([window], weight, NOW + at) == 0]
    for start, _ in passed:
        assert sum(weight for at, weight in passed if start <= at < start + seconds) <= limit


@pytest.mark.parametrize("seconds", [1.0, 10.0, 86_400.0])
def test_at_least_nine_tenths_of_the_limit_get_through(tmp_path, seconds):
    times = spent_until(Budgets(tmp_path / "b.sqlite"), [Window("w", 20, seconds)], NOW + 20 * seconds)
    assert len(times) >= 0.9 * 20 * 20
    assert busiest(times, seconds) <= 20


def test_all_windows_hold_at_once(tmp_path):
    windows = [Window("short", 3, 1), Window("long", 10, 60)]
    times = spent_until(Budgets(tmp_path / "b.sqlite"), windows, NOW + 120)
    assert busiest(times, 1) == 3
    assert busiest(times, 60) == 10


def test_what_one_window_refuses_costs_the_others_nothing(tmp_path):
    budgets, tight, wide = Budgets(tmp_path / "b.sqlite"), Window("tight", 1, 60), Window("wide", 5, 60)
    assert budgets.spend([tight, wide], 1, NOW) == 0
    for _ in range(10):
        assert budgets.spend([tight, wide], 1, NOW) > 0
    assert [budgets.spend([wide], 1, NOW) == 0 for _ in range(5)] == [True] * 4 + [False]


def test_a_call_heavier_than_the_limit_waits_for_an_empty_window_and_then_passes(tmp_path):
    budgets, window = Budgets(tmp_path / "b.sqlite"), Window("w", 5, 10)
    budgets.spend([window], 1, NOW)
    wait = budgets.spend([window], 9, NOW)
    assert budgets.spend([window], 9, NOW + wait) == 0


def test_a_block_lasts_until_its_end_and_is_never_shortened(tmp_path):
    budgets, window = Budgets(tmp_path / "b.sqlite"), Window("w", 5, 1)
    budgets.block([window], NOW + 30)
    budgets.block([window], NOW + 10)
    assert budgets.spend([window], 1, NOW + 5) == pytest.approx(25)
    assert budgets.spend([window], 1, NOW + 30) == 0


def test_what_the_vendor_says_is_left_counts_when_it_is_less(tmp_path):
    budgets, window = Budgets(tmp_path / "b.sqlite"), Window("w", 10, 60)
    budgets.spend([window], 1, NOW)
    budgets.learn({window: 2}, NOW)
    budgets.learn({window: 9}, NOW)
    assert [budgets.spend([window], 1, NOW) == 0 for _ in range(3)] == [True, True, False]


def _spend(file, limit, seconds, until, out):
    budgets, window, times = Budgets(file), Window("w", limit, seconds), []
    while (now := time.time()) < until:
        wait = budgets.spend([window], 1, now)
        if wait:
            time.sleep(min(wait, max(until - time.time(), 0)))
        else:
            times.append(now)
    out.put(times)


@pytest.mark.slow
def test_two_processes_together_stay_within_the_limit(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    out, until = spawn.Queue(), time.time() + 5
    processes = [spawn.Process(target=_spend, args=(tmp_path / "b.sqlite", 50, 1.0, until, out)) for _ in range(2)]
    for process in processes:
        process.start()
    times = list(itertools.chain(*(out.get(timeout=60) for _ in processes)))
    for process in processes:
        process.join()
    assert times
    assert busiest(times, 1.0) <= 50


class Drifting:
    """A clock that goes on between any two looks at it, as on a machine that is busy at first."""

    def __init__(self, step):
        self.time, self.step = NOW, step

    def now(self):
        self.time += self.step if self.time < NOW + 4 else 0.001
        return self.time

    def sleep(self, seconds):
        self.time += seconds


@pytest.mark.parametrize("step", [0.1, 0.2, 0.3])
def test_a_call_that_crosses_slots_on_its_way_counts_until_its_window_is_over(vendor, httpserver, context, step):
    clock, seen = Drifting(step), []

    def answer(request):
        seen.append(clock.time)
        return Response("{}")

    httpserver.expect_request("/things").respond_with_handler(answer)
    api = vendor(budgets={"all": {"windows": [{"n": 5, "per": "4s"}], "source": "test", "read_on": "2026-01-01"}})
    for _ in range(40):
        api.call("get", replace(context, clock=clock))
    assert len(seen) == 40
    assert busiest(seen, 4) <= 5
