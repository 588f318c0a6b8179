"""A change that was acknowledged stays, whatever other part of the same budget is changed by somebody else."""

import threading

ROUNDS = 20


def put(node, budget, **changes):
    node.admin.call("PUT", f"/budgets/{budget['id']}", changes)


def at_once(*calls):
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_two_who_change_different_parts_of_a_budget_both_have_their_way(cluster):
    cluster.admin.call("POST", "/organisations", {"name": "shared"})
    budget = cluster.admin.call("POST", "/budgets", {"subject": "org:shared", "unit": "tokens", "limit": 1})
    first, second, third = cluster.nodes
    for number in range(1, ROUNDS):
        rule = {"rule": "as_spent", "after_ms": number}
        at_once(
            lambda number=number: put(first, budget, limit=1_000 + number),
            lambda rule=rule: put(second, budget, auto_resolve=rule),
        )
        stored = third.admin.get(f"/budgets/{budget['id']}")
        assert (stored["limit"], stored["auto_resolve"]["after_ms"]) == (1_000 + number, number), stored
