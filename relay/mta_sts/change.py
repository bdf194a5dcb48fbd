"""Whether a policy protects less than the one before (RFC 8461 §10.2, §10.3). Pure.

The new policy holds all the same: only HTTPS vouches for either, and who publishes it decides.
"""

from relay.evidence import Failure
from relay.mta_sts.policy import Policy


def losses(before: Policy, after: Policy) -> list[tuple[Failure, str]]:
    """What is lost, each with a sentence; nothing for a policy of mode none, which protects from
    nothing."""
    if before.mode == "none":
        return []
    found = []
    if before.mode == "enforce" and after.mode != "enforce":
        found.append(
            (Failure.POLICY_WEAKENED, f"the policy's mode went from enforce to {after.mode}")
        )
    if after.max_age * 2 < before.max_age:
        text = f"the policy's max_age was cut from {before.max_age} to {after.max_age} seconds"
        found.append((Failure.POLICY_WEAKENED, text))
    if after.mode != "none" and not set(before.mx) & set(after.mx):
        text = f"the policy lists none of its hosts any more; it had {_list(before)}"
        found.append((Failure.POLICY_REPLACED, f"{text}, now has {_list(after)}"))
    return found


def _list(policy: Policy) -> str:
    shown = ", ".join(policy.mx[:5])
    return shown if len(policy.mx) <= 5 else f"{shown} and {len(policy.mx) - 5} more"
