//! A node's side of the grants: reserve before a request, settle after. Pure, plus atomics.
