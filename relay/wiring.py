"""From the configuration to what each part of the relay is built from. Starts nothing."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from relay import config
from relay.address import Domain
from relay.clock import Clock, SystemClock
from relay.config import Settings
from relay.db.policies import PolicyTable
from relay.delivery.caller import Sources
from relay.delivery.deliverer import DeliverySettings
from relay.delivery.own import OwnAddresses
from relay.delivery.scout import Scout
from relay.delivery.terms import Recall
from relay.evidence import Finding
from relay.inbound.certificate import CertificateFiles
from relay.inbound.hooks import AcceptHooks, AcceptSettings
from relay.inbound.login import Login
from relay.inbound.reception import Reception, SessionSettings
from relay.inbound.server import Listeners, ListenSettings
from relay.inbound.users import UserFile
from relay.mta_sts.fetch import FetchSettings, PolicyFetcher
from relay.mta_sts.finder import PolicyFinder
from relay.mta_sts.policy import SeenBy
from relay.outcome import Prospect
from relay.queue.watch import View
from relay.reporting.alerter import Channel
from relay.reporting.command import Command
from relay.reporting.webhook import Webhook
from relay.resolver import DnsResolver
from relay.storage import ALONE, Worker


def build_listeners(settings: Settings, hooks: AcceptHooks, worker: Worker = ALONE) -> Listeners:
    """The listeners of the configuration. Raises CertificateError."""
    reception = build_reception(settings, hooks)
    return Listeners(listen_settings(settings, worker), reception, SystemClock())


def build_reception(settings: Settings, hooks: AcceptHooks) -> Reception:
    """What sessions work with, as configured."""
    server = settings.server
    session = SessionSettings(
        hostname=settings.hostname,
        max_message_size=server.max_message_size,
        timeout=server.timeout,
        message_timeout=server.message_timeout,
        normalise=server.bare_newlines == "normalise",
        spool=settings.storage_directory,
    )
    login = Login(UserFile(settings.users)) if settings.users else None
    return Reception(hooks, session, login=login)


def build_resolver(settings: Settings, clock: Clock) -> DnsResolver:
    """The resolver of the configuration."""
    return DnsResolver(settings.dns.nameservers, settings.dns.timeout, clock)


def build_finder(
    settings: Settings,
    resolver: DnsResolver,
    policies: PolicyTable,
    clock: Clock,
    seen_by: SeenBy = "delivery",
) -> PolicyFinder:
    """The policy finder of the configuration; `seen_by` says in whose name it looks."""
    fetcher = PolicyFetcher(
        resolver,
        FetchSettings(
            settings.mta_sts.fetch_timeout,
            settings.mta_sts.https_port,
            settings.delivery.allow_internal,
            settings.ca_file,
            settings.mta_sts.proxy,
        ),
    )
    return PolicyFinder(resolver, policies, fetcher.fetch, clock, seen_by)


def build_channels(settings: Settings) -> list[Channel]:
    """Whom alerts are told; none where nobody wants them."""
    channels: list[Channel] = []
    if settings.alert_command:
        channels.append(Command(settings.alert_command, settings.directory))
    if settings.alert.webhook:
        channels.append(Webhook(settings.alert.webhook, settings.ca_file))
    return channels


def delivery_settings(settings: Settings) -> DeliverySettings:
    """What delivery needs to know of the configuration. Raises ConfigError: credentials."""
    return DeliverySettings(
        hostname=settings.hostname,
        own=OwnAddresses(settings.hostname, settings.server.listeners),
        routes=config.next_hops(settings),
        port=settings.delivery.port,
        allow_internal=settings.delivery.allow_internal,
        idle_timeout=settings.delivery.idle_timeout,
        host_bound=config.host_bounds(settings),
        ca_file=settings.ca_file,
        sources=Sources(settings.delivery.source_ipv4, settings.delivery.source_ipv6),
        tls=config.tls_rules(settings),
    )


def watch_view(
    settings: Settings,
    scout: Scout,
    policies: PolicyTable,
    record: Callable[[Sequence[Finding]], Awaitable[None]],
) -> View:
    """What the watch sees of the other side; `record` keeps what was found amiss on the way."""

    async def look(destination: str) -> Prospect:
        prospect = await scout.look(destination)
        if prospect.findings:
            await record(prospect.findings)
        return prospect

    def known(domain: str) -> object:
        cached = policies.load(Domain(domain))
        return (cached.record_id, cached.policy) if cached else None

    return View(scout.policy_domain, known, look, settings.queue.watch)


def remembering(settings: Settings, delivery: DeliverySettings, recall: Recall) -> DeliverySettings:
    """The same, with what is remembered of domains, where the configuration wants that."""
    return replace(delivery, tls=config.tls_rules(settings, recall))


def accept_settings(settings: Settings) -> AcceptSettings:
    """What the hooks need to know of the configuration."""
    server = settings.server
    return AcceptSettings(
        hostname=settings.hostname,
        allow=server.allow,
        max_message_size=server.max_message_size,
        max_recipients=server.max_recipients,
        max_received=server.max_received,
        normalise=server.bare_newlines == "normalise",
        postmaster=settings.queue.postmaster,
    )


def listen_settings(settings: Settings, worker: Worker) -> ListenSettings:
    """What the listeners need to know of the configuration; `worker` has its share of clients."""
    server = settings.server
    certificate, key = settings.tls_cert, settings.tls_key
    return ListenSettings(
        addresses=server.listen,
        allow=server.allow,
        max_connections=max(1, server.max_connections // worker.count),
        max_connections_per_client=server.max_connections_per_client,
        tls_addresses=server.listen_tls,
        certificate=CertificateFiles(certificate, key or certificate) if certificate else None,
        reuse_port=worker.lifeline is not None,
    )
