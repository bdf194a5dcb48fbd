"""Mail through a next hop that the operator has named (RFC 8461 §3.4)."""

from pathlib import Path

import pytest

from relay.lab.ca import Certificate
from relay.lab.mx_host import Behaviour, MxHost
from relay.lab.world import World, policy_text
from tests.flow.conftest import Run, violations

OUT = "out.isp.test"
ACCOUNTS = {"me@isp.test": "s3cr3t"}
QUICK = '[queue]\nretry = ["1s"]\n'


def route(domain: str = "*", next_hop: str = f"[{OUT}]", **more: str) -> str:
    keys = {"domain": domain, "next_hop": next_hop} | more
    return "[[route]]\n" + "".join(f'{key} = "{value}"\n' for key, value in keys.items())


@pytest.fixture
def credentials(tmp_path: Path) -> str:
    """The name of a file with the smart host's credentials."""
    return secret(tmp_path, "me@isp.test", "s3cr3t")


def secret(directory: Path, username: str, password: str) -> str:
    path = directory / f"{username}.toml"
    path.touch(0o600)
    path.write_text(f'username = "{username}"\npassword = "{password}"\n')
    return path.name


async def smart_host(
    world: World, *, certificate: Certificate | None = None, listed: str | None = OUT
) -> MxHost:
    """A smart host that demands a login; `listed` None: it publishes no policy."""
    if listed:
        world.policy_host(OUT, policy_text("enforce", [listed]))
    return await world.mx_host(OUT, certificate=certificate, accounts=dict(ACCOUNTS))


def logged_in(mx: MxHost) -> bool:
    return bool(mx.logins) or any(line.startswith("AUTH") for line in mx.commands)


async def test_sts_14_the_next_hop_is_the_policy_domain(
    world: World, run: Run, credentials: str
) -> None:
    mx = await smart_host(world)
    world.domain("d.test", mx=[(10, "mx.d.test")], policy="enforce", patterns=["mx.d.test"])
    async with run(extra=route(credentials=credentials)) as relay:
        await relay.send("u@d.test", "u@e.test", "u@[192.0.2.1]")
        events = await relay.events("delivered", "deferred", count=3)
        assert {(one["event"], one["host"], one["tls"]) for one in events} == {
            ("delivered", OUT, "verified TLSv1.3")
        }
    asked = {name for name, _ in world.dns.queries}
    assert asked == {OUT, f"_mta-sts.{OUT}", f"mta-sts.{OUT}"}
    assert {kind for name, kind in world.dns.queries if name == OUT} == {"A", "AAAA"}
    # EXT-22: no submitter is vouched for
    mails = [line for line in mx.commands if line.startswith("MAIL")]
    assert len(mails) == 3
    assert all(line.endswith(" AUTH=<>") for line in mails)
    assert set(mx.logins) == set(ACCOUNTS.items())
    assert b"s3cr3t" not in relay.log.getvalue()
    assert violations(relay.settings) == []


async def test_the_policy_of_the_next_hop_is_enforced(
    world: World, run: Run, credentials: str
) -> None:
    mx = await smart_host(world, listed="other.isp.test")
    async with run(extra=route(credentials=credentials)) as relay:
        await relay.send("u@d.test")
        await relay.events("deferred")
        (job,) = relay.desk.jobs()
    assert (job.domain, job.reason) == ("d.test", "policy")
    (record,) = violations(relay.settings)
    assert (record["domain"], record["mx"], record["action"]) == (OUT, OUT, "refused")
    assert mx.connections == 0


async def test_refused_credentials_keep_the_mail(world: World, run: Run, credentials: str) -> None:
    mx = await smart_host(world)
    mx.accounts = {"me@isp.test": "changed"}
    extra = QUICK + route(credentials=credentials)
    async with run(extra=extra) as relay:
        await relay.send("u@d.test")
        events = await relay.events("deferred", "bounced", count=2)
        assert {(event["event"], event["reason"]) for event in events} == {("deferred", "answered")}
    for event in events:
        assert event["reply"].startswith(f"454 4.7.8 {OUT} does not take the relay's credentials")
        assert "535 5.7.8" in event["reply"]
    # not at every attempt: that would lock the account
    assert len(mx.logins) == 1
    mx.accounts = dict(ACCOUNTS)
    async with run(extra=extra) as again:
        await again.events("delivered")
    assert b"s3cr3t" not in relay.log.getvalue() + again.log.getvalue()


@pytest.mark.parametrize("fault", ["expired", "foreign", "wrong name", "no STARTTLS"])
async def test_no_credentials_for_a_host_that_is_not_verified(
    world: World, run: Run, credentials: str, fault: str
) -> None:
    bad = {
        "expired": world.ca.issue([OUT], expired=True),
        "foreign": world.foreign_ca.issue([OUT]),
        "wrong name": world.ca.issue(["isp.test"]),
    }
    mx = await smart_host(world, certificate=bad.get(fault), listed=None)
    mx.starttls = fault != "no STARTTLS"
    async with run(extra=route(credentials=credentials)) as relay:
        await relay.send("u@d.test")
        (event,) = await relay.events("deferred", "bounced", "delivered")
        (job,) = relay.desk.jobs()
    assert event["event"] == "deferred"
    assert (job.reason, "(route[0].tls)" in event["reply"]) == ("tls-floor", True)
    assert mx.connections == 1
    assert not logged_in(mx)
    assert violations(relay.settings) == []


async def test_tls_04_a_login_offered_before_tls_alone_is_not_tried(
    world: World, run: Run, credentials: str
) -> None:
    mx = await smart_host(world)
    mx.replies["EHLO"] = f"250-{OUT}\r\n250-AUTH PLAIN\r\n250 STARTTLS"
    mx.replies["EHLO:TLS"] = f"250 {OUT}"
    async with run(extra=route(credentials=credentials)) as relay:
        await relay.send("u@d.test")
        (event,) = await relay.events("deferred", "bounced", "delivered")
    assert event["reply"].startswith(f"454 4.7.8 {OUT} offers no AUTH by PLAIN or LOGIN")
    assert not logged_in(mx)


async def test_a_host_that_wants_a_login_does_not_make_mail_bounce(world: World, run: Run) -> None:
    await smart_host(world)
    async with run(extra=route()) as relay:
        await relay.send("u@d.test")
        (event,) = await relay.events("deferred", "bounced")
    assert (event["event"], event["reply"][:9]) == ("deferred", "454 4.7.0")


async def test_connections_are_not_shared_between_accounts(
    world: World, run: Run, tmp_path: Path
) -> None:
    mx = await smart_host(world)
    mx.accounts["you@isp.test"] = "0ther"
    routes = [
        route("a.test", credentials=secret(tmp_path, "me@isp.test", "s3cr3t")),
        route("b.test", credentials=secret(tmp_path, "you@isp.test", "0ther")),
    ]
    async with run(extra="".join(routes)) as relay:
        for count, domain in enumerate(("a.test", "b.test", "a.test", "b.test"), 1):
            await relay.send(f"u@{domain}")
            await relay.events("delivered", count=count)
    assert mx.connections == 2
    assert mx.logins == [("me@isp.test", "s3cr3t"), ("you@isp.test", "0ther")]


async def test_the_closest_route_counts(world: World, run: Run) -> None:
    out = await world.mx_host(OUT)
    mx, inner = await world.mx_host("mx.d.test"), await world.mx_host("in.d.test")
    world.domain("d.test", mx=[(10, mx.name)])
    world.domain("e.test", mx=[(10, inner.name)], policy="enforce")
    routes = route(), route("*.d.test", "e.test"), route("d.test", "d.test")
    async with run(extra="".join(routes)) as relay:
        await relay.send("u@d.test", "u@a.b.d.test", "u@other.test")
        await relay.events("delivered", count=3)
    arrived = {host.name: [one.rcpt_tos for one in host.messages] for host in (mx, inner, out)}
    assert arrived == {
        "mx.d.test": [("u@d.test",)],
        "in.d.test": [("u@a.b.d.test",)],
        OUT: [("u@other.test",)],
    }


@pytest.mark.parametrize(
    ("tls", "behaviour", "how"),
    [
        ("opportunistic", {"starttls": False}, "clear"),
        ("opportunistic", {}, "TLSv1.3"),
        ("encrypt", {}, "TLSv1.3"),
        ("encrypt", {"starttls": False}, None),
        ("verify", {}, None),
    ],
)
async def test_the_level_of_a_route_stands_for_that_of_all_mail(
    world: World, run: Run, tls: str, behaviour: Behaviour, how: str | None
) -> None:
    bad = world.ca.issue([OUT], self_signed=True)
    mx = await world.mx_host(OUT, certificate=bad, **behaviour)
    floor = "verify" if how else "opportunistic"
    async with run(extra=f'[tls]\nno_policy = "{floor}"\n{route(tls=tls)}') as relay:
        await relay.send("u@d.test")
        (event,) = await relay.events("delivered", "deferred")
    assert event["tls" if how else "reason"] == (how or "tls-floor")
    assert len(mx.messages) == bool(how)


async def test_a_policy_in_enforce_mode_stands_above_the_level_of_a_route(
    world: World, run: Run
) -> None:
    bad = world.ca.issue([OUT], self_signed=True)
    mx = await smart_host(world, certificate=bad)
    async with run(extra=route(tls="opportunistic")) as relay:
        await relay.send("u@d.test")
        await relay.events("deferred")
    (record,) = violations(relay.settings)
    assert (record["domain"], record["reason"]) == (OUT, "certificate-not-trusted")
    assert not [line for line in mx.commands if line.startswith("MAIL")]


async def test_an_internal_address_in_a_route_is_trusted(world: World, run: Run) -> None:
    place = "127.0.77.7"
    mx = await world.mx_host("mx.d.test", address=place, certificate=world.ca.issue([place]))
    extra = "[delivery]\nallow_internal = []\n" + route("d.test", f"[{place}]")
    async with run(extra=extra) as relay:
        await relay.send("u@d.test", f"u@[{place}]")
        (delivered,) = await relay.events("delivered")
        (deferred,) = await relay.events("deferred")
    assert (delivered["host"], delivered["tls"]) == (place, "verified TLSv1.3")
    assert "delivery.allow_internal" in deferred["reply"]
    assert [one.rcpt_tos for one in mx.messages] == [("u@d.test",)]


@pytest.mark.parametrize(
    ("next_hop", "records", "words"),
    [
        ("gone.isp.test", {}, "the domain gone.isp.test does not exist"),
        ("isp.test", {"isp.test": "0 ."}, "the domain isp.test takes no mail"),
        ("isp.test", {"isp.test": "10 relay.lab.test."}, "mail loops back"),
    ],
    ids=["NXDOMAIN", "null MX", "SND-06 a loop"],
)
async def test_a_route_to_nowhere_does_not_make_mail_bounce(
    world: World, run: Run, next_hop: str, records: dict[str, str], words: str
) -> None:
    for name, record in records.items():
        world.dns.add(name, "MX", record)
    async with run(extra=route(next_hop=next_hop)) as relay:
        await relay.send("u@d.test")
        (event,) = await relay.events("deferred", "bounced")
    assert (event["event"], event["reason"]) == ("deferred", "dns")
    assert event["reply"].startswith("451 4.3.5 route[0].next_hop of our configuration ")
    assert words in event["reply"]
