//! `x-ratelimit-*` on answers, as OpenAI writes them, for the buckets and calendar-window budgets on a request's path.
//!
//! What remains is what this node could spend right now: the pool as its replica shows it, and what it holds itself.
//! Other nodes may hold more, so it is never more than the truth. Of several budgets the tightest is told.

use super::Proxy;
use http::{HeaderMap, HeaderName, HeaderValue};
use quorate_domain::{Amount, LogTime, Span, Unit};
use quorate_ledger::{Budget, Kind, Ledger};
use quorate_wallet::{Charge, Wallet};

/// How a budget stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    remaining: Amount,
    limit: Amount,
    resets_in: Span,
}

const TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];
const REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];

impl Proxy {
    /// Adds the headers for the path's tightest budgets that fill again by themselves, if it has any.
    pub(super) fn add_rate_headers(&self, path: &[Charge], headers: &mut HeaderMap) {
        let Some(wallet) = self.parts.funds.wallet() else { return };
        let ledger = self.parts.replica.ledger().read();
        for (unit, names) in [(Unit::Tokens, TOKENS), (Unit::Requests, REQUESTS)] {
            let of_unit = path.iter().filter(|charge| charge.unit == unit);
            let tightest =
                of_unit.filter_map(|charge| standing(*charge, &ledger, &wallet)).min_by_key(|s| s.remaining);
            if let Some(standing) = tightest {
                write(headers, names, standing);
            }
        }
    }
}

fn standing(charge: Charge, ledger: &Ledger, wallet: &Wallet) -> Option<Standing> {
    let budget = ledger.budget(charge.budget)?;
    let resets_in = resets_in(budget, ledger.time())?;
    let window = budget.current().window();
    let own = wallet.account(charge.budget).filter(|account| account.window() == window);
    let free_here = own.map_or(Amount::ZERO, |account| account.free());
    Some(Standing {
        remaining: budget.free_at(ledger.time()).saturating_add(free_here),
        limit: budget.spec().limit,
        resets_in,
    })
}

/// When all of it is there again: the end of its window, or when all that is known as spent has leaked.
fn resets_in(budget: &Budget, now: LogTime) -> Option<Span> {
    match budget.spec().kind {
        Kind::Lifetime => None,
        Kind::Fixed(_) | Kind::Local(_) => budget.current().window().end.map(|end| end.since(now)),
        Kind::Bucket(_) => budget.is_full_in(now),
    }
}

fn write(headers: &mut HeaderMap, [limit, remaining, reset]: [HeaderName; 3], standing: Standing) {
    headers.insert(limit, HeaderValue::from(standing.limit.get()));
    headers.insert(remaining, HeaderValue::from(standing.remaining.get()));
    if let Ok(value) = HeaderValue::from_str(&duration(standing.resets_in)) {
        headers.insert(reset, value);
    }
}

/// A duration as OpenAI writes it: `120ms`, `7s`, `6m0s`, `1h0m5s`. Rounded up, so that waiting it out is enough.
fn duration(span: Span) -> String {
    let millis = span.millis();
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let seconds = millis.div_ceil(1_000);
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_openai_writes_them() {
        let written = |millis| duration(Span::from_millis(millis));
        assert_eq!([0, 120, 1_000, 6_001].map(written), ["0ms", "120ms", "1s", "7s"]);
        assert_eq!([360_000, 3_605_000].map(written), ["6m0s", "1h0m5s"]);
    }
}
