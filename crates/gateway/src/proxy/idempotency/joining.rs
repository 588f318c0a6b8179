//! What is known of a request that may have come before: its answer, that it is under way, or nothing, and then it begins.

use super::{Claim, Execution, replay};
use crate::error::{NotExecuted, RequestError};
use crate::metrics::Idempotent;
use crate::proxy::Proxy;
use crate::proxy::admit::Admitted;
use crate::proxy::reply::Caller;
use crate::proxy::request::Ticket;
use crate::replica::Unavailable;
use axum::response::Response;
use quorate_domain::MonoTime;
use quorate_idempotency::{Answer, Begin, Command, Found, Outcome, Owner};
use std::time::Duration;

/// How long the log may take to say that a request has begun, or that this replica knows what others have begun.
const BEGIN_LIMIT: Duration = Duration::from_secs(2);
/// So often a request tries to begin, when others begin before it and are released.
const BEGINS_MAX: usize = 8;

/// How a request ends that is not executed now.
pub(in crate::proxy) enum Early {
    /// With the answer that was given before.
    Replayed(Response),
    /// With an error.
    Refused(RequestError),
    /// Its client has hung up.
    ClientGone,
}

/// What a node's own copy of the records says.
enum Seen {
    Nothing,
    InFlight,
    Answer(Answer),
    Never(NotExecuted),
}

/// What came of an attempt to begin.
enum Begun {
    Yes(Execution),
    /// There is a record now, and the local copy shows it.
    Another,
    No(RequestError),
}

impl Proxy {
    /// Begins the request in the log, unless it was begun before: then waits for its end, if need be and for as long as it may.
    pub(in crate::proxy) async fn claim(
        &self,
        claim: Claim,
        admitted: &mut Admitted,
        ticket: &mut Ticket,
        caller: &mut Caller,
    ) -> Result<Execution, Early> {
        let claimed = self.find_or_begin(claim, admitted, ticket, caller).await;
        ticket.others_worked(self);
        self.parts.metrics.idempotent(label(&claimed));
        claimed
    }

    async fn find_or_begin(
        &self,
        claim: Claim,
        admitted: &mut Admitted,
        ticket: &Ticket,
        caller: &mut Caller,
    ) -> Result<Execution, Early> {
        let refused = |why: NotExecuted| Early::Refused(why.into());
        let since = self.parts.clock.mono();
        for _ in 0..BEGINS_MAX {
            match self.wait_while_in_flight(&claim, since, admitted.wishes.join_wait, caller).await? {
                Seen::Nothing => {}
                Seen::InFlight => return Err(refused(NotExecuted::InFlight)),
                Seen::Never(why) => return Err(refused(why)),
                Seen::Answer(answer) => {
                    // The wait may have been long, and the key may have been revoked meanwhile.
                    let _let_in = self.authenticate(admitted.head.expose()).map_err(Early::Refused)?;
                    return Err(Early::Replayed(replay::replay(answer)));
                }
            }
            // It is to be executed: only now its budgets matter.
            self.admit_again(admitted).await.map_err(Early::Refused)?;
            match self.begin(&claim, ticket).await {
                Begun::Yes(execution) => return Ok(execution),
                Begun::Another => {}
                Begun::No(why) => return Err(Early::Refused(why)),
            }
        }
        Err(refused(NotExecuted::InFlight))
    }

    /// What the records say once the request is not under way any more, or its client waits no longer.
    async fn wait_while_in_flight(
        &self,
        claim: &Claim,
        since: MonoTime,
        patience: Duration,
        caller: &mut Caller,
    ) -> Result<Seen, Early> {
        let (mut applied, closing) = (self.parts.replica.applied(), self.closing());
        loop {
            applied.borrow_and_update();
            let seen = self.look(claim);
            let left = patience.saturating_sub(self.parts.clock.mono().since(since));
            if !matches!(seen, Seen::InFlight) || left.is_zero() {
                return Ok(seen);
            }
            tokio::select! {
                biased;
                () = caller.gone() => return Err(Early::ClientGone),
                () = closing.cancelled() => return Err(Early::Refused(RequestError::NotReady)),
                Ok(()) = applied.changed() => {}
                () = tokio::time::sleep(left) => {}
            }
        }
    }

    /// The ledger before the records: a record that was ended before its session is seen as ended.
    fn look(&self, claim: &Claim) -> Seen {
        let ledger = self.parts.replica.ledger().read();
        let records = self.parts.replica.idempotency().read();
        match records.look(&claim.name, &claim.fingerprint, &|session| ledger.is_live(session)) {
            Found::Nothing => Seen::Nothing,
            Found::InFlight => Seen::InFlight,
            Found::Kept(answer) => Seen::Answer(answer.clone()),
            Found::OtherRequest => Seen::Never(NotExecuted::KeyReused),
            Found::NotKept => Seen::Never(NotExecuted::ResponseNotKept),
            Found::Unknown => Seen::Never(NotExecuted::Unknown),
        }
    }

    async fn begin(&self, claim: &Claim, ticket: &Ticket) -> Begun {
        let Some(wallet) = self.parts.funds.wallet() else { return Begun::No(RequestError::NotReady) };
        let replica = &self.parts.replica;
        let owner = Owner { session: wallet.session(), boot: replica.boot(), number: ticket.number };
        let limits = &self.parts.limits.idempotency;
        let Claim { name, fingerprint } = *claim;
        let begin = Begin { name, fingerprint, owner, keep: limits.kept, records_max: limits.records_max };
        let execution = Execution::new(name, owner, limits);
        match replica.propose_idempotency(Command::Begin(begin), BEGIN_LIMIT).await {
            Ok(Outcome::Begun) => Begun::Yes(execution),
            Ok(Outcome::Found) => match replica.read_barrier(BEGIN_LIMIT).await {
                Ok(()) => Begun::Another,
                Err(_out_of_reach) => Begun::No(NotExecuted::Unavailable.into()),
            },
            Ok(Outcome::Full) => Begun::No(NotExecuted::Full.into()),
            Ok(Outcome::OwnerGone) => Begun::No(RequestError::NotReady),
            Ok(Outcome::Ended | Outcome::NotYours) | Err(Unavailable::NoQuorum | Unavailable::Stopped) => {
                Begun::No(NotExecuted::Unavailable.into())
            }
            Err(Unavailable::TimedOut) => {
                // It may have begun, and nothing was sent.
                execution.withdraw(self);
                Begun::No(NotExecuted::Unavailable.into())
            }
        }
    }
}

const fn label(claimed: &Result<Execution, Early>) -> Idempotent {
    match claimed {
        Ok(_) => Idempotent::Executed,
        Err(Early::Replayed(_)) => Idempotent::Replayed,
        Err(Early::Refused(RequestError::NotExecuted(why))) => match why {
            NotExecuted::InFlight => Idempotent::InFlight,
            NotExecuted::Unknown => Idempotent::Unknown,
            NotExecuted::ResponseNotKept => Idempotent::NotKept,
            NotExecuted::KeyReused => Idempotent::KeyReused,
            NotExecuted::Full => Idempotent::Full,
            NotExecuted::Unavailable => Idempotent::Unavailable,
            NotExecuted::InvalidKey => Idempotent::Refused,
        },
        Err(Early::Refused(_) | Early::ClientGone) => Idempotent::Refused,
    }
}
