"""Deliveries in the lab with waivers and requirements: what goes out, and on which connection."""

import asyncio

import pytest

from relay.delivery.deliverer import Deliverer
from relay.delivery.next_hop import NextHop
from relay.delivery.terms import Rules
from relay.delivery.tls import Floors, Requirement
from relay.delivery.waiver import Waiver
from relay.lab.mx_host import MxHost
from relay.outcome import DeliveryResult, Outcome, Reason, Status
from relay.pace import Bound

from .conftest import BODY, NOW, Office, found, mail

END = NOW + 100
MX = "mx.d.test"


def waivers(*kinds: str, domain: str = "d.test") -> dict[str, list[Waiver]]:
    return {domain: [Waiver(domain, kind, END, "they know", "waiver[0]") for kind in kinds]}


async def deliver(deliverer: Deliverer, domain: str = "d.test") -> DeliveryResult:
    return await deliverer.deliver(domain, mail(f"u@{domain}"), BODY)


def only(result: DeliveryResult) -> Outcome:
    (outcome,) = result.outcomes
    return outcome


def told(result: DeliveryResult) -> list[str]:
    return [f"{one.failure} {one.action}" for one in result.findings]


async def host_with(office: Office, fault: str) -> MxHost:
    issue = office.world.ca.issue
    certificates = {
        "expired": issue([MX], expired=True),
        "wrong name": issue(["other.test"]),
        "untrusted": office.world.foreign_ca.issue([MX]),
    }
    mx = await office.world.mx_host(MX, certificate=certificates.get(fault))
    mx.starttls = fault != "no STARTTLS"
    mx.drop_at = "TLS" if fault == "broken" else None
    for domain in ("d.test", "e.test"):
        office.world.domain(domain, mx=[(10, MX)])
        office.policies[domain] = found("enforce", "other.test" if fault == "unlisted" else MX)
    return mx


@pytest.mark.parametrize(
    ("fault", "kind", "tls"),
    [
        ("unlisted", "mx-mismatch", "verified TLSv1.3"),
        ("expired", "bad-certificate", "TLSv1.3"),
        ("wrong name", "bad-certificate", "TLSv1.3"),
        ("untrusted", "bad-certificate", "TLSv1.3"),
        ("no STARTTLS", "no-tls", "clear"),
        ("broken", "no-tls", "clear"),
    ],
)
async def test_a_waiver_lets_pass_one_fault_of_one_domain(
    office: Office, fault: str, kind: str, tls: str
) -> None:
    """STS-87: but for the waiver's own domain nothing changes."""
    mx = await host_with(office, fault)
    office.settings["tls"] = Rules(waivers=waivers(kind))
    deliverer = office.open()
    result = await deliver(deliverer)
    assert (only(result).status, only(result).tls) == (Status.DELIVERED, tls)
    assert [one.action for one in result.findings] == ["waived"]
    other = await deliver(deliverer, "e.test")
    assert (only(other).status, only(other).reason) == (Status.DEFERRED, Reason.POLICY)
    assert [one.action for one in other.findings] == ["refused"]
    await deliverer.aclose()
    assert len(mx.messages) == 1


async def test_sts_97_a_connection_of_a_waiver_serves_its_domain_alone(office: Office) -> None:
    """Not even one that is verified, and another domain's policy lists the host."""
    mx = await host_with(office, "unlisted")
    office.policies["e.test"] = found("enforce", MX)
    office.settings["tls"] = Rules(waivers=waivers("mx-mismatch"))
    deliverer = office.open()
    for domain in ("d.test", "e.test", "d.test", "e.test"):
        assert only(await deliver(deliverer, domain)).tls == "verified TLSv1.3"
    await deliverer.aclose()
    assert (mx.connections, len(mx.messages)) == (2, 4)


async def test_waivers_of_two_domains_share_no_connection(office: Office) -> None:
    mx = await host_with(office, "unlisted")
    both = waivers("mx-mismatch") | waivers("mx-mismatch", domain="e.test")
    office.settings["tls"] = Rules(waivers=both)
    deliverer = office.open()
    for domain in ("d.test", "e.test", "d.test", "e.test"):
        assert only(await deliver(deliverer, domain)).status is Status.DELIVERED
    await deliverer.aclose()
    assert mx.connections == 2


async def test_a_repaired_host_needs_no_waiver(office: Office) -> None:
    """At once: nothing is remembered of a host that a waiver let pass."""
    mx = await host_with(office, "expired")
    office.settings["tls"] = Rules(waivers=waivers("bad-certificate"))
    deliverer = office.open()
    assert told(await deliver(deliverer)) == ["certificate-expired waived"]
    mx.certificate = office.world.ca.issue([MX])
    result = await deliver(deliverer)
    assert (only(result).tls, told(result)) == ("verified TLSv1.3", [])
    await deliverer.aclose()


async def test_it_ends_for_mail_that_waits_for_its_turn(office: Office) -> None:
    mx = await host_with(office, "unlisted")
    office.policies["e.test"] = found("enforce", MX)
    asked = asyncio.Event()

    def one_at_a_time(_: str) -> Bound:
        asked.set()
        return Bound(1)

    office.settings |= {
        "tls": Rules(waivers=waivers("mx-mismatch")),
        "host_bound": one_at_a_time,
    }
    mx.stall_at = "."
    deliverer = office.open()
    first = asyncio.ensure_future(deliver(deliverer, "e.test"))
    await mx.stalled.wait()
    asked.clear()
    second = asyncio.ensure_future(deliver(deliverer))
    await asked.wait()  # it waits for the host's one place
    office.clock.time = END
    mx.stall_at = None
    mx.resume.set()
    assert only(await first).status is Status.DELIVERED
    result = await second
    assert (only(result).reason, told(result)) == (Reason.POLICY, ["mx-mismatch refused"])
    assert "has ended" in only(result).reply.text
    await deliverer.aclose()
    assert len(mx.messages) == 1


@pytest.mark.parametrize("step", ["CONNECT", "EHLO", "STARTTLS", "EHLO:TLS"])
async def test_it_ends_however_long_a_host_takes_until_mail(office: Office, step: str) -> None:
    mx = await host_with(office, "unlisted")
    mx.stall_at = step
    office.settings["tls"] = Rules(waivers=waivers("mx-mismatch"))
    deliverer = office.open()
    ending = asyncio.ensure_future(deliver(deliverer))
    await mx.stalled.wait()
    office.clock.time = END
    mx.resume.set()
    result = await ending
    await deliverer.aclose()
    assert (only(result).reason, told(result)) == (Reason.POLICY, ["mx-mismatch refused"])
    assert "has ended" in only(result).reply.text
    assert not any(line.startswith("MAIL") for line in mx.commands)


async def test_it_ends_for_a_connection_that_is_kept(office: Office) -> None:
    mx = await host_with(office, "unlisted")
    office.settings["tls"] = Rules(waivers=waivers("mx-mismatch"))
    deliverer = office.open()
    assert only(await deliver(deliverer)).status is Status.DELIVERED
    office.clock.time = END - 0.001
    assert only(await deliver(deliverer)).status is Status.DELIVERED
    office.clock.time = END
    assert only(await deliver(deliverer)).reason is Reason.POLICY
    await deliverer.aclose()
    assert (mx.connections, len(mx.messages)) == (1, 2)


async def test_sts_14_with_a_route_it_is_the_next_hop_s_domain(office: Office) -> None:
    await host_with(office, "expired")
    strict = Floors("verify", "verify")
    office.settings["routes"] = {"r.test": NextHop("d.test", floors=strict, route="route[0]")}
    for domain, status in (("r.test", Status.DEFERRED), ("d.test", Status.DELIVERED)):
        office.settings["tls"] = Rules(waivers=waivers("bad-certificate", domain=domain))
        deliverer = office.open()
        assert only(await deliver(deliverer, "r.test")).status is status
        await deliverer.aclose()


@pytest.mark.parametrize(
    ("fault", "mode", "tls", "is_held"),
    [
        ("no STARTTLS", "absent", "encrypt", True),
        ("expired", "absent", "encrypt", False),
        ("expired", "absent", "verify", True),
        ("expired", "testing", "verify", True),
        ("expired", "testing", "encrypt", False),
        ("good", "absent", "verify", False),
    ],
)
async def test_a_requirement(
    office: Office, fault: str, mode: str, tls: str, is_held: bool
) -> None:
    """CNF-10: held by our own floor, which the text names."""
    mx = await host_with(office, fault)
    office.policies["d.test"] = found(mode, MX)
    required = Requirement(tls, "[[require]] for d.test")
    office.settings["tls"] = Rules(requirements={"d.test": required})
    deliverer = office.open()
    outcome = only(await deliver(deliverer))
    await deliverer.aclose()
    assert outcome.reason is (Reason.TLS_FLOOR if is_held else None)
    assert ("([[require]] for d.test)" in outcome.reply.text) == is_held
    assert len(mx.messages) == (not is_held)


async def test_sts_87_a_requirement_lowers_no_policy(office: Office) -> None:
    mx = await host_with(office, "expired")
    required = Requirement("encrypt", "[[require]] for d.test")
    office.settings["tls"] = Rules(requirements={"d.test": required})
    deliverer = office.open()
    outcome = only(await deliver(deliverer))
    await deliverer.aclose()
    assert (outcome.reason, len(mx.messages)) == (Reason.POLICY, 0)
