"""What a sender asks to be told (RFC 3461) as one column of a job: JSON, NULL where nothing."""

from collections.abc import Mapping
from typing import Any

import orjson

from relay.envelope import DsnRequest, Envelope


def dsn_column(envelope: Envelope) -> str | None:
    """The column's value for an envelope."""
    if not (envelope.ret or envelope.envid or envelope.dsn):
        return None
    asked = {"ret": envelope.ret, "envid": envelope.envid, "recipients": dict(envelope.dsn)}
    return orjson.dumps(asked).decode()


def dsn_fields(column: str | None) -> Mapping[str, Any]:
    """The fields of the envelope that the column holds; `Envelope` has defaults for the others."""
    if column is None:
        return {}
    asked = orjson.loads(column)
    requests = {
        recipient: DsnRequest(tuple(one["notify"]), one["orcpt"])
        for recipient, one in asked["recipients"].items()
    }
    return {"ret": asked["ret"], "envid": asked["envid"], "dsn": requests}
