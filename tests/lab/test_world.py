"""The world as a whole: a domain, its policy and its host, and a relay's configuration for it."""

import asyncio
import smtplib
import ssl

import httpx

from relay.lab.policy_host import PATH
from relay.lab.world import World


async def test_a_domain_has_mx_records_and_a_policy(world: World) -> None:
    site = world.domain("good.test", mx=[(10, "mx.good.test")], policy="enforce")
    assert site is not None
    assert (
        site.body == b"version: STSv1\r\nmode: enforce\r\nmx: mx.good.test\r\nmax_age: 604800\r\n"
    )
    trust = ssl.create_default_context(cafile=world.ca_file)
    async with httpx.AsyncClient(verify=trust) as client:
        response = await client.get(
            f"https://127.0.0.1:{world.https_port}{PATH}",
            headers={"Host": "mta-sts.good.test"},
            extensions={"sni_hostname": "mta-sts.good.test"},
        )
    assert response.status_code == 200
    assert response.content == site.body
    assert site.requests[0].sni == "mta-sts.good.test"


async def test_an_mx_host_takes_mail_over_tls(world: World) -> None:
    mx = await world.mx_host("mx.good.test")
    content = b"Subject: x\r\n\r\n.dot\r\n..dots\r\n"

    def send() -> None:
        with smtplib.SMTP(mx.address, world.smtp_port, local_hostname="c.test") as client:
            client._host = "mx.good.test"  # type: ignore[attr-defined] # the name TLS checks
            client.starttls(context=ssl.create_default_context(cafile=world.ca_file))
            client.sendmail("", ["u@good.test"], content)

    await asyncio.to_thread(send)
    (message,) = await mx.received(1)
    assert message.content == content
    assert (message.mail_from, message.rcpt_tos) == ("", ("u@good.test",))
    assert (message.tls, message.tls_version, message.sni) == (True, "TLSv1.3", "mx.good.test")
    await mx.endings.reach(1, 5)
    assert mx.endings == ["QUIT"]
