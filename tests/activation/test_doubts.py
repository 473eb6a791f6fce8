"""What becomes of operations nobody answered for, by what sending them twice does; over real HTTP to a vendor that counts what takes effect."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.counting import CountingDestination, Fault, ReadableDestination, Vendor
from connectors.types import Context, Idempotency, Operation, Outcome
from seg_assets.activation.deliver import Delivered
from seg_assets.activation.lease import BusyError
from seg_assets.activation.ledger import Ledger

Make = Callable[..., Any]
A, B, C, D = Idempotency
CLASSES = pytest.mark.parametrize("kind", Idempotency)


@dataclass
class Clock:
    """Time that passes only when told, or when somebody would sleep."""

    time: float = 1_782_864_000.0
    slept: float = 0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.slept += seconds


@dataclass
class Scene:
    """A shop that delivers to a counting vendor."""

    shop: Any
    vendor: Vendor
    ledger: Ledger
    context: Context
    url: str

    def destination(self, **config: Any) -> CountingDestination:
        made = ReadableDestination if self.vendor.kind is C else CountingDestination
        return made(made.config_model(url=self.url, kind=self.vendor.kind, **config))

    def deliver(self, *faults: Fault, destination: CountingDestination | None = None, **given: Any) -> Delivered:
        """One plan and its delivery; the first requests meet the faults."""
        coming = iter(faults)
        self.vendor.fault = lambda _: next(coming, "")
        return self.shop.deliver(self.ledger, destination or self.destination(), self.context, **given)

    def right(self) -> bool:
        return self.vendor.held("vip") == self.shop.sendable() and not self.vendor.doubled

    def clock(self) -> Clock:
        assert isinstance(self.context.clock, Clock)
        return self.context.clock


@pytest.fixture
def scene(small_shop: Make, ledger: Ledger, context: Context) -> Iterator[Callable[..., Any]]:
    @contextmanager
    def of(kind: Idempotency, persons: int = 5) -> Iterator[Scene]:
        vendor = Vendor(kind)
        with vendor.running() as url:
            yield Scene(small_shop(persons), vendor, ledger, replace(context, clock=Clock()), url)

    return of


@pytest.mark.parametrize("kind", [A, B, C])
@pytest.mark.parametrize("fault", ["lose answer", "lose request", "error", "busy"])
def test_what_was_lost_ends_right_and_takes_effect_once(scene: Make, kind: Idempotency, fault: Fault) -> None:
    with scene(kind) as story:
        story.deliver(fault)
        story.clock().time += 3600
        assert story.deliver().verdicts == {"acked": 5}
        assert story.right()
        assert story.deliver().sent == 0


def test_class_d_stops_and_shows(scene: Make) -> None:
    with scene(D) as story:
        assert story.deliver("lose answer").verdicts == {"in_doubt": 5}
        story.shop.members["vip"].add(6)
        story.shop.emails[6] = "p6@example.org"
        again = story.deliver()
        assert (again.verdicts, again.sent) == ({"stuck": 5, "acked": 1}, 1)
        assert again.reasons == {"nobody can tell whether it took effect: see `seg activate resolve`": 5}
        assert story.ledger.states() == {"in_doubt": 5, "acked": 1}
        assert story.right()


@pytest.mark.parametrize(("fault", "applied"), [("lose answer", True), ("lose request", False)])
def test_class_d_goes_on_once_somebody_has_decided(scene: Make, fault: Fault, applied: bool) -> None:
    with scene(D) as story:
        story.deliver(fault)
        doubtful = [row["op_id"] for row in story.ledger.operations().to_pylist() if row["state"] == "in_doubt"]
        assert story.ledger.settle(dict.fromkeys(doubtful, applied), story.context.as_of) == 5
        assert story.deliver().verdicts == ({} if applied else {"acked": 5})
        assert story.right()


def test_class_d_is_taken_for_applied_where_losing_is_preferred(scene: Make) -> None:
    with scene(D) as story:
        story.deliver("lose request")
        assert story.deliver(prefer="loss").verdicts == {"acked": 5}
        assert story.vendor.held("vip") == {}
        assert not story.vendor.doubled


def test_class_d_is_sent_again_where_doubling_is_preferred(scene: Make) -> None:
    with scene(D) as story:
        story.deliver("lose answer")
        assert story.deliver(prefer="duplicate").verdicts == {"acked": 5}
        assert len(story.vendor.doubled) == 10  # five ids and five members


@pytest.mark.parametrize("fault", ["busy", "error"])
def test_a_doubt_opens_again_when_the_removal_that_took_its_place_had_no_effect(scene: Make, fault: Fault) -> None:
    with scene(D) as story:
        story.deliver("lose answer")
        added = [row["op_id"] for row in story.ledger.operations().to_pylist()]
        story.shop.members["vip"] = set()
        story.deliver(fault)
        story.clock().time += 3600
        story.shop.members["vip"] = {1, 2, 3, 4, 5}
        if fault == "error":
            removals = [r["op_id"] for r in story.ledger.operations().to_pylist() if r["op"] == "remove"]
            assert story.ledger.settle(dict.fromkeys(removals, False), story.context.as_of) == 5
        assert story.deliver().verdicts == {"stuck": 5}
        assert [r["op_id"] for r in story.ledger.operations().to_pylist() if r["state"] == "in_doubt"] == added
        assert story.ledger.settle(dict.fromkeys(added, True), story.context.as_of) == 5
        assert story.deliver().sent == 0
        assert story.right()


@CLASSES
def test_who_leaves_while_the_addition_is_in_doubt_is_removed(scene: Make, kind: Idempotency) -> None:
    with scene(kind) as story:
        story.deliver("lose answer")
        story.shop.members["vip"] = set()
        story.deliver()
        assert story.vendor.held("vip") == {}
        assert story.deliver().sent == 0
        assert story.ledger.unsettled().num_rows == 0


def test_what_never_took_effect_is_not_removed_where_the_vendor_can_be_asked(scene: Make) -> None:
    with scene(C) as story:
        story.deliver("lose request")
        story.shop.members["vip"] = set()
        assert story.deliver().verdicts == {"acked": 5}
        assert not story.vendor.removed
        assert story.deliver().sent == 0


@pytest.mark.parametrize("kind", [A, B, C])
def test_who_comes_back_while_the_removal_of_a_doubtful_addition_is_in_doubt_is_there_once(scene: Make, kind: Idempotency) -> None:
    with scene(kind) as story:
        story.deliver("lose answer")
        story.shop.members["vip"] = set()
        story.deliver(*(["", "lose request"] if kind is C else ["lose request"]))  # C asks first
        story.shop.members["vip"], story.shop.tiers = {1, 2, 3, 4, 5}, dict.fromkeys(range(1, 6), "gold")
        for _ in range(3):
            story.deliver()
        assert story.right()
        assert story.ledger.unsettled().num_rows == 0


@pytest.mark.parametrize("fault", ["lose answer", "lose request"])
@pytest.mark.parametrize("kind", [A, B, C])
def test_what_changes_while_it_is_in_doubt_ends_right(scene: Make, kind: Idempotency, fault: Fault) -> None:
    with scene(kind) as story:
        story.deliver(fault)
        story.shop.tiers = dict.fromkeys(range(1, 6), "gold")
        for _ in range(2):  # what is found out by asking is in the plan after
            story.deliver()
        assert story.right()
        assert story.deliver().sent == 0


@pytest.mark.parametrize("fault", ["lose answer", "lose request"])
@pytest.mark.parametrize("kind", [A, B, C])
def test_an_update_in_doubt_ends_right(scene: Make, kind: Idempotency, fault: Fault) -> None:
    with scene(kind) as story:
        story.deliver()
        story.shop.tiers = dict.fromkeys(range(1, 6), "gold")
        story.deliver(fault)
        story.deliver()
        assert story.right()


def test_a_vendor_that_does_not_tell_leaves_the_doubt(scene: Make) -> None:
    with scene(C) as story:
        story.deliver("lose answer")
        assert story.deliver("lose request").verdicts == {"stuck": 5}  # the question, this time
        assert story.deliver().verdicts == {"acked": 5}
        assert story.right()


def test_an_id_is_repeated_only_as_long_as_the_vendor_remembers_it(scene: Make) -> None:
    with scene(B) as story:
        remembering = story.destination(remembers=3600)
        story.deliver("lose answer", destination=remembering)
        story.clock().time += 3601
        assert story.deliver(destination=remembering).verdicts == {"stuck": 5}
        story.clock().time -= 3601
        assert story.deliver(destination=remembering).verdicts == {"acked": 5}
        assert story.right()


def test_what_the_vendor_wants_later_is_left_until_then(scene: Make) -> None:
    with scene(A) as story:
        assert story.deliver("busy").verdicts == {"retry": 5}
        early = story.deliver()
        assert (early.verdicts, early.sent, story.clock().slept) == ({"waiting": 5}, 0, 0)
        assert story.vendor.requests == 1
        story.clock().time += 61
        assert story.deliver().verdicts == {"acked": 5}


# Side by side


class Together(CountingDestination):
    """Answers only once so many calls are under way at the same time."""

    def __init__(self, config: Any, calls: int) -> None:
        super().__init__(config)
        self.barrier, self.keys = threading.Barrier(calls, timeout=20), list[set[str]]()

    def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
        self.keys.append({one.key for one in batch})
        self.barrier.wait()
        return super().deliver(object, batch, context)


def test_batches_go_side_by_side_and_never_share_a_key(scene: Make) -> None:
    with scene(A, persons=120) as story:
        story.shop.members["new"] = set(range(1, 121))
        config = CountingDestination.config_model(url=story.url, kind=A, max_batch=1000, concurrency=3)
        target = replace(CountingDestination(config).objects()[0], max_batch=80)
        destination = Together(config, 3)
        destination.objects = lambda: [target]  # type: ignore[method-assign]
        assert story.deliver(destination=destination).verdicts == {"acked": 240}
        lanes = [destination.keys[n : n + 3] for n in range(0, len(destination.keys), 3)]
        assert lanes
        assert all(not a & b for lane in lanes for a in lane for b in lane if a is not b)
        assert len(story.vendor.held("vip")) == len(story.vendor.held("new")) == 120


def test_a_key_comes_once_per_batch_and_in_order(scene: Make) -> None:
    with scene(A, persons=3) as story:
        story.shop.emails[3] = story.shop.emails[1].upper()
        batches: list[list[str]] = []

        class Watched(CountingDestination):
            def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
                batches.append([one.key for one in batch])
                return super().deliver(object, batch, context)

        story.deliver(destination=Watched(Watched.config_model(url=story.url, kind=A)))
        first = story.shop.emails[1]
        assert batches == [[first, story.shop.emails[2]], [first.upper()]]


def test_a_dead_destination_does_not_keep_another_one_waiting(scene: Make, ledger_file: Path) -> None:
    with scene(A) as story:
        reached, release = threading.Event(), threading.Event()

        class Hanging(CountingDestination):
            def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
                reached.set()
                release.wait(60)
                return super().deliver(object, batch, context)

        hanging = Hanging(Hanging.config_model(url=story.url, kind=A))
        other = Ledger(f"sqlite:///{ledger_file}", "ads", "members")
        waiting = threading.Thread(target=story.deliver, kwargs={"destination": hanging})
        waiting.start()
        assert reached.wait(60)
        assert story.shop.deliver(other, story.destination(), story.context).verdicts == {"acked": 5}
        with pytest.raises(BusyError), story.ledger.claim(story.context.as_of, patience=0.01):
            pass
        release.set()
        waiting.join()
        assert story.ledger.states() == other.states() == {"acked": 5}


def test_two_deliveries_at_once_do_what_one_does(scene: Make) -> None:
    with scene(D, persons=30) as story:
        story.ledger.claim = lambda *a, patience=0.01, claim=story.ledger.claim: claim(*a, patience=patience)  # type: ignore[method-assign]
        inside, done = threading.Event(), threading.Event()

        class Slow(CountingDestination):
            def deliver(self, object: str, batch: Sequence[Operation], context: Context) -> Mapping[str, Outcome]:
                inside.set()
                done.wait(60)
                return super().deliver(object, batch, context)

        planned = story.shop.planned(story.ledger)
        slow = Slow(Slow.config_model(url=story.url, kind=D))
        first = threading.Thread(target=story.shop.deliver, args=(story.ledger, slow, story.context, planned))
        first.start()
        assert inside.wait(60)
        with pytest.raises(BusyError, match="another delivery of members is under way"):
            story.shop.deliver(story.ledger, story.destination(), story.context, planned)
        done.set()
        first.join()
        assert story.shop.deliver(story.ledger, story.destination(), story.context, planned).sent == 0
        assert story.right()


# Jobs


def test_a_job_is_waited_for(scene: Make) -> None:
    with scene(D) as story:
        story.vendor.polls_needed = 3
        assert story.deliver(destination=story.destination(max_job=100)).verdicts == {"acked": 5}
        assert story.clock().slept == 1 + 2 + 4
        assert story.right()


def test_a_job_that_goes_on_is_asked_for_by_the_next_delivery(scene: Make) -> None:
    with scene(D) as story:
        bulk, story.vendor.polls_needed = story.destination(max_job=100), 3
        assert story.deliver(destination=bulk, patience=0).verdicts == {"sending": 5}
        assert story.deliver(destination=bulk, patience=0).verdicts == {"sending": 5}
        assert story.deliver(destination=bulk).verdicts == {"acked": 5}
        assert len(story.vendor.jobs) == 1
        assert story.right()


@pytest.mark.parametrize("fault", ["lose answer", "lose request"])
def test_a_job_whose_reference_was_lost_is_found_by_its_name(scene: Make, fault: Fault) -> None:
    with scene(D) as story:
        bulk = story.destination(max_job=100)
        assert story.deliver(fault, destination=bulk).stopped == "the vendor gives no answer"
        assert story.deliver(destination=bulk).verdicts in ({"acked": 5}, {"retry": 5, "acked": 5})
        assert story.right()


def test_who_leaves_while_a_job_goes_on_is_removed_after_it(scene: Make) -> None:
    with scene(A) as story:
        bulk, story.vendor.polls_needed = story.destination(max_job=100), 3
        story.deliver(destination=bulk, patience=0)
        story.shop.members["vip"] = set()
        assert story.deliver(destination=bulk, patience=0).verdicts == {"waiting": 5, "sending": 5}
        assert story.deliver(destination=bulk).verdicts["acked"] == 10
        assert story.vendor.held("vip") == {}
