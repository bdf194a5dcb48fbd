"""Whole deliveries in the lab: where the mail went, over what, what was recorded and said."""

import asyncio
from typing import Any

import pytest

from relay.delivery.caller import Sources, Timeouts
from relay.delivery.deliverer import Deliverer
from relay.delivery.terms import Rules
from relay.delivery.tls import Floors
from relay.evidence import Action, Failure, Finding
from relay.lab.mx_host import Behaviour, MxHost
from relay.lab.world import World
from relay.outcome import DeliveryResult, Outcome, Reason, Status

from .conftest import BODY, NOW, QUICK, Office, found, mail, silence

DEAD = "127.0.0.200"


async def deliver(deliverer: Deliverer, *recipients: str, domain: str = "d.test") -> DeliveryResult:
    envelope = mail(*(recipients or (f"u@{domain}",)))
    return await deliverer.deliver(domain, envelope, BODY)


async def once(office: Office, *recipients: str, domain: str = "d.test") -> DeliveryResult:
    deliverer = office.open()
    result = await deliver(deliverer, *recipients, domain=domain)
    await deliverer.aclose()
    return result


def only(result: DeliveryResult) -> Outcome:
    (outcome,) = result.outcomes
    return outcome


def told(result: DeliveryResult) -> list[str]:
    return [f"{one.failure} {one.action}" for one in result.findings]


def mails(mx: MxHost) -> list[str]:
    return [line for line in mx.commands if line.startswith("MAIL")]


async def host_with(world: World, fault: str, name: str = "mx.d.test") -> MxHost:
    issue = world.ca.issue
    behaviour: dict[str, Behaviour] = {
        "no STARTTLS": {"starttls": False},
        "454": {"starttls_reply": "454 4.7.0 not now"},
        "broken": {"drop_at": "TLS"},
    }
    certificates = {
        "expired": issue([name], expired=True),
        "wrong name": issue(["other.test"]),
        "untrusted": world.foreign_ca.issue([name]),
    }
    certificate = certificates.get(fault)
    return await world.mx_host(name, certificate=certificate, **behaviour.get(fault, {}))


EXPIRED, NAME = Failure.CERTIFICATE_EXPIRED, Failure.CERTIFICATE_HOST_MISMATCH
ROOT, NO_TLS = Failure.CERTIFICATE_NOT_TRUSTED, Failure.STARTTLS_NOT_SUPPORTED
BROKEN = Failure.VALIDATION_FAILURE
STRICT, LOOSE, PLAIN = "verified TLSv1.3", "TLSv1.3", "clear"

# fault, mode, floors -> protection (None: held back), findings, enhanced status where held back
Expected = tuple[str | None, list[str], str | None]
FAULTS: list[Any] = [
    *(
        pytest.param(fault, mode, Floors(), (tls, [f"{failure} {one}" for one in actions], status),
                     id=f"STS-87 STS-90 {fault} {mode}")
        for fault, failure in [("expired", EXPIRED), ("wrong name", NAME), ("untrusted", ROOT)]
        for mode, tls, actions, status in [
            ("enforce", None, ["refused"], "4.7.5"),
            ("testing", LOOSE, ["delivered"], None),
            ("none", LOOSE, [], None),
            ("absent", LOOSE, [], None),
        ]
    ),
    *(
        pytest.param(fault, mode, Floors(testing, no_policy), (tls, told, status),
                     id=f"TLS-09 {fault} {mode} {testing} {no_policy}")
        for fault in ("no STARTTLS", "454")
        for mode, testing, no_policy, tls, told, status in [
            ("enforce", "opportunistic", "opportunistic", None, [f"{NO_TLS} refused"], "4.7.4"),
            ("testing", "encrypt", "opportunistic", None, [f"{NO_TLS} refused"], "4.7.4"),
            ("testing", "opportunistic", "encrypt", PLAIN, [f"{NO_TLS} delivered"], None),
            ("none", "encrypt", "opportunistic", PLAIN, [], None),
            ("absent", "encrypt", "opportunistic", PLAIN, [], None),
            ("none", "opportunistic", "encrypt", None, [], "4.7.4"),
        ]
    ),
    pytest.param("good", "enforce", Floors(), (STRICT, [], None), id="good enforce"),
    pytest.param("good", "testing", Floors(), (STRICT, [], None), id="good testing"),
    pytest.param("good", "none", Floors(), (STRICT, [], None), id="good none"),
    pytest.param("good", "absent", Floors(no_policy="verify"), (STRICT, [], None), id="verify"),
    pytest.param("expired", "testing", Floors("verify"), (None, [f"{EXPIRED} refused"], "4.7.5"),
                 id="testing verify"),
    pytest.param("broken", "enforce", Floors(), (None, [f"{BROKEN} refused"], "4.7.5"),
                 id="broken enforce"),
    pytest.param("broken", "testing", Floors(), (None, [f"{BROKEN} refused"], "4.7.5"),
                 id="broken testing"),
    pytest.param("broken", "none", Floors(), (PLAIN, [], None), id="broken none"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "mode", "floors", "expected"), FAULTS)
async def test_fault(
    office: Office, fault: str, mode: str, floors: Floors, expected: Expected
) -> None:
    tls, records, status = expected
    mx = await host_with(office.world, fault)
    office.world.domain("d.test", mx=[(10, mx.name)])
    office.policies["d.test"] = found(mode, "mx.d.test")
    office.settings["tls"] = Rules(floors)
    result = await once(office)
    outcome = only(result)
    assert told(result) == records
    assert set(mx.snis) <= {"mx.d.test"}
    if tls is None:
        assert (outcome.status, outcome.reply.enhanced) == (Status.DEFERRED, status)
        assert outcome.reason is (Reason.POLICY if mode == "enforce" else Reason.TLS_FLOOR)
        assert not mails(mx)
        return
    assert (outcome.status, outcome.reason, outcome.tls) == (Status.DELIVERED, None, tls)
    assert (outcome.host, outcome.address) == ("mx.d.test", mx.address)
    (message,) = mx.messages
    assert message.content == BODY
    assert message.tls == (tls != PLAIN)
    assert message.sni == (None if tls == PLAIN else "mx.d.test")


class TestUnlisted:
    @pytest.mark.parametrize(
        ("mode", "status", "records"),
        [
            pytest.param("enforce", Status.DEFERRED, ["mx-mismatch refused"], id="STS-87"),
            pytest.param("testing", Status.DELIVERED, ["mx-mismatch delivered"], id="STS-89"),
            pytest.param("none", Status.DELIVERED, [], id="STS-91"),
        ],
    )
    async def test_alone(
        self, office: Office, mode: str, status: Status, records: list[str]
    ) -> None:
        mx = await host_with(office.world, "good")
        office.world.domain("d.test", mx=[(10, mx.name)])
        office.policies["d.test"] = found(mode, "other.test")
        result = await once(office)
        assert (only(result).status, told(result)) == (status, records)
        assert bool(mx.connections) == (status is Status.DELIVERED)

    async def test_listed_second(self, office: Office) -> None:
        """STS-88."""
        first = await host_with(office.world, "good", "mx1.d.test")
        second = await host_with(office.world, "good", "mx2.d.test")
        office.world.domain("d.test", mx=[(10, first.name), (20, second.name)])
        office.policies["d.test"] = found("enforce", "mx2.d.test")
        result = await once(office)
        assert only(result).host == "mx2.d.test"
        assert told(result) == ["mx-mismatch refused"]
        assert first.connections == 0

    async def test_sts_90_every_check_is_made(self, office: Office) -> None:
        mx = await host_with(office.world, "expired")
        office.world.domain("d.test", mx=[(10, mx.name)])
        office.policies["d.test"] = found("testing", "other.test")
        result = await once(office)
        assert only(result).status is Status.DELIVERED
        assert sorted(told(result)) == [f"{EXPIRED} delivered", "mx-mismatch delivered"]

    async def test_sts_88_our_own_place_still_cuts_off_what_is_behind_it(
        self, office: Office
    ) -> None:
        first = await host_with(office.world, "good", "mx1.d.test")
        third = await host_with(office.world, "good", "mx3.d.test")
        hosts = [(10, first.name), (20, "relay.lab.test"), (30, third.name)]
        office.world.domain("d.test", mx=hosts)
        office.policies["d.test"] = found("enforce", "mx3.d.test")
        result = await once(office)
        assert (only(result).status, told(result)) == (Status.DEFERRED, ["mx-mismatch refused"])
        assert (first.connections, third.connections) == (0, 0)

    async def test_record_name_not_cname_target(self, office: Office) -> None:
        """STS-80, SND-07, STS-86."""
        mx = await host_with(office.world, "good", "real.prov.test")
        office.world.dns.add("mx.d.test", "CNAME", "real.prov.test.")
        office.world.domain("d.test", mx=[(10, "mx.d.test")])
        office.policies["d.test"] = found("enforce", "real.prov.test")
        assert told(await once(office)) == ["mx-mismatch refused"]
        mx.certificate = office.world.ca.issue(["mx.d.test"])
        office.policies["d.test"] = found("enforce", "mx.d.test")
        assert only(await once(office)).tls == STRICT
        assert mx.snis == ["mx.d.test"]

    async def test_implicit_mx(self, office: Office) -> None:
        """STS-82."""
        await host_with(office.world, "good", "d.test")
        office.policies["d.test"] = found("enforce", "d.test")
        assert only(await once(office)).status is Status.DELIVERED
        office.policies["d.test"] = found("enforce", "*.d.test")
        assert told(await once(office)) == ["mx-mismatch refused"]


async def test_domains_sharing_a_host(office: Office) -> None:
    """STS-96: each domain is judged by its own policy, whatever connection is open."""
    mx = await host_with(office.world, "expired")
    for domain in ("d.test", "e.test"):
        office.world.domain(domain, mx=[(10, mx.name)])
    office.policies |= {"d.test": found("enforce", "mx.d.test"), "e.test": found("none")}
    deliverer = office.open()
    assert only(await deliver(deliverer, domain="e.test")).status is Status.DELIVERED
    assert only(await deliver(deliverer)).status is Status.DEFERRED
    assert only(await deliver(deliverer, domain="e.test")).status is Status.DELIVERED
    await deliverer.aclose()
    assert len(mx.messages) == 2


async def test_policy_is_asked_each_time(office: Office) -> None:
    """STS-98."""
    mx = await host_with(office.world, "good")
    office.world.domain("d.test", mx=[(10, mx.name)])
    deliverer = office.open()
    office.policies["d.test"] = found("enforce", "other.test")
    assert only(await deliver(deliverer)).status is Status.DEFERRED
    office.policies["d.test"] = found("enforce", "mx.d.test")
    assert only(await deliver(deliverer)).status is Status.DELIVERED
    await deliverer.aclose()


class TestConnections:
    async def test_reused(self, office: Office) -> None:
        mx = await host_with(office.world, "good")
        office.world.domain("d.test", mx=[(10, mx.name)])
        office.policies["d.test"] = found("enforce", "mx.d.test")
        deliverer = office.open()
        for _ in range(3):
            await deliver(deliverer)
        await deliverer.aclose()
        assert (mx.connections, len(mx.messages)) == (1, 3)
        assert await mx.endings.reach(1, 5) == ["QUIT"]

    async def test_testing_never_serves_enforce(self, office: Office) -> None:
        """STS-97."""
        mx = await host_with(office.world, "expired")
        office.world.domain("d.test", mx=[(10, mx.name)])
        deliverer = office.open()
        office.policies["d.test"] = found("testing", "mx.d.test")
        assert only(await deliver(deliverer)).status is Status.DELIVERED
        office.policies["d.test"] = found("enforce", "mx.d.test")
        assert only(await deliver(deliverer)).status is Status.DEFERRED
        await deliverer.aclose()
        assert len(mx.messages) == 1

    async def test_not_even_a_verified_one(self, office: Office) -> None:
        """STS-97: the mode is part of the key."""
        mx = await host_with(office.world, "good")
        office.world.domain("d.test", mx=[(10, mx.name)])
        deliverer = office.open()
        for mode in ("testing", "enforce", "testing"):
            office.policies["d.test"] = found(mode, "mx.d.test")
            assert only(await deliver(deliverer)).tls == STRICT
        await deliverer.aclose()
        assert mx.connections == 2

    async def test_dead_one_is_replaced(self, office: Office) -> None:
        mx = await host_with(office.world, "good")
        office.world.domain("d.test", mx=[(10, mx.name)])
        deliverer = office.open()
        await deliver(deliverer)
        mx.replies["MAIL"] = ["421 4.4.2 idle too long"]
        assert only(await deliver(deliverer)).status is Status.DELIVERED
        await deliverer.aclose()
        assert (mx.connections, len(mx.messages)) == (2, 2)

    async def test_strict_handshake_is_not_repeated(self, office: Office) -> None:
        """CNF-03: remembered for a minute, recorded each time."""
        mx = await host_with(office.world, "expired")
        office.world.domain("d.test", mx=[(10, mx.name)])
        office.policies["d.test"] = found("testing", "mx.d.test")
        deliverer = office.open()
        for _ in range(2):
            assert told(await deliver(deliverer)) == ["certificate-expired delivered"]
        assert mx.connections == 2
        office.clock.time += 60
        assert told(await deliver(deliverer)) == ["certificate-expired delivered"]
        assert mx.connections == 3
        await deliverer.aclose()

    async def test_clear_text_needs_one_connection(self, office: Office) -> None:
        mx = await host_with(office.world, "no STARTTLS")
        office.world.domain("d.test", mx=[(10, mx.name)])
        deliverer = office.open()
        for _ in range(2):
            assert only(await deliver(deliverer)).tls == PLAIN
        await deliverer.aclose()
        assert mx.connections == 1


class TestNextHost:
    @pytest.mark.parametrize(
        "behaviour",
        [
            pytest.param({"greeting": "554 5.3.2 no"}, id="SND-13"),
            pytest.param({"replies": {"MAIL": "450 4.2.0 later"}}, id="SND-12 4yz"),
            pytest.param({"drop_at": "CONNECT"}, id="SND-18 greeting"),
            pytest.param({"drop_at": "RCPT"}, id="SND-18 RCPT"),
            pytest.param({"stall_at": "MAIL"}, id="SND-19 silence"),
            pytest.param({"extensions": ("SIZE 5",)}, id="EXT-08"),
        ],
    )
    async def test_second_takes_it(self, office: Office, behaviour: Behaviour) -> None:
        first = await office.world.mx_host("mx1.d.test", **behaviour)
        second = await office.world.mx_host("mx2.d.test")
        office.world.domain("d.test", mx=[(10, first.name), (20, second.name)])
        office.settings["timeouts"] = QUICK
        result = await once(office)
        assert (only(result).status, only(result).host) == (Status.DELIVERED, "mx2.d.test")
        assert (len(first.messages), len(second.messages)) == (0, 1)

    async def test_second_address(self, office: Office) -> None:
        """SND-05; STS-94: nobody there is no violation."""
        world = office.world
        world.dns.add("mx.d.test", "A", "127.0.0.1")
        mx = await world.mx_host("mx.d.test")
        world.domain("d.test", mx=[(10, "mx.d.test")])
        office.policies["d.test"] = found("enforce", "mx.d.test")
        result = await once(office)
        assert only(result).address == mx.address
        assert not result.findings

    async def test_not_after_the_final_dot(self, office: Office) -> None:
        """SND-20."""
        first = await office.world.mx_host("mx1.d.test", drop_at=".")
        second = await office.world.mx_host("mx2.d.test")
        office.world.domain("d.test", mx=[(10, first.name), (20, second.name)])
        result = await once(office)
        assert (only(result).status, only(result).reason) == (Status.DEFERRED, Reason.UNREACHABLE)
        assert only(result).reply.enhanced == "4.4.2"
        assert second.connections == 0


async def test_each_recipient_for_itself(office: Office) -> None:
    """SND-17, SND-16: one copy, three outcomes."""
    mx = await host_with(office.world, "good")
    mx.replies |= {"RCPT:2@d.test": "450 4.2.0 later", "RCPT:3@d.test": "550 5.1.1 who"}
    office.world.domain("d.test", mx=[(10, mx.name)])
    result = await once(office, "1@d.test", "2@d.test", "3@d.test")
    statuses = [one.status for one in result.outcomes]
    assert statuses == [Status.DELIVERED, Status.DEFERRED, Status.FAILED]
    assert {one.remote for one in result.outcomes} == {True}
    assert len(mx.messages) == 1


async def test_too_many_recipients(office: Office) -> None:
    """SND-14: two transactions."""
    mx = await host_with(office.world, "good")
    mx.replies["RCPT:3@d.test"] = ["552 5.5.3 too many"]
    office.world.domain("d.test", mx=[(10, mx.name)])
    result = await once(office, "1@d.test", "2@d.test", "3@d.test")
    assert {one.status for one in result.outcomes} == {Status.DELIVERED}
    assert [one.rcpt_tos for one in mx.messages] == [("1@d.test", "2@d.test"), ("3@d.test",)]
    assert mx.connections == 1


class TestNoRoute:
    async def test_null_mx(self, office: Office) -> None:
        """EXT-27: at once, without any work on a policy."""
        office.world.dns.add("d.test", "MX", "0 .")
        result = await once(office, "1@d.test", "2@d.test")
        assert {one.status for one in result.outcomes} == {Status.FAILED}
        assert {one.reply.enhanced for one in result.outcomes} == {"5.1.10"}
        assert office.asked == []

    async def test_dns_trouble(self, office: Office) -> None:
        office.world.dns.fail("d.test", "MX", "SERVFAIL")
        result = await once(office)
        assert (only(result).status, only(result).reason) == (Status.DEFERRED, Reason.DNS)

    async def test_findings_of_the_policy_are_kept(self, office: Office) -> None:
        seen = Finding(
            NOW, "d.test", None, Failure.STS_POLICY_FETCH_ERROR, "no policy", Action.NOTED
        )
        office.world.dns.add("d.test", "MX", "10 gone.test.")
        office.policies["d.test"] = found("absent", findings=(seen,))
        result = await once(office)
        assert (only(result).status, only(result).reply.enhanced) == (Status.DEFERRED, "4.4.4")
        assert result.findings == (seen,)

    async def test_internal_address(self, office: Office) -> None:
        mx = await host_with(office.world, "good")
        office.world.domain("d.test", mx=[(10, mx.name)])
        office.settings["allow_internal"] = ()
        result = await once(office)
        assert only(result).status is Status.DEFERRED
        assert "delivery.allow_internal" in only(result).reply.text
        assert mx.connections == 0


async def test_address_literal(office: Office) -> None:
    """No MX, no policy."""
    mx = await host_with(office.world, "good")
    result = await once(office, f"u@[{mx.address}]", domain=f"[{mx.address}]")
    assert only(result).status is Status.DELIVERED
    assert (office.asked, office.world.dns.queries) == ([], [])


async def test_ipv6(office: Office) -> None:
    try:
        mx = await office.world.mx_host("mx.d.test", address="::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    office.world.domain("d.test", mx=[(10, mx.name)])
    assert only(await once(office)).address == "::1"


class TestSilentAddress:
    """A host of whose addresses one swallows every packet, as a dead family does."""

    async def test_not_waited_for(self, office: Office) -> None:
        """SND-05: the other address has the mail soon, and the next mail at once."""
        mx = await office.world.mx_host("mx.d.test")
        office.world.dns.replace("mx.d.test", "A", DEAD, mx.address)
        office.world.domain("d.test", mx=[(10, mx.name)])
        office.settings["timeouts"] = Timeouts(connect=3600, hurried=0.2)
        deliverer = office.open()
        with silence(DEAD, office.world.smtp_port) as dead:
            assert only(await deliver(deliverer)).address == mx.address
            dead.accept()[0].close()
            async with asyncio.timeout(20):
                assert only(await deliver(deliverer)).address == mx.address
            await deliverer.aclose()
            dead.settimeout(0)
            with pytest.raises(BlockingIOError):
                dead.accept()
        assert len(mx.messages) == 2

    async def test_is_reported(self, office: Office) -> None:
        office.world.dns.add("mx.d.test", "A", DEAD)
        office.world.domain("d.test", mx=[(10, "mx.d.test")])
        office.settings["timeouts"] = Timeouts(connect=0.2)
        with silence(DEAD, office.world.smtp_port):
            outcome = only(await once(office))
        assert (outcome.status, outcome.reason) == (Status.DEFERRED, Reason.UNREACHABLE)
        assert "no answer in time" in outcome.reply.text


async def test_source_address(office: Office) -> None:
    mx = await office.world.mx_host("mx.d.test")
    office.world.domain("d.test", mx=[(10, mx.name)])
    office.settings["sources"] = Sources("127.0.0.77", "::1")
    assert only(await once(office)).status is Status.DELIVERED
    assert mx.messages[0].peer[0] == "127.0.0.77"


async def test_source_address_that_is_not_ours(office: Office) -> None:
    mx = await office.world.mx_host("mx.d.test")
    office.world.domain("d.test", mx=[(10, mx.name)])
    office.settings["sources"] = Sources("192.0.2.77")
    outcome = only(await once(office))
    assert outcome.reason is Reason.UNREACHABLE
    assert "cannot assign requested address" in outcome.reply.text


async def test_ext_15_a_domain_in_utf_8_reaches_an_old_host(office: Office) -> None:
    """In A-labels, and without SMTPUTF8, as nothing else needs it."""
    mx = await office.world.mx_host("mx.d.test", extensions=("PIPELINING",))
    office.world.domain("xn--bcher-kva.test", mx=[(10, mx.name)])
    envelope = mail("u@bücher.test", sender="me@bücher.test")
    deliverer = office.open()
    outcome = only(await deliverer.deliver("xn--bcher-kva.test", envelope, BODY))
    await deliverer.aclose()
    assert (outcome.recipient, outcome.status) == ("u@bücher.test", Status.DELIVERED)
    (message,) = mx.messages
    assert message.mail_from == "me@xn--bcher-kva.test"
    assert message.rcpt_tos == ("u@xn--bcher-kva.test",)
