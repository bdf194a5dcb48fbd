"""`relay serve`: the relay in the foreground."""

import gc
import logging
import sys

import click

from relay import config
from relay.cli.options import config_option

# Objects and rounds between collections, by generation. A closed TLS connection is garbage of this
# kind and holds a tenth of a MB: with 20 000 objects a thousand new hosts took 27 MB more
_SELDOM = (5000, 20, 20)


@click.command("serve")
@config_option
def command(config_path: str | None) -> None:
    """Run the relay in the foreground; logs go to stderr.

    SIGTERM and SIGINT stop it gracefully, SIGHUP reads the configuration again.
    """
    path = config.find(config_path)
    settings = config.load(path)
    from relay import event_loop, supervisor
    from relay.clock import SystemClock
    from relay.descriptors import make_room
    from relay.reporting.journal import Journal, JournalHandler
    from relay.service import serve

    journal = Journal(sys.stderr.buffer, SystemClock(), human=sys.stderr.isatty())
    logging.basicConfig(level=logging.WARNING, handlers=[JournalHandler(journal)])
    # aiosmtpd logs each line of a client; what matters is in our own events
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    for warning in config.warnings(settings, SystemClock().now()):
        journal.write("warning", message=warning)
    clients = settings.server.max_connections
    if (room := make_room(clients)) < clients:
        message = (
            f"server.max_connections: the system's limit of open files leaves room for {room} "
            f"clients, not {clients}; raise the limit (ulimit -n, LimitNOFILE=) or lower the key"
        )
        journal.write("warning", message=message)

    def read() -> tuple[config.Settings, list[str]]:
        new = config.load(path)
        return new, config.fixed_changes(settings, new)

    def announce(text: str) -> None:
        journal.write("ready", message=text)

    # what is loaded stays, and mail leaves few cycles: looking for them often found next to nothing
    gc.freeze()
    gc.set_threshold(*_SELDOM)
    if supervisor.worker_count(settings) > 1:
        supervisor.supervise(settings, journal, announce, read)
    else:
        work = serve(settings, journal, announce, read=read)
        event_loop.run(work, settings.server.loop)
