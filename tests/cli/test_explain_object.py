"""What `relay explain --json` gives programs."""

from pathlib import Path

from relay.lab.world import World
from tests.cli.scenes import host, set_up, told


async def test_json(world: World, path: Path) -> None:
    mx = await host(world, "self-signed")
    set_up(world, "testing")
    status, shown = await told(path, "u@d.test", "--probe")
    violation = {
        "reason": "certificate-not-trusted",
        "mx": "mx.d.test",
        "action": "delivered",
        "detail": "the certificate of mx.d.test is self-signed",
    }
    judged = {
        "status": "delivered",
        "tls": "TLSv1.3",
        "reason": None,
        "detail": None,
        "violations": [violation],
    }
    assert status == 0
    policy = shown.pop("policy")
    assert (policy["domain"], policy["policy"]["mode"], policy["status"]) == (
        *("d.test", "testing"),
        "found",
    )
    assert policy["fetched"].endswith("Z")
    assert shown == {
        "address": "u@d.test",
        "outcome": judged | {"host": "mx.d.test"},
        "probed": True,
        "as_if": None,
        "route": None,
        "tls": {
            "mode": "testing",
            "levels": ["verified", "encrypted"],
            "setting": None,
            "remembered": None,
        },
        "waivers": [],
        "hosts": [
            judged
            | {
                "host": "mx.d.test",
                "preference": 10,
                "addresses": [mx.address],
                "match": "mx.d.test",
            }
        ],
        "queued": {
            "jobs": 0,
            "recipients": 0,
            "oldest": None,
            "next_attempt": None,
            "reasons": {},
            "last": None,
        },
    }
