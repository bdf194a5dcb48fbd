"""The demo's domains (RFC 8461 §5): each shows one thing that can become of mail."""

from typing import Literal

from relay.immutable import immutable
from relay.lab.ca import Certificate
from relay.lab.world import Mode, World


@immutable
class Scene:
    """A domain of the demo: what it shows, what should happen to its mail, and how that ends."""

    domain: str
    title: str
    story: str
    expected: Literal["delivered", "deferred"]


async def furnish(world: World) -> list[Scene]:
    """Set up all the demo's domains in a world; the scenes in the order they are told in."""
    return [*await _enforced(world), *await _tested(world), *await _unprotected(world)]


async def _enforced(world: World) -> list[Scene]:
    await _domain(world, "good.test", "enforce")
    await _domain(world, "wildcard.test", "enforce", patterns=["*.wildcard.test"])
    await _domain(world, "unlisted-mx.test", "enforce", patterns=["mx.elsewhere.test"])
    expired = world.ca.issue(["mx.expired.test"], expired=True)
    await _domain(world, "expired.test", "enforce", certificate=expired)
    wrong_name = world.ca.issue(["mx.elsewhere.test"])
    await _domain(world, "wrong-name.test", "enforce", certificate=wrong_name)
    await _domain(world, "no-starttls.test", "enforce", starttls=False)
    await _second_good(world)
    return list(_ENFORCED)


async def _second_good(world: World) -> None:
    first, second = "mx1.second-good.test", "mx2.second-good.test"
    await world.mx_host(first, certificate=world.ca.issue([first], expired=True))
    await world.mx_host(second)
    world.domain("second-good.test", mx=[(10, first), (20, second)], policy="enforce")


async def _tested(world: World) -> list[Scene]:
    await _domain(world, "testing-unlisted.test", "testing", patterns=["mx.elsewhere.test"])
    self_signed = world.ca.issue(["mx.testing-self-signed.test"], self_signed=True)
    await _domain(world, "testing-self-signed.test", "testing", certificate=self_signed)
    return list(_TESTED)


async def _unprotected(world: World) -> list[Scene]:
    await _domain(world, "no-policy.test", None)
    await _domain(world, "no-policy-no-starttls.test", None, starttls=False)
    return list(_UNPROTECTED)


async def _domain(
    world: World,
    name: str,
    policy: Mode | None,
    *,
    patterns: list[str] | None = None,
    certificate: Certificate | None = None,
    starttls: bool = True,
) -> None:
    host = f"mx.{name}"
    await world.mx_host(host, certificate=certificate, starttls=starttls)
    world.domain(name, mx=[(10, host)], policy=policy, patterns=patterns)


_ENFORCED = (
    Scene(
        "good.test",
        "enforce, all in order",
        "The host is listed and its certificate verifies: delivered.",
        "delivered",
    ),
    Scene(
        "wildcard.test",
        "enforce, listed by a wildcard",
        "The host matches *.wildcard.test and its certificate verifies: delivered.",
        "delivered",
    ),
    Scene(
        "unlisted-mx.test",
        "enforce, MX not in the policy",
        "The only MX host is not listed: refused, tried again later.",
        "deferred",
    ),
    Scene(
        "expired.test",
        "enforce, certificate expired",
        "The certificate of the listed host has expired: refused, tried again later.",
        "deferred",
    ),
    Scene(
        "wrong-name.test",
        "enforce, certificate for another name",
        "The certificate does not name the listed host: refused, tried again later.",
        "deferred",
    ),
    Scene(
        "no-starttls.test",
        "enforce, no STARTTLS",
        "The listed host offers no TLS: refused, tried again later.",
        "deferred",
    ),
    Scene(
        "second-good.test",
        "enforce, second MX in order",
        "The first host's certificate has expired, the second host takes the mail.",
        "delivered",
    ),
)

_TESTED = (
    Scene(
        "testing-unlisted.test",
        "testing, MX not in the policy",
        "The host is not listed, which is recorded; delivered all the same.",
        "delivered",
    ),
    Scene(
        "testing-self-signed.test",
        "testing, certificate self-signed",
        "Nobody vouches for the certificate, which is recorded; delivered all the same.",
        "delivered",
    ),
)

_UNPROTECTED = (
    Scene(
        "no-policy.test",
        "no policy",
        "Nothing to judge by: delivered over TLS, whatever the certificate.",
        "delivered",
    ),
    Scene(
        "no-policy-no-starttls.test",
        "no policy, no STARTTLS",
        "Nothing to judge by and no TLS: delivered in clear.",
        "delivered",
    ),
)
