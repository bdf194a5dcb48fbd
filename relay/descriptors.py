"""Room for open files, of which every connection is one (RLIMIT_NOFILE). Knows no settings."""

import resource

_BESIDE = 1000  # deliveries, idle connections, DNS questions, databases: more than there should be


def make_room(clients: int) -> int:
    """Raise the soft limit, as far as the system allows, so that so many clients find room beside
    everything else; for how many there is room then."""
    wanted = clients + _BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _is_less(soft, wanted):
        soft = hard if _is_less(hard, wanted) else wanted
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(0, soft - _BESIDE) if _is_less(soft, wanted) else clients


def _is_less(limit: int, wanted: int) -> bool:
    return limit != resource.RLIM_INFINITY and limit < wanted
