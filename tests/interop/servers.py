"""Postfix, Exim and OpenSMTPD: each takes mail with STARTTLS offered and hands all of it on."""

from collections.abc import Mapping

from tests.interop.corpus import Mail
from tests.interop.peer import CERTIFICATE, ROOTS, Place, Server


def _postfix(place: Place) -> Mapping[str, str]:
    main = f"""
compatibility_level = 3.6
maillog_file = /var/log/postfix.log
myhostname = {place.host}
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [{place.onward.name}]:{place.onward.port}
smtp_host_lookup = native
smtp_tls_security_level = {"verify" if place.onward.verified else "none"}
smtp_tls_CAfile = {ROOTS}
local_header_rewrite_clients =
fast_flush_domains =
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_tls_security_level = may
smtpd_tls_chain_files = {CERTIFICATE}
smtpd_tls_received_header = yes
"""
    master = f"""
{place.address}:{place.port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n - 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""
    return {"etc/postfix/main.cf": main, "etc/postfix/master.cf": master}


def _exim(place: Place) -> Mapping[str, str]:
    text = f"""
primary_hostname = {place.host}
local_interfaces = {place.address}
daemon_smtp_ports = {place.port}
keep_environment =
host_lookup =
tls_advertise_hosts = *
tls_certificate = {CERTIFICATE}
tls_privatekey = {CERTIFICATE}
smtputf8_advertise_hosts = *
deliver_drop_privilege = true
smtp_accept_queue_per_connection = 0
acl_smtp_rcpt = all
begin acl
all:
  accept
begin routers
onward:
  driver = manualroute
  route_list = * {place.onward.name} byname
  transport = onward
  self = send
begin transports
onward:
  driver = smtp
  port = {place.onward.port}
  allow_localhost = true
  {"hosts_require_tls" if place.onward.verified else "hosts_avoid_tls"} = *
  tls_verify_certificates = {ROOTS}
  tls_verify_hosts = *
  tls_verify_cert_hostnames = *
begin retry
* * F,1h,1m
"""
    return {"etc/exim4/exim4.conf": text}


def _opensmtpd(place: Place) -> Mapping[str, str]:
    onward = place.onward
    scheme = "smtp+tls" if onward.verified else "smtp"
    text = f"""
pki "{place.host}" cert "{CERTIFICATE}"
pki "{place.host}" key "{CERTIFICATE}"
listen on {place.address} port {place.port} tls pki "{place.host}" hostname "{place.host}"
action "onward" relay host "{scheme}://{onward.name}:{onward.port}"
match from any for any action "onward"
"""
    return {"etc/smtpd.conf": text, "etc/mailname": f"{place.host}\n"}


POSTFIX = Server(
    name="postfix",
    command=("/usr/lib/postfix/sbin/master", "-d"),
    files=_postfix,
    log="var/log/postfix.log",
)
EXIM = Server(
    name="exim",
    command=("/usr/sbin/exim4", "-bdf"),
    files=_exim,
    log="var/log/exim4/mainlog",
    user=64900,
)
OPENSMTPD = Server(
    name="opensmtpd",
    command=("/usr/sbin/smtpd", "-d"),
    files=_opensmtpd,
)
SERVERS = (POSTFIX, EXIM, OPENSMTPD)


def passed_on(server: Server, mail: Mail) -> bytes:
    """The content of a message after a server, below its trace line."""
    # Exim ends every header by a blank line
    if server is EXIM and b"\r\n\r\n" not in mail.arrives:
        return mail.arrives + b"\r\n"
    return mail.arrives
