"""The TXT record at _mta-sts.DOMAIN (RFC 8461 §3.1). Pure; knows no DNS."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from relay.mta_sts.error import MtaStsError

_COMMON = 512  # octets of a record that is remembered
_PREFIX = b"v=STSv1;"
_DELIMITER = rb"[ \t]*;[ \t]*"
_ANY_FIELD = rb"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}=[\x21-\x3a\x3c\x3e-\x7e]+"
_RECORD = re.compile(rb"v=STSv1(?:" + _DELIMITER + _ANY_FIELD + rb")+(?:" + _DELIMITER + rb")?")
_ID = re.compile(rb"[A-Za-z0-9]{1,32}")
_SPLIT = re.compile(_DELIMITER)


def parse_txt(records: Iterable[Sequence[bytes]]) -> str | None:
    """The policy id; None where there is no valid record.

    One inner sequence per TXT record, holding its character-strings. Raises
    MtaStsError(multi_sts_records) where several records claim to be the one.
    """
    # RFC 8461 §3.1: the strings of one record are joined with nothing between
    joined = [b"".join(strings) for strings in records]
    if len(joined) > 1:
        # RFC 8461 §3.1: others are discarded by the literal prefix, then one must be left
        joined = [record for record in joined if record.startswith(_PREFIX)]
    if len(joined) > 1:
        message = f"{len(joined)} TXT records start with v=STSv1; where only one is allowed"
        raise MtaStsError("multi_sts_records", message)
    if not joined:
        return None
    record = joined[0]
    return (_parse_id if len(record) <= _COMMON else _parse_id.__wrapped__)(record)


@lru_cache(maxsize=1024)  # a domain's mail comes in crowds
def _parse_id(record: bytes) -> str | None:
    if not _RECORD.fullmatch(record):
        return None
    for part in _SPLIT.split(record):
        name, _, value = part.partition(b"=")
        # RFC 8461 §3.2: of a duplicated field the first counts
        if name == b"id":
            return value.decode("ascii") if _ID.fullmatch(value) else None
    return None
