"""A domain's life at random, against the rules of RFC 8461 §3.3 and §5.1 written down plainly.

STS-51, STS-60, STS-61, STS-62, STS-63, STS-69, STS-73, STS-75 and STS-76 in any order of events.
"""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.address import Domain
from relay.db.policies import PolicyTable
from relay.mta_sts import MtaStsError
from relay.mta_sts.finder import PolicyFinder
from relay.resolver import Answer, DnsStatus, MxRecord

D = Domain("d.test")
BACK_OFF = 300.0
IDS = ("1", "2")
RECORDS = {one: ((f"v=STSv1; id={one}".encode(),),) for one in IDS}


@dataclass
class Domains:
    """What DNS and the policy host say, and what time it is."""

    record: str  # an id, or what is wrong
    body: str  # a policy, or the code of the error
    time: float = 1_800_000_000.0
    requests: int = 0

    def now(self) -> float:
        return self.time

    async def txt(self, name: str) -> Answer[tuple[bytes, ...]]:
        match self.record:
            case "gone":
                return Answer(DnsStatus.NXDOMAIN)
            case "trouble":
                return Answer(DnsStatus.TROUBLE, detail="SERVFAIL")
            case "double":
                return Answer(DnsStatus.FOUND, RECORDS["1"] + RECORDS["2"])
        return Answer(DnsStatus.FOUND, RECORDS[self.record])

    async def mx(self, name: str) -> Answer[MxRecord]:
        raise NotImplementedError

    async def addresses(self, name: str) -> Answer[str]:
        raise NotImplementedError

    def since(self, moment: float) -> "Domains":
        return self  # remembers nothing

    async def fetch(self, domain: Domain) -> bytes:
        self.requests += 1
        if not self.body.startswith("version"):
            raise MtaStsError(f"http_status_{self.body}", "no")
        return self.body.encode()


@dataclass
class Model:
    """What a sender knows, by the letter."""

    id: str = ""
    mode: str = "none"
    ends: float = 0.0
    failed: dict[str, float] = field(default_factory=dict)  # ids that failed, until when
    requests: int = 0

    def expected(self, domains: Domains) -> tuple[str, str, str | None]:
        """Status, mode and id of a look-up now."""
        now, record = domains.time, domains.record
        known = ("errored", self.mode, self.id)
        live = now < self.ends
        if record not in IDS:
            if live:
                return known
            return ("not_found" if record == "gone" else "errored", "none", None)
        if live and record == self.id and record not in self._backing_off(now):
            return ("renewed", self.mode, self.id)
        if record in self._backing_off(now):
            return known if live else ("errored", "none", record)
        self.requests += 1
        if not domains.body.startswith("version"):
            self.failed[record] = now + BACK_OFF
            return known if live else ("errored", "none", record)
        _, mode, _, max_age = (line.split(": ")[1] for line in domains.body.splitlines())
        self.id, self.mode, self.ends, self.failed = record, mode, now + int(max_age), {}
        return ("found", mode, record)

    def _backing_off(self, now: float) -> set[str]:
        return {one for one, until in self.failed.items() if now < until}


def policy(mode: str, max_age: int) -> str:
    return f"version: STSv1\nmode: {mode}\nmx: mx.d.test\nmax_age: {max_age}\n"


RECORD = st.tuples(st.just("record"), st.sampled_from([*IDS, *IDS, "gone", "trouble", "double"]))
MODE, MAX_AGE = st.sampled_from(["enforce", "testing"]), st.sampled_from([0, 60, 86_400, 864_000])
BODY = st.tuples(
    st.just("body"), st.sampled_from(["404", "503"]) | st.builds(policy, MODE, MAX_AGE)
)
LATER = st.tuples(st.just("later"), st.sampled_from([1, 59, 61, 299, 301, 90_000, 1_000_000]))


@settings(max_examples=80)
@given(st.lists(RECORD | BODY | LATER, min_size=3, max_size=20))
def test_whatever_happens(events: list[tuple[str, str | int]]) -> None:
    async def live() -> None:
        domains, model = Domains("1", policy("enforce", 864_000)), Model()
        with tempfile.TemporaryDirectory() as directory:
            table = PolicyTable(Path(directory) / "policies.db")
            for event, value in events:
                if event == "later":
                    domains.time += float(value)
                else:
                    setattr(domains, event, value)
                # each look-up by a process of its own: nothing but the storage is known to it
                finder = PolicyFinder(domains, table, domains.fetch, domains)
                found = await finder.find(D)
                told = (found.result.status, found.policy.mode, found.policy.id)
                assert told == model.expected(domains)
                assert domains.requests == model.requests
            table.close()

    asyncio.run(live())
