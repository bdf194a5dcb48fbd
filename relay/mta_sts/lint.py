"""What is sloppy about a domain's MTA-STS set-up (RFC 8461 §3, §8). Pure; it changes no verdict."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from enum import StrEnum

from relay.immutable import immutable
from relay.mta_sts.error import MtaStsError
from relay.mta_sts.match import validate_mx
from relay.mta_sts.policy import Policy, parse_policy, read_lines
from relay.mta_sts.record import parse_txt

_KEYS = (b"version", b"mode", b"max_age", b"mx")
_DAY = 86_400
_LIMIT = 40  # remarks; a policy file has room for thousands of faults
_LINES = 5  # line numbers told of one fault
_SHOWN = 60  # octets of a text quoted
_STRICT = "RFC 8461 has no such lines, and strict senders void the policy for them"


class Severity(StrEnum):
    """How much a remark matters."""

    SERIOUS = "serious"  # mail is refused, or the policy protects nobody
    WARNING = "warning"  # not what was meant, or not so everywhere
    NOTE = "note"  # worth knowing


@immutable
class Remark:
    """One sentence about one thing."""

    severity: Severity
    text: str


@immutable
class Setup:
    """What was seen of a domain; None: not looked at.

    `records` are the TXT records at _mta-sts.DOMAIN, each a sequence of its strings; `body` is the
    file as served, `policy` the one in force, `hosts` the MX hosts, `aliases` where CNAMEs lead.
    """

    domain: str
    records: Sequence[Sequence[bytes]] | None = None
    body: bytes | None = None
    policy: Policy | None = None
    hosts: Sequence[str] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)


def lint(setup: Setup) -> list[Remark]:
    """All there is to remark, what matters most first; never raises."""
    remarks = [
        *_about_records(setup),
        *_about_body(setup.body),
        *_about_age(setup.policy),
        *_about_hosts(setup.policy, setup.hosts or ()),
        *_about_aliases(setup),
    ]
    order = list(Severity)
    remarks.sort(key=lambda remark: order.index(remark.severity))
    if len(remarks) > _LIMIT:
        left = len(remarks) - _LIMIT
        return [*remarks[:_LIMIT], _note(f"{left} more remarks of this kind are not shown")]
    return remarks


# RFC 8461 §3.1
def _about_records(setup: Setup) -> Iterator[Remark]:
    name = f"_mta-sts.{setup.domain}"
    records = [b"".join(strings) for strings in setup.records or ()]
    claims = [record for record in records if record.startswith(b"v=STSv1;")]
    if len(claims) > 1:
        yield _serious(
            f"{len(claims)} TXT records at {name} start with v=STSv1; where one is allowed: "
            "senders that know no policy of the domain see none"
        )
        return
    for record in records:
        # RFC 8461 §3.1: the literal prefix chooses among several, a single one need only be valid
        if record in claims or (len(records) == 1 and _resembles(record)):
            yield from _about_record(name, record)
        else:
            yield _about_other(name, record)


def _about_other(name: str, record: bytes) -> Remark:
    if not _resembles(record):
        return _note(f"{name} has a TXT record that is not for MTA-STS: {_quoted(record)}")
    return _warning(
        f"the TXT record {_quoted(record)} at {name} is passed over: beside others only one that "
        "starts with v=STSv1; exactly counts"
    )


def _about_record(name: str, record: bytes) -> Iterator[Remark]:
    if parse_txt([[record]]) is None:
        yield _serious(
            f"the TXT record {_quoted(record)} at {name} is not valid, so that there is no policy: "
            "it has to read v=STSv1; id= and up to 32 letters and digits"
        )
        return
    names = [part.partition(b"=")[0].strip(b" \t") for part in record.split(b";")]
    if names.count(b"id") > 1:
        yield _warning(f"the TXT record at {name} has several ids; the first one counts")
    for unknown in dict.fromkeys(names):
        if unknown not in (b"v", b"id", b""):
            yield _note(f"the TXT record at {name} has the unknown field {_quoted(unknown)}")
    if names[-1]:
        yield _note(f"the TXT record at {name} does not end with a semicolon, which is allowed")


def _resembles(record: bytes) -> bool:
    return record.lower().replace(b" ", b"").replace(b"\t", b"").startswith(b"v=sts")


# RFC 8461 §3.2
def _about_body(body: bytes | None) -> Iterator[Remark]:
    if body is None:
        return
    try:
        parse_policy(body)
    except MtaStsError as error:
        yield _serious(error.message)
    lines: dict[Remark, list[int]] = {}
    for number, remark in _about_lines(body):
        lines.setdefault(remark, []).append(number)
    for remark, numbers in lines.items():
        yield replace(remark, text=f"{_places(numbers)} of the policy: {remark.text}")
    if body and not body.endswith(b"\n"):
        yield _note("the policy's last line has no line end, which is allowed")


def _about_lines(body: bytes) -> Iterator[tuple[int, Remark]]:
    seen: set[bytes] = set()
    for number, (line, found) in enumerate(read_lines(body), 1):
        if found is None:
            if remark := _about_oddity(line, last=number > body.count(b"\n")):
                yield number, remark
            continue
        key, value = found
        # every pattern is a field of its own, in any case of letters
        mark = value.lower() + b":" if key == b"mx" else key
        if mark in seen:
            yield number, _about_repetition(key, value)
        elif key not in _KEYS:
            yield number, _about_unknown(key)
        seen.add(mark)
        if not _is_text(value):
            yield number, _warning(f"odd characters in {_quoted(value)}")


def _about_oddity(line: bytes, *, last: bool) -> Remark | None:
    if not line.strip(b" \t"):
        return None if last and not line else _warning(f"blank; {_STRICT}")
    if b":" not in line:
        return _warning(f"no colon in {_quoted(line)}; {_STRICT}")
    return _warning(f"no field name before the colon in {_quoted(line)}; {_STRICT}")


def _about_repetition(key: bytes, value: bytes) -> Remark:
    if key == b"mx":
        return _note(f"the pattern {_quoted(value)} once more")
    return _warning(f"{_quoted(key)} once more; the first one counts")


def _about_unknown(key: bytes) -> Remark:
    meant = key.lower().replace(b"-", b"_")
    if meant in _KEYS:
        return _warning(f"{_quoted(key)} is passed over, it is {meant.decode()!r}")
    return _note(f"{_quoted(key)} is unknown and passed over")


# RFC 8461 §3.2: values in the range of weeks are expected
def _about_age(policy: Policy | None) -> Iterator[Remark]:
    if policy and policy.mode != "none" and policy.version and policy.max_age < _DAY:
        yield _warning(
            f"max_age is {policy.max_age} seconds, under a day: whoever keeps senders from the "
            "policy so long has unprotected mail; weeks are usual"
        )


# RFC 8461 §4.1
def _about_hosts(policy: Policy | None, hosts: Sequence[str]) -> Iterator[Remark]:
    if policy is None or policy.mode not in ("enforce", "testing") or not hosts:
        return
    missing = [host for host in hosts if not validate_mx(host, policy).valid]
    for host in missing:
        text = f"the MX host {host} is covered by no pattern of the policy: "
        if policy.mode == "enforce":
            yield _serious(f"{text}senders do not give it mail")
        else:
            yield _warning(f"{text}in mode enforce senders would not give it mail")
    if len(missing) == len(hosts) and policy.mode == "enforce":
        yield _serious("no MX host is left: nobody who keeps to the policy can send mail")
    for pattern in policy.mx:
        alone = replace(policy, mx=(pattern,))
        if not any(validate_mx(host, alone).valid for host in hosts):
            yield _note(f"the pattern {pattern} matches no current MX host")


# RFC 8461 §8.2: delegation is fine, but somebody else decides
def _about_aliases(setup: Setup) -> Iterator[Remark]:
    policy_host, domain = f"mta-sts.{setup.domain}", setup.domain
    for name, target in setup.aliases.items():
        text = f"{name} is an alias (CNAME) of {target}"
        if name == f"_mta-sts.{domain}":
            yield _note(f"{text}, which says when the policy is new")
        elif name == policy_host:
            yield _note(f"{text}, which serves the policy and needs a certificate for {name}")
        elif name == domain:
            yield _note(f"{text}; the policy is still that of {domain} alone")
        else:
            # RFC 2181 §10.3
            yield _warning(
                f"the MX host {text}, which RFC 2181 forbids; policy and certificate have to name "
                f"{name}"
            )


# RFC 8461 §3.2: sts-policy-ext-value is UTF-8 without control characters
def _is_text(value: bytes) -> bool:
    try:
        return value.decode("utf-8").replace("\t", " ").isprintable()
    except UnicodeDecodeError:
        return False


def _places(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_LINES]))
    more = f" and {len(numbers) - _LINES} more" if len(numbers) > _LINES else ""
    return f"line{'s' if len(numbers) > 1 else ''} {shown}{more}"


def _quoted(octets: bytes) -> str:
    return ascii(octets[:_SHOWN].decode("utf-8", "replace"))


def _serious(text: str) -> Remark:
    return Remark(Severity.SERIOUS, text)


def _warning(text: str) -> Remark:
    return Remark(Severity.WARNING, text)


def _note(text: str) -> Remark:
    return Remark(Severity.NOTE, text)
