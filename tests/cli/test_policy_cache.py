"""What the cache alone says, at various ages of policy and failure."""

from pathlib import Path

import pytest

from relay.address import Domain
from relay.cli.policy_cache import view_offline
from relay.db.policies import PolicyTable
from relay.mta_sts import Policy
from relay.mta_sts.policy import CachedPolicy, FetchFailure

D = Domain("d.test")
NOW = 1_800_000_000.0
POLICY = Policy(version="STSv1", mode="enforce", mx=("mx.d.test",), max_age=3600)


def policy(age: float) -> CachedPolicy:
    return CachedPolicy(D, "1", POLICY, "version: STSv1\n\n", NOW - age)


def failure(age: float, record_id: str | None = "1") -> FetchFailure:
    at = NOW - age
    return FetchFailure("http_status_404", "answered 404", record_id, at, at + 300, 1, at)


@pytest.mark.parametrize(
    ("kept", "failed", "status", "mode", "code"),
    [
        (None, None, "not_found", "none", None),
        (policy(60), None, "renewed", "enforce", None),
        (policy(60), failure(30), "errored", "enforce", "http_status_404"),
        (policy(900), failure(600), "renewed", "enforce", None),
        (policy(7200), None, "not_found", "none", None),
        (policy(7200), failure(30), "errored", "none", "http_status_404"),
        (None, failure(30), "errored", "none", "http_status_404"),
        (None, failure(9999), "errored", "none", "http_status_404"),
        (None, failure(30, None), "errored", "none", "http_status_404"),
    ],
)
async def test_sts_62_what_holds_without_the_network(
    tmp_path: Path,
    kept: CachedPolicy | None,
    failed: FetchFailure | None,
    status: str,
    mode: str,
    code: str | None,
) -> None:
    table = PolicyTable(tmp_path / "policies.db")
    if kept:
        await table.save(kept, "delivery", NOW)
    if failed:
        await table.keep_failure(D, failed, NOW)
    table.close()
    view = view_offline(tmp_path / "policies.db", D, NOW)
    shown = view.result.as_dict()
    assert (shown["status"], shown["policy"]["mode"]) == (status, mode)
    assert shown["policy"].get("error", {}).get("code") == code
    assert view.hosts is None
    texts = [remark.text for remark in view.remarks or ()]
    assert any("line 2 of the policy: blank" in text for text in texts) == (mode == "enforce")
