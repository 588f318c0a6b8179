//! Operators: one keeps a book of limits that nobody else writes, so that every answer can be held against it; one creates keys and
//! revokes them; one changes the limit of a budget that is being spent.

use crate::node::Alive;
use crate::plan::RequestPlan;
use crate::reached::Reached;
use crate::world::World;
use quorate_catalog::{
    Actor, ApiKeyText, Apply, Change, Command as CatalogCommand, Expected as CatalogExpected, KeySpec,
    NewKey, Outcome as CatalogOutcome, Owner, Pepper, Role,
};
use quorate_domain::{Amount, BudgetId, KeyId, Name, NodeId, Revision, Secret, Subject, Unit};
use quorate_gateway::replica::Unavailable;
use quorate_lease::Standing;
use quorate_ledger::{
    AutoResolve, BudgetSpec, Command, Expected, Kind, Ledger, Outcome, PutBudget, Rejection, Reserve,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Of the book.
const SUBJECTS: usize = 3;
const READ_LIMIT: Duration = Duration::from_secs(3);
/// Of a read that nobody will confirm.
const SHORT_READ: Duration = Duration::from_millis(200);

/// From a moment before the revocation until long after no lease can last.
const KNOCKS_FOR: Duration = Duration::from_secs(5);
/// Their numbers, behind those of the plan.
const KNOCKS_FROM: usize = 10_000;

/// The pepper of the simulated cluster.
pub(crate) fn pepper() -> Secret<[u8; 32]> {
    Secret::new([7; 32])
}

/// A key of the simulated cluster, by number.
pub(crate) fn key_text(number: u64) -> ApiKeyText {
    let secret = [u8::try_from(number % 250).unwrap_or(0); 32];
    ApiKeyText::mint(ApiKeyText::draw_id(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number + 1)), &secret)
}

/// The organisation that all traffic belongs to.
pub(crate) fn organisation() -> Name {
    Name::parse("acme").expect("a lower-case word is a name")
}

/// Who all traffic belongs to.
pub(crate) fn all_owner() -> Owner {
    Owner { organisation: Some(organisation()), ..Owner::default() }
}

/// The change that creates a key.
pub(crate) fn new_key(text: &ApiKeyText, owner: Owner) -> Change {
    new_key_that(text, KeySpec { owner, ..KeySpec::default() })
}

/// The same for one of which there is more to say.
pub(crate) fn new_key_that(text: &ApiKeyText, spec: KeySpec) -> Change {
    Change::CreateKey(NewKey {
        id: text.id(),
        role: Role::Client,
        spec,
        digest: Pepper::new(pepper()).digest(text.expose()),
    })
}

pub(crate) fn spec(subject: Subject, kind: Kind, limit: u64) -> BudgetSpec {
    let (unit, limit) = (Unit::Tokens, Amount::new(limit));
    BudgetSpec { subject, unit, kind, limit, auto_resolve: AutoResolve::Never, reserve: Reserve::Bound }
}

/// So many requests of a subject at the same time.
pub(crate) fn permits(subject: Subject, limit: u64) -> BudgetSpec {
    BudgetSpec { unit: Unit::Permits, ..spec(subject, Kind::Lifetime, limit) }
}

pub(crate) fn put(spec: BudgetSpec, expected: Expected) -> Command {
    Command::PutBudget(PutBudget { spec, expected })
}

/// The changes as the administrator's command.
pub(crate) fn apply(changes: Vec<Change>) -> CatalogCommand {
    CatalogCommand::Apply(Apply { actor: Actor::Node(NodeId::new(1)), reason: None, changes })
}

/// What a budget of the book is known to be: limit and revision, or nothing.
type Entry = Option<(u64, Revision)>;

/// One budget of the book.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    known: Entry,
    /// Limits of writes of which nobody told what came.
    unknown: BTreeSet<u64>,
}

/// The book.
#[derive(Debug)]
pub(crate) struct Book(pub(crate) Vec<Page>);

impl Default for Book {
    fn default() -> Self {
        Self(vec![Page::default(); SUBJECTS])
    }
}

fn subject(of: usize) -> Subject {
    Subject::User(Name::parse(&format!("book-{of}")).expect("lower-case words are names"))
}

fn entry(ledger: &Ledger, of: usize) -> Entry {
    let id = *ledger.budgets_of(&subject(of)).first()?;
    let budget = ledger.budget(id)?;
    Some((budget.spec().limit.get(), budget.revision()))
}

impl World {
    /// Writes and reads the book until the time is over.
    pub(crate) async fn keep_book(self: Arc<Self>, until: Duration) -> Book {
        let mut book = Book::default();
        let mut limit = 1_000;
        while self.at() < until {
            let pause = self.chance.micros(20_000..400_000);
            tokio::time::sleep(pause).await;
            let Some(alive) = self.some_alive() else { continue };
            let of = self.chance.place(SUBJECTS);
            if let Some(former) = self.former_leader() {
                self.read_behind(&former, of, (&mut book.0[of], &mut limit)).await;
                continue;
            }
            if self.chance.per_mille(300) || !book.0[of].unknown.is_empty() {
                self.read(&alive, of, (&mut book.0[of], READ_LIMIT)).await;
            } else {
                limit += 1;
                self.write(&alive, of, (&mut book.0[of], limit)).await;
            }
        }
        book
    }

    /// What is written through the new leader's side is read through whoever led before, which must not confirm it.
    async fn read_behind(&self, former: &Alive, of: usize, (page, limit): (&mut Page, &mut u64)) {
        if page.unknown.is_empty()
            && let Some(other) = self.up_to_date()
        {
            *limit += 1;
            self.write(&other, of, (page, *limit)).await;
        }
        self.reach(Reached::FormerLeaderAsked);
        self.read(former, of, (page, SHORT_READ)).await;
    }

    async fn write(&self, alive: &Alive, of: usize, (page, limit): (&mut Page, u64)) {
        let expected = page.known.map_or(Expected::Absent, |(_, revision)| Expected::Revision(revision));
        let command = put(spec(subject(of), Kind::Lifetime, limit), expected);
        let patience = self.chance.micros(100_000..4_000_000);
        // The node may die meanwhile: then nobody answers.
        let asked = tokio::time::timeout(patience * 2, alive.bridged.propose_ledger(command, patience));
        let answer = asked.await.unwrap_or(Err(Unavailable::TimedOut));
        self.story.tell(|| format!("book {of}: {limit} through node {}: {answer:?}", alive.life.node + 1));
        match answer {
            Ok(Outcome::BudgetStored { revision, .. }) => page.known = Some((limit, revision)),
            Ok(other) => {
                let what = format!("book {of}: its only writer was told {other:?} at {:?}", page.known);
                self.broken("linearizable", what);
            }
            Err(Unavailable::NoQuorum) => self.reach(Reached::WriteUnavailable),
            Err(Unavailable::TimedOut | Unavailable::Stopped) => {
                self.reach(Reached::WriteUnknown);
                page.unknown.insert(limit);
            }
        }
    }

    /// Reads a page through a node. What is read must be what was written last, or one of what may have been.
    pub(crate) async fn read(&self, alive: &Alive, of: usize, (page, within): (&mut Page, Duration)) -> bool {
        let barrier = tokio::time::timeout(within * 2, alive.bridged.read_barrier(within));
        if !matches!(barrier.await, Ok(Ok(()))) || !alive.life.lives() {
            return false;
        }
        let found = entry(&alive.replica.state().ledger.read(), of);
        self.reach(Reached::ReadAnswered);
        if found == page.known {
            // One that is not there yet may still come: it stays unknown.
            return true;
        }
        let is_of_unknown = found.is_some_and(|(limit, _)| page.unknown.contains(&limit));
        if !is_of_unknown {
            let what = format!("book {of}: {found:?} was read where {:?} was written", page.known);
            self.broken("linearizable", what);
        }
        self.reach(Reached::UnknownWriteApplied);
        page.unknown.retain(|limit| found.is_none_or(|(is, _)| *limit != is));
        page.known = found;
        true
    }

    /// Reads the whole book through each node that serves: nothing that was acknowledged is lost.
    pub(crate) async fn read_book(&self, book: &mut Book) {
        for alive in self.all_alive() {
            for of in 0..SUBJECTS {
                if !self.read(&alive, of, (&mut book.0[of], READ_LIMIT)).await {
                    self.broken("live", format!("node {} confirms no read", alive.life.node + 1));
                }
            }
        }
    }

    /// Changes the limit of a budget that is being spent.
    pub(crate) async fn change_limits(self: Arc<Self>, budget: BudgetId, subject: Subject) {
        let begun = self.at();
        for (at_ms, limit) in self.plan.limit_changes.clone() {
            let due = begun + Duration::from_millis(at_ms);
            tokio::time::sleep(due.saturating_sub(self.at())).await;
            let Some(alive) = self.some_alive() else { continue };
            {
                let mut judge = self.judge.lock();
                let allowed = judge.allowed.entry(budget).or_default();
                *allowed = limit.max(*allowed);
            }
            self.story.tell(|| format!("the limit of budget {budget} is set to {limit}"));
            let command = put(spec(subject.clone(), Kind::Lifetime, limit), Expected::Any);
            let _ = alive.bridged.propose_ledger(command, READ_LIMIT).await;
        }
    }

    /// Creates keys, and revokes those that it is told. Says which keys must open something at the end.
    pub(crate) async fn keep_keys(self: Arc<Self>, (revoked, at): ([KeyId; 2], Duration)) -> Vec<KeyId> {
        let mut created = Vec::new();
        let mut number = 100;
        while number < 103 && self.at() < at {
            number += 1;
            tokio::time::sleep(self.chance.micros(200_000..1_500_000)).await;
            let (text, Some(alive)) = (key_text(number), self.some_alive()) else { continue };
            let proposed =
                alive.bridged.propose_catalog(apply(vec![new_key(&text, all_owner())]), READ_LIMIT);
            match tokio::time::timeout(READ_LIMIT * 2, proposed).await {
                Ok(Ok(CatalogOutcome::Applied { .. })) => created.push(text.id()),
                Ok(Ok(CatalogOutcome::Rejected(rejection))) => {
                    self.broken("linearizable", format!("a new key was refused: {rejection}"));
                }
                Ok(Err(_)) | Err(_) => {}
            }
        }
        tokio::time::sleep(at.saturating_sub(self.at())).await;
        self.revoke(revoked).await;
        created
    }

    async fn revoke(self: &Arc<Self>, ids: [KeyId; 2]) {
        for id in ids {
            self.judge.lock().revocations.entry(id).or_default();
        }
        for _ in 0..3 {
            let Some(alive) = self.up_to_date() else { return };
            let revoke = |id| Change::RevokeKey { id, expected: CatalogExpected::Any };
            let proposed = alive.bridged.propose_catalog(apply(ids.map(revoke).to_vec()), READ_LIMIT);
            let answer = tokio::time::timeout(READ_LIMIT * 2, proposed).await;
            if matches!(answer, Ok(Ok(CatalogOutcome::Applied { .. }))) {
                return self.wait_until_withdrawn(&alive, ids).await;
            }
        }
    }

    /// Comes to every node again and again with a key that is about to be revoked.
    pub(crate) async fn knock(self: Arc<Self>, (text, from): (String, Duration)) {
        tokio::time::sleep(from.saturating_sub(self.at())).await;
        let until = self.at() + KNOCKS_FOR;
        let mut number = KNOCKS_FROM;
        while self.at() < until {
            tokio::time::sleep(self.chance.micros(50_000..250_000)).await;
            for alive in self.all_alive() {
                number += 1;
                let (world, text) = (self.clone(), text.clone());
                alive.life.clone().spawn(async move {
                    alive.life.gate().await;
                    world.serve(&alive, (number, &RequestPlan::small()), &text).await;
                });
            }
        }
    }

    /// As `gateway::admin` does after the commit.
    async fn wait_until_withdrawn(&self, alive: &Alive, ids: [KeyId; 2]) {
        let since = alive.clock.mono();
        if alive.bridged.read_barrier(READ_LIMIT).await.is_err() {
            return;
        }
        let waited = tokio::time::timeout(Duration::from_secs(10), alive.bridged.everywhere(since)).await;
        let Ok(standing) = waited else { return };
        if !alive.life.lives() {
            return;
        }
        self.story.tell(|| format!("keys {ids:?} are revoked: {standing:?}"));
        for id in ids {
            self.judge.lock().revocations.entry(id).or_default().returned = Some(self.at());
        }
        self.reach(match standing {
            Standing::Acknowledged => Reached::RevokedEverywhere,
            Standing::WaitedOut(_) => Reached::RevocationWaitedOut,
            Standing::Open(_) => return,
        });
    }
}

/// Whether a budget of this name is there already.
pub(crate) fn is_there(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::BudgetStored { .. } | Outcome::Rejected(Rejection::BudgetExists(_)))
}
