"""What was seen of a domain's policy and its hosts: findings, the one stream every report reads."""

from enum import StrEnum

from relay.immutable import immutable


class Failure(StrEnum):
    """What was wrong: the `reason` of a violation record."""

    MX_MISMATCH = "mx-mismatch"
    STARTTLS_NOT_SUPPORTED = "starttls-not-supported"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_HOST_MISMATCH = "certificate-host-mismatch"
    CERTIFICATE_NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION_FAILURE = "validation-failure"
    STS_POLICY_FETCH_ERROR = "sts-policy-fetch-error"
    STS_POLICY_INVALID = "sts-policy-invalid"
    STS_WEBPKI_INVALID = "sts-webpki-invalid"
    POLICY_REMOVED = "policy-removed"
    POLICY_WEAKENED = "policy-weakened"
    POLICY_REPLACED = "policy-replaced"
    TLS_DOWNGRADE = "tls-downgrade"

    # RFC 8460 §4.3: a host that the policy does not list has no type of its own, nor has a policy
    # that protects less
    @property
    def result_type(self) -> str:
        """The name TLS reports use."""
        return Failure.VALIDATION_FAILURE if self in _WITHOUT_TYPE else self


_WITHOUT_TYPE = (
    Failure.MX_MISMATCH,
    Failure.POLICY_REMOVED,
    Failure.POLICY_WEAKENED,
    Failure.POLICY_REPLACED,
    Failure.TLS_DOWNGRADE,
)


class Action(StrEnum):
    """What was done about it: the `action` of a violation record."""

    REFUSED = "refused"  # this host was not given the mail
    DELIVERED = "delivered"  # the violation did not keep the mail from this host
    WAIVED = "waived"  # nor did it, but only as a waiver of ours let it pass
    NOTED = "noted"  # no delivery concerned


@immutable
class PolicySnapshot:
    """The policy in force when something was found. `max_age` in seconds, `expires` since 1970.

    `mx` may be without the last patterns of a policy that lists very many.
    """

    id: str | None
    mode: str
    mx: tuple[str, ...]
    max_age: int
    expires: float


@immutable
class Certificate:
    """A certificate as a host showed it, trusted or not; times in seconds since 1970.

    `names` are those of the SAN and may be without the last ones where there are very many: then
    `names_count` says how many there are. `sha256` is the fingerprint in hexadecimal digits.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    names_count: int
    not_before: float
    not_after: float
    sha256: str


@immutable
class Handshake:
    """How far a TLS handshake came whose verification failed, and by which word of OpenSSL's.

    `tls` is the version, such as "TLSv1.3". `certificate` None: what was shown cannot be read.
    """

    tls: str
    error: str
    certificate: Certificate | None


@immutable
class Finding:
    """One thing seen at one time. A violation is a finding with a failure.

    `policy` None: no policy was had. `mx` None and `queue_id` None: no delivery was concerned, or
    (queue_id) the finding has not yet been settled with its job. `detail` is one sentence for a
    person. `time` is in seconds since 1970; `recipients` counts those of the attempt. `handshake`
    None: no certificate was refused. `cause` is what a downgrade came by, else None.
    """

    time: float
    domain: str
    policy: PolicySnapshot | None
    failure: Failure | None
    detail: str
    action: Action
    mx: str | None = None
    addresses: tuple[str, ...] = ()
    queue_id: str | None = None
    recipients: int = 0
    handshake: Handshake | None = None
    cause: Failure | None = None


@immutable
class Handover:
    """Mail that a host took in one attempt, and how well it was protected on the way there.

    `domain` is the policy domain, `mode` its policy's ("none" without one), `level` what the
    connection proved: "verified", "encrypted" or "clear". `flaws` are what mode enforce, or a floor
    of "verify", would have had against this host. `recipients` counts those it took. `is_routed`: a
    route says how much TLS mail to it needs, whatever that is for all other mail.
    """

    domain: str
    mode: str
    mx: str
    level: str
    flaws: tuple[Failure, ...]
    recipients: int
    is_routed: bool = False
