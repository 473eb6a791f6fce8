"""`DestinationContract`: an outcome for every operation, and none that is not true."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from connectors.conformance import destination_fault
from connectors.errors import ConfigError, ConnectorError
from connectors.testkit.proxy import Answer, Distort, Lose, Proxy, reversed_lists, without_lists
from connectors.testkit.world import CANARY, NOW, Contract, World, nobody, said, spilled
from connectors.types import Capability, Granularity, ObjectDef, Operation, OpKind, Outcome, Verdict

AUDIENCE = "vip"
ODD = "Zo\u00eb \U0001f600 \u200f\u05e9\u05dc\u05d5\u05dd \" \\ <b>& ' \u2028 \u00fcn\u00ef"
"""Emoji, right-to-left, quotes, markup, a line separator."""
_NAMES = {Granularity.ROW, Granularity.FAILURES}
_UNSETTLED = {Verdict.RETRY, Verdict.IN_DOUBT}
_PATIENCE = 60


class DestinationContract(Contract):
    """What a destination must do. See `Contract` for what to write; and also:

    Attributes:
        object: which of its objects is tried; default the first.
        fields: names of fields it takes texts in.
        audience: the audience that is delivered to.
        in_order: whether the vendor documents that its answers come in the order of the rows, and names them by nothing else.
        yes: bodies by which the vendor itself says that all went well, such as an empty object.
    """

    object: ClassVar[str | None] = None
    fields: ClassVar[tuple[str, ...]] = ("name",)
    audience: ClassVar[str] = AUDIENCE
    in_order: ClassVar[bool] = False
    yes: ClassVar[frozenset[bytes]] = frozenset()

    def held(self, vendor: Any, audience: str) -> Mapping[str, Mapping[str, Any]]:
        """What the stand-in holds for an audience: match key to fields."""
        raise NotImplementedError

    def refuse(self, vendor: Any, key: str) -> None:
        """Has the stand-in refuse a key for good from now on."""
        pytest.skip("the contract does not say how its vendor refuses a row")

    # What the kit makes up

    def key(self, number: int, match_key: str) -> str:
        """A person's match key."""
        made = {"email": f"{CANARY}-{number}@example.org", "phone": f"+4930{10_000_000 + number}"}
        return made.get(match_key, f"{CANARY}-{number}")

    def _target(self, world: World) -> ObjectDef:
        objects = {one.name: one for one in world.make().objects()}
        return objects[self.object] if self.object else next(iter(objects.values()))

    def _adds(self, world: World, count: int, *, value: str = f"{CANARY} name", run: str = "1") -> list[Operation]:
        match_key = self._target(world).match_key
        fields = dict.fromkeys(self.fields, value)
        return [Operation(f"op-{run}-{n:04}", OpKind.ADD, self.audience, self.key(n, match_key), fields) for n in range(count)]

    def _deliver(self, world: World, operations: Sequence[Operation], destination: Any = None) -> dict[str, Outcome]:
        """Delivers in batches as the graph does, checks that outcomes are well-formed, and counts what is missing as in doubt."""
        destination, target = destination or world.make(), self._target(world)
        outcomes: dict[str, Outcome] = {}
        for start in range(0, len(operations), target.max_batch):
            batch = operations[start : start + target.max_batch]
            given = destination.deliver(target.name, batch, world.context)
            strangers = set(given) - {one.op_id for one in batch}
            assert not strangers, f"outcomes for operations that were not in the batch: {sorted(strangers)[:3]}"
            assert all(isinstance(one, Outcome) for one in given.values()), "an outcome must be an Outcome"
            outcomes |= {one.op_id: given.get(one.op_id, Outcome(Verdict.IN_DOUBT)) for one in batch}
        return outcomes

    def _verdicts(self, world: World, operations: Sequence[Operation], destination: Any = None) -> set[Verdict]:
        return {one.verdict for one in self._deliver(world, operations, destination).values()}

    def _settle(self, world: World, operations: Sequence[Operation]) -> dict[str, Outcome]:
        """Delivers again, as the graph would in later runs, until nothing is open."""
        settled: dict[str, Outcome] = {}
        for _ in range(20):
            todo = [one for one in operations if one.op_id not in settled]
            if not todo:
                return settled
            outcomes = self._deliver(world, todo)
            world.clock.time = max([world.clock.time, *(one.not_before.timestamp() for one in outcomes.values() if one.not_before)])
            settled |= {op_id: one for op_id, one in outcomes.items() if one.verdict not in _UNSETTLED}
        raise AssertionError("operations are still open after 20 runs against a vendor that works")

    # Declarations

    def test_the_class_conforms(self) -> None:
        assert destination_fault(self.connector) is None

    def test_objects_are_declared_without_a_request(self, world: World) -> None:
        objects = world.make().objects()
        assert objects, "no objects"
        assert len({one.name for one in objects}) == len(objects), "two objects of one name"
        assert all(one.max_batch >= 1 and one.match_key in {"email", "phone", "user_id", "person_id"} for one in objects)
        assert world.proxy is None or not world.proxy.seen, "objects() sends requests"

    # Outcomes

    def test_members_arrive_and_every_operation_is_acknowledged(self, world: World) -> None:
        operations = self._adds(world, 7)
        outcomes = self._deliver(world, operations)
        assert outcomes == {one.op_id: Outcome(Verdict.ACKED) for one in operations}
        held = self.held(world.vendor, self.audience)
        assert set(held) == {one.key for one in operations}
        assert all(str(held[one.key].get(name)) == value for one in operations for name, value in one.fields.items())

    def test_more_rows_than_one_request_takes_arrive(self, world: World) -> None:
        operations = self._adds(world, min(self._target(world).max_batch + 3, 1_003))
        assert self._verdicts(world, operations) == {Verdict.ACKED}
        assert len(self.held(world.vendor, self.audience)) == len(operations)

    def test_an_empty_batch_sends_nothing(self, world: World) -> None:
        assert self._deliver(world, []) == {}
        assert world.make().deliver(self._target(world).name, [], world.context) == {}
        assert not world.wire.hits

    def test_odd_characters_arrive_as_they_are(self, world: World) -> None:
        self._deliver(world, self._adds(world, 2, value=ODD))
        assert {str(row[name]) for row in self.held(world.vendor, self.audience).values() for name in self.fields} == {ODD}

    def test_removals_remove_and_removing_twice_is_fine(self, world: World) -> None:
        adds = self._adds(world, 3)
        self._deliver(world, adds)
        for run in ("2", "3"):
            removals = [Operation(f"op-{run}-{n}", OpKind.REMOVE, self.audience, one.key) for n, one in enumerate(adds[:2])]
            assert self._verdicts(world, removals) == {Verdict.ACKED}
        assert set(self.held(world.vendor, self.audience)) == {adds[2].key}

    def test_who_left_may_come_back(self, world: World) -> None:
        (add,) = self._adds(world, 1)
        for run, kind in enumerate((OpKind.ADD, OpKind.REMOVE, OpKind.ADD)):
            assert self._verdicts(world, [Operation(f"op-{run}", kind, self.audience, add.key, add.fields)]) == {Verdict.ACKED}
        assert set(self.held(world.vendor, self.audience)) == {add.key}

    def test_repeating_changes_nothing(self, world: World) -> None:
        operations = self._adds(world, 4)
        for _ in range(2):
            assert self._verdicts(world, operations) == {Verdict.ACKED}
        assert len(self.held(world.vendor, self.audience)) == 4

    def test_one_person_twice_ends_as_the_later_operation_says(self, world: World) -> None:
        first, second = self._adds(world, 1)[0], self._adds(world, 1, value="later", run="2")[0]
        assert self._verdicts(world, [first, second]) == {Verdict.ACKED}
        assert {str(row[name]) for row in self.held(world.vendor, self.audience).values() for name in self.fields} == {"later"}

    def test_a_refused_row_is_rejected_and_harms_no_other(self, world: World) -> None:
        operations = self._adds(world, 9)
        self.refuse(world.vendor, operations[4].key)
        outcomes = self._settle(world, operations)
        assert [op_id for op_id, one in outcomes.items() if one.verdict is Verdict.REJECTED] == [operations[4].op_id]
        assert set(self.held(world.vendor, self.audience)) == {one.key for one in operations} - {operations[4].key}

    def test_outcomes_do_not_depend_on_the_order_of_the_answer(self, world: World) -> None:
        if self._target(world).granularity not in _NAMES:
            pytest.skip("the vendor does not speak of single rows")
        if self.in_order:
            pytest.skip("the vendor names rows by their order")
        operations = self._adds(world, 9)
        self.refuse(world.vendor, operations[2].key)
        world.wire.always = Distort(reversed_lists)
        outcomes = self._deliver(world, operations)
        wrong = [op_id for op_id, one in outcomes.items() if one.verdict is Verdict.ACKED and op_id == operations[2].op_id]
        wrong += [op_id for op_id, one in outcomes.items() if one.verdict is Verdict.REJECTED and op_id != operations[2].op_id]
        assert not wrong, f"outcomes went to other operations: {wrong}"

    @pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"ok"])
    def test_a_success_that_says_nothing_is_no_acknowledgement(self, world: World, body: bytes) -> None:
        if self._target(world).granularity not in _NAMES:
            pytest.skip("the vendor does not speak of single rows")
        if body in self.yes:
            pytest.skip("this is how the vendor says yes")
        world.wire.always = Answer(200, {"Content-Type": "application/json"}, body)
        assert Verdict.ACKED not in self._hardly(world, self._adds(world, 3))

    def test_counts_without_names_are_no_acknowledgement(self, world: World) -> None:
        granularity = self._target(world).granularity
        if granularity not in _NAMES:
            pytest.skip("the vendor does not speak of single rows")
        operations = self._adds(world, 3)
        if granularity is Granularity.FAILURES:
            self.refuse(world.vendor, operations[1].key)
        world.wire.always = Distort(without_lists)
        with suppress(ConnectorError):
            acked = {op_id for op_id, one in self._deliver(world, operations).items() if one.verdict is Verdict.ACKED}
            assert not acked & ({one.op_id for one in operations} if granularity is Granularity.ROW else {operations[1].op_id})

    # When things go wrong on the way

    @pytest.mark.parametrize("fault", [Lose(), Lose(applied=False), Distort(lambda _: None)], ids=["lost answer", "lost request", "half an answer"])
    def test_what_was_lost_is_never_called_refused_and_ends_right(self, world: World, fault: Lose | Distort) -> None:
        operations = self._adds(world, 5)
        world.wire.coming = [fault]
        assert Verdict.REJECTED not in self._hardly(world, operations)
        outcomes = self._settle(world, operations)
        assert {one.verdict for one in outcomes.values()} == {Verdict.ACKED}
        assert set(self.held(world.vendor, self.audience)) == {one.key for one in operations}

    def test_an_answer_lost_for_ever_is_in_doubt(self, world: World) -> None:
        world.wire.always = Lose()
        verdicts = self._hardly(world, self._adds(world, 2))
        assert verdicts <= {Verdict.IN_DOUBT}, f"the vendor applied it and nobody knows; that is IN_DOUBT and not {sorted(verdicts)}"
        assert len(world.wire.hits) <= _PATIENCE

    def test_nobody_listening_means_nothing_was_sent(self, world: World) -> None:
        verdicts = self._hardly(world, self._adds(world, 2), world.make(nobody()))
        assert verdicts <= {Verdict.RETRY}, f"nothing was sent; that is RETRY or a ConnectorError and not {sorted(verdicts)}"

    @pytest.mark.parametrize(
        ("status", "header", "seconds"),
        [(429, "7", 7), (429, "Thu, 01 Jan 2026 00:00:40 GMT", 40), (429, "soon", 0), (429, "-3", 0), (429, "99999999999", 0), (503, "7", 7)],
        ids=str,
    )
    def test_a_vendor_that_wants_a_pause_gets_it(self, world: World, status: int, header: str, seconds: int) -> None:
        operations = self._adds(world, 3)
        world.wire.coming = [Answer(status, {"Retry-After": header})]
        self._hardly(world, operations)
        hits = world.wire.hits
        assert len(hits) < 2 or hits[1].at >= NOW + seconds, "sent again before the vendor wanted it"
        world.clock.time += 86_400 * 2
        assert {one.verdict for one in self._settle(world, operations).values()} == {Verdict.ACKED}

    def test_a_vendor_that_is_down_is_not_hammered(self, world: World) -> None:
        world.wire.always = Answer(503)
        verdicts = self._hardly(world, self._adds(world, 3))
        assert verdicts <= _UNSETTLED
        assert len(world.wire.hits) <= _PATIENCE, f"{len(world.wire.hits)} requests to a vendor that is down"

    def test_refused_credentials_are_the_users_to_mend(self, world: World) -> None:
        world.wire.always = Answer(401)
        with pytest.raises(ConfigError) as error:
            self._deliver(world, self._adds(world, 2))
        assert error.value.hint, "say what the user can do"
        assert len(world.wire.hits) <= 3, "refused credentials were tried again and again"

    def test_a_token_that_ends_in_between_is_renewed_once(self, world: World) -> None:
        if self.renews is None:
            pytest.skip("does not renew tokens")
        destination = world.make()
        assert self._verdicts(world, self._adds(world, 1), destination) == {Verdict.ACKED}
        before = _count(world.wire, self.renews)
        world.wire.coming = [Answer(401)]
        assert self._verdicts(world, self._adds(world, 3, run="2"), destination) == {Verdict.ACKED}
        assert _count(world.wire, self.renews) == before + 1

    def test_redirects_to_other_hosts_get_nothing(self, world: World) -> None:
        wire = world.wire
        with Proxy(world.vendor.url, world.clock.now).running() as elsewhere:
            wire.always = Answer(307, {"Location": elsewhere.url})
            assert Verdict.ACKED not in self._hardly(world, self._adds(world, 2))
            assert not elsewhere.seen, "a redirect to another address was followed, members and credentials with it"

    def test_requests_keep_to_the_declared_size(self, world: World) -> None:
        target = self._target(world)
        if target.max_bytes is None:
            pytest.skip("no limit of bytes is declared")
        count = min(target.max_batch, 200)
        operations = self._adds(world, count, value="é" * max(target.max_bytes // count // 2, 1))
        outcomes = self._deliver(world, operations)
        assert len(outcomes) == count
        assert max(len(one.body) for one in world.wire.hits) <= target.max_bytes

    # Capabilities

    def test_containers_are_made_once(self, world: World) -> None:
        self._needs(Capability.CONTAINERS)
        first, second = (world.make().ensure_container(self._target(world).name, self.audience, world.context) for _ in range(2))
        assert first.remote_id == second.remote_id
        assert not second.created

    def test_what_is_held_can_be_read_back(self, world: World) -> None:
        self._needs(Capability.READ_BACK)
        adds = self._adds(world, 3)
        self._deliver(world, adds[:2])
        rows = {row.key: row for row in world.make().read_back(self._target(world).name, self.audience, [a.key for a in adds], world.context)}
        assert {key: row.present for key, row in rows.items()} == {adds[0].key: True, adds[1].key: True, adds[2].key: False}

    def test_erased_persons_are_gone_and_erasing_twice_is_fine(self, world: World) -> None:
        self._needs(Capability.ERASE)
        adds = self._adds(world, 3)
        self._deliver(world, adds)
        for _ in range(2):
            outcomes = world.make().erase(self._target(world).name, [adds[0].key], world.context)
            assert outcomes == {adds[0].key: Outcome(Verdict.ACKED)}
        assert set(self.held(world.vendor, self.audience)) == {adds[1].key, adds[2].key}

    def test_archived_persons_are_gone_and_may_come_back(self, world: World) -> None:
        self._needs(Capability.ARCHIVE)
        adds = self._adds(world, 3)
        self._deliver(world, adds)
        unknown = self.key(99, self._target(world).match_key)
        for _ in range(2):
            outcomes = world.make().archive(self._target(world).name, [adds[0].key, unknown], world.context)
            assert outcomes == {adds[0].key: Outcome(Verdict.ACKED), unknown: Outcome(Verdict.ACKED)}
        assert set(self.held(world.vendor, self.audience)) == {adds[1].key, adds[2].key}
        assert self._verdicts(world, self._adds(world, 1, run="2")) == {Verdict.ACKED}
        assert set(self.held(world.vendor, self.audience)) == {one.key for one in adds}

    def test_a_job_runs_once_and_tells_what_became_of_each_operation(self, world: World) -> None:
        self._needs(Capability.BULK)
        adds, target = self._adds(world, 7), self._target(world)
        self.refuse(world.vendor, adds[3].key)
        reference = world.make().submit(target.name, "job-1", adds, world.context)
        assert reference
        assert world.make().submit(target.name, "job-1", adds, world.context) == reference, "the same name was handed in twice"
        outcomes = self._polled(world, reference)
        rejected = {op_id for op_id, one in outcomes.items() if one.verdict is Verdict.REJECTED}
        assert {op_id for op_id, one in outcomes.items() if one.verdict is Verdict.ACKED} | rejected == {one.op_id for one in adds}
        assert rejected == {adds[3].op_id}
        assert set(self.held(world.vendor, self.audience)) == {one.key for one in adds} - {adds[3].key}

    def test_a_job_is_known_by_its_name_after_a_crash(self, world: World) -> None:
        self._needs(Capability.BULK)
        target = self._target(world)
        reference = world.make().submit(target.name, "job-1", self._adds(world, 2), world.context)
        assert world.make().submit(target.name, "job-1", [], world.context) == reference
        assert world.make().submit(target.name, "job-2", [], world.context) == "", "an empty batch only asks"

    def test_batches_under_way_at_once_do_not_disturb_each_other(self, world: World) -> None:
        target, destination = self._target(world), world.make()
        if target.concurrency < 2:
            pytest.skip("takes one batch at a time")
        adds = self._adds(world, 3 * target.concurrency)
        batches = [adds[n :: target.concurrency] for n in range(target.concurrency)]
        with ThreadPoolExecutor(target.concurrency) as pool:
            answers = list(pool.map(lambda batch: destination.deliver(target.name, batch, world.context), batches))
        assert [set(answer) for answer in answers] == [{one.op_id for one in batch} for batch in batches]
        assert {one.verdict for answer in answers for one in answer.values()} == {Verdict.ACKED}
        assert set(self.held(world.vendor, self.audience)) == {one.key for one in adds}

    # Privacy

    def test_neither_secrets_nor_persons_are_said_or_kept(self, world: World) -> None:
        operations = self._adds(world, 3)
        texts: list[str] = []
        destination = world.make()
        faults = (None, Answer(400, body=f"{CANARY}@example.org is bad".encode()), Answer(500), Answer(401), Lose(), Answer(200, body=b"{"))
        for run, fault in enumerate(faults):
            world.wire.always = fault
            renamed = [Operation(f"op-{run}-{one.op_id}", one.kind, one.audience, one.key, one.fields) for one in operations]
            try:
                outcomes = destination.deliver(self._target(world).name, renamed, world.context)
                texts += [one.reason for one in outcomes.values()]
            except ConnectorError as error:
                texts += said(error)
        assert not spilled(world, *texts, repr(destination), str(destination))

    def _polled(self, world: World, reference: str) -> Mapping[str, Outcome]:
        """A job's outcomes, as the graph asks for them."""
        for _ in range(_PATIENCE):
            outcomes = world.make().poll(self._target(world).name, reference, world.context)
            if outcomes is not None:
                return outcomes
            world.clock.sleep(30)
        raise AssertionError(f"the job is not done after {_PATIENCE} times asking")

    def _hardly(self, world: World, operations: Sequence[Operation], destination: Any = None) -> set[Verdict]:
        """Verdicts where delivering may also fail as a whole, which means that nothing was sent."""
        try:
            return self._verdicts(world, operations, destination)
        except ConnectorError:
            return set()

    def _needs(self, capability: Capability) -> None:
        if capability not in self.connector.meta.capabilities:
            pytest.skip(f"does not declare {capability.value}")


def _count(proxy: Proxy, pattern: str) -> int:
    return sum(bool(re.search(pattern, f"{one.method} {one.path}")) for one in proxy.seen)
