//! Funds: reserve before a request, settle after. The shell around the pure wallet.
//!
//! A request is nearly always served by [`Funds::try_reserve`]: a few atomic operations. Otherwise it stands in line
//! while the two halves of the [`Treasurer`] work for it: the flusher raises watermarks in the journal, the syncer
//! asks the ledger for grants. They are apart so that requests covered by a grant go on when there is no leader.

mod desk;
mod flusher;
mod session;
mod syncer;

pub use quorate_wallet::{Cause, Refusal};

use crate::replica::{Journal, Replica};
use arc_swap::ArcSwapOption;
use desk::{Desk, Request};
use parking_lot::Mutex;
use quorate_domain::{Clock, EndUserId, MonoTime, Name, Span, Subject, Unit};
use quorate_lease::Lease;
use quorate_ledger::Ledger;
use quorate_wallet::{Charge, Cost, Need, Overdrafts, Overrun, Reservation, Wallet, Withheld};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, Notify, watch};
use tokio_util::sync::CancellationToken;

/// So many requests may stand in line; the next is told at once that quota is unavailable. Each costs about 1 KiB.
const LINE_MAX: usize = 16_384;

/// For so long it is believed that the ledger is out of reach. While there is anything to be said it is tried all the time.
const OUT_OF_REACH_FOR: Duration = Duration::from_secs(10);

/// Whoever notices so much too late that a question has waited long enough has stood still.
const STANDSTILL: Duration = Duration::from_millis(250);

/// A cheap handle to the money of this node.
#[derive(Clone)]
pub struct Funds {
    shared: Arc<Shared>,
}

/// An end user who has a budget by default that is not made yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// Whose end user.
    pub organisation: Name,
    /// What it calls him.
    pub end_user: EndUserId,
}

impl Unmet {
    fn find(ledger: &Ledger, subject: &Subject) -> Option<Self> {
        let Subject::EndUser(organisation, end_user) = subject else { return None };
        ledger.unmet(organisation, end_user).next()?;
        Some(Self { organisation: organisation.clone(), end_user: end_user.clone() })
    }
}

/// Whether the ledger answers.
#[derive(Debug, Default)]
struct Reach {
    /// When it did so last.
    answered: MonoTime,
    /// What was asked since, by a node without a lease.
    in_vain: Option<InVain>,
}

/// The ledger was asked again and again, and did not answer.
#[derive(Clone, Copy, Debug)]
struct InVain {
    /// When the first question was put. The lease had ended.
    since: MonoTime,
    /// When the last one had waited long enough.
    until: MonoTime,
    questions: u32,
}

impl InVain {
    /// Whether it says anything still: no lease was had since, and it is not long ago.
    fn goes_on(&self, now: MonoTime, lease: &Lease) -> bool {
        !lease.is_fresh(self.since) && now.since(self.until) < OUT_OF_REACH_FOR
    }

    /// Whether it says that nobody can be asked. One question may have been lost by chance.
    fn suffices(&self) -> bool {
        self.questions > 1 && self.until.since(self.since) >= syncer::EXCHANGE_LIMIT
    }
}

struct Shared {
    replica: Arc<dyn Replica>,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    /// `None` until the first session is open, and after the last one is closed.
    wallet: ArcSwapOption<Wallet>,
    desk: Desk,
    flush: Notify,
    sync: Notify,
    /// What this node has overspent; `None` until the first session is open. They outlive sessions.
    overdrafts: Mutex<Option<Arc<Overdrafts>>>,
    reach: Mutex<Reach>,
    /// Whether anything was overspent since the ledger answered.
    overspends: AtomicBool,
    /// Held while a wallet's marks are on their way to the journal: who reads it knows then that nothing of an earlier session is still to come.
    flushing: AsyncMutex<()>,
    /// Changes whenever the journal was written, or a session ended.
    written: watch::Sender<()>,
}

impl Funds {
    /// So long after the end of a lease it is known whether the ledger can be asked.
    pub const KNOWN_AFTER: Duration = syncer::KNOWN_AFTER;

    /// The money of this node, and the tasks that keep it flowing.
    #[must_use]
    pub fn new(
        replica: Arc<dyn Replica>,
        journal: Arc<dyn Journal>,
        clock: Arc<dyn Clock>,
    ) -> (Self, Treasurer) {
        let shared = Arc::new(Shared {
            replica,
            journal,
            clock,
            wallet: ArcSwapOption::empty(),
            desk: Desk::new(LINE_MAX),
            flush: Notify::new(),
            sync: Notify::new(),
            overdrafts: Mutex::new(None),
            reach: Mutex::default(),
            overspends: AtomicBool::new(false),
            flushing: AsyncMutex::new(()),
            written: watch::Sender::new(()),
        });
        (Self { shared: Arc::clone(&shared) }, Treasurer { shared })
    }

    /// The tasks once more, after a treasurer has ended: the node serves again.
    #[must_use]
    pub fn treasurer(&self) -> Treasurer {
        Treasurer { shared: Arc::clone(&self.shared) }
    }

    /// The budgets that limit these subjects now. Permits come first: who waits for one keeps no money from others, and who
    /// keeps one from attempt to attempt takes everything else in the same order as others.
    ///
    /// # Errors
    /// An end user who has to be met first: he has not yet all the budgets that his organisation's have by default.
    pub fn path_of(&self, subjects: &[Subject]) -> Result<Vec<Charge>, Unmet> {
        let ledger = self.shared.replica.ledger().read();
        if let Some(unmet) = subjects.iter().find_map(|subject| Unmet::find(&ledger, subject)) {
            return Err(unmet);
        }
        let budgets = subjects.iter().flat_map(|subject| ledger.budgets_of(subject).iter().copied());
        let charge = |budget| {
            let spec = ledger.budget(budget)?.spec();
            Some(Charge { budget, unit: spec.unit, reserve: spec.reserve })
        };
        let mut path: Vec<_> = budgets.filter_map(charge).collect();
        path.sort_by_key(|charge| charge.unit != Unit::Permits);
        Ok(path)
    }

    /// Whether an end user has still to be met.
    #[must_use]
    pub fn is_unmet(&self, unmet: &Unmet) -> bool {
        let ledger = self.shared.replica.ledger().read();
        ledger.unmet(&unmet.organisation, &unmet.end_user).next().is_some()
    }

    /// Reserves the most of the need from what this node holds. Never waits.
    ///
    /// # Errors
    /// [`Withheld`] says where it failed; [`Funds::reserve`] may still succeed.
    pub fn try_reserve(&self, path: &[Charge], need: &Need) -> Result<Reservation, Withheld> {
        let wallet = self.shared.wallet.load();
        let wallet = wallet.as_ref().ok_or(Withheld::Fenced)?;
        let reservation = wallet.reserve(path, *need, self.shared.clock.mono());
        if wallet.needs_flush() {
            self.shared.flush.notify_one();
        }
        reservation
    }

    /// Reserves, and stands in line for grants if it must, for `patience` and the moment it then takes to serve or refuse
    /// it with proof. Takes the most of the need, or what there is from the least on when there is no hope for the most.
    ///
    /// # Errors
    /// [`Refusal`] says whether budget is spent, held by others, too small for the request, or out of reach.
    pub async fn reserve(
        &self,
        path: &[Charge],
        need: &Need,
        patience: Duration,
    ) -> Result<Reservation, Refusal> {
        match self.try_reserve(path, need) {
            Ok(reservation) => Ok(reservation),
            Err(Withheld::Short(_)) => self.stand_in_line(path, need, patience).await,
            Err(Withheld::Fenced) => Err(Refusal::Unavailable),
        }
    }

    async fn stand_in_line(
        &self,
        path: &[Charge],
        need: &Need,
        patience: Duration,
    ) -> Result<Reservation, Refusal> {
        let shared = &self.shared;
        let wallet = shared.wallet.load_full().ok_or(Refusal::Unavailable)?;
        let now = shared.clock.mono();
        let request = Request { path, need, now, deadline: now.plus(Span::of(patience)) };
        let place = shared.desk.queue(&wallet, &request).ok_or(Refusal::Unavailable)?;
        shared.flush.notify_one();
        shared.sync.notify_one();
        place.called().await
    }

    /// Whether the ledger was asked in vain for long enough, and a moment ago still, by a node whose lease had ended before it asked.
    #[must_use]
    pub fn is_out_of_reach(&self) -> bool {
        let (now, lease) = (self.shared.clock.mono(), self.shared.replica.lease());
        self.shared
            .reach
            .lock()
            .in_vain
            .is_some_and(|in_vain| in_vain.goes_on(now, lease) && in_vain.suffices())
    }

    /// Reserves what grants cover and overspends the rest, on a node that reaches no majority. Returns once the journal holds
    /// what is overspent, so that no crash loses it.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] without a session, whose journal it would be.
    pub async fn overspend(&self, path: &[Charge], need: &Need) -> Result<Reservation, Refusal> {
        let shared = &self.shared;
        let wallet = shared.wallet.load_full().ok_or(Refusal::Unavailable)?;
        let mut written = shared.written.subscribe();
        let reservation =
            wallet.overdraw(path, *need, shared.clock.mono()).map_err(|_fenced| Refusal::Unavailable)?;
        while !reservation.is_covered() {
            shared.flush.notify_one();
            if !wallet.is_open() || written.changed().await.is_err() {
                reservation.cancel();
                return Err(Refusal::Unavailable);
            }
        }
        if reservation.overspends() && !shared.overspends.swap(true, Ordering::AcqRel) {
            tracing::warn!(
                "no majority can be reached: requests of keys that may do without spend what nobody granted"
            );
        }
        Ok(reservation)
    }

    /// Charges what was really spent and gives back the rest. Returns once no crash can lose any of it: at once, but
    /// for what goes beyond the reservation, which no watermark covers.
    pub async fn settle(&self, reservation: Reservation, spent: &Cost) {
        self.end(reservation, |reservation| reservation.settle(spent)).await;
    }

    /// Charges the most that it can have cost: nobody can tell what it did. Returns as [`Funds::settle`] does.
    pub async fn charge_in_full(&self, reservation: Reservation) {
        self.end(reservation, Reservation::charge_in_full).await;
    }

    async fn end(&self, reservation: Reservation, settle: impl FnOnce(Reservation) -> Overrun) {
        let is_recalled = reservation.is_recalled();
        let mut overrun = settle(reservation);
        self.wake_for_returns(is_recalled);
        if !overrun.is_durable() {
            self.make_durable(&mut overrun).await;
        }
    }

    /// Gives everything back: the attempt cost nothing.
    pub fn cancel(&self, reservation: Reservation) {
        let is_recalled = reservation.is_recalled();
        reservation.cancel();
        self.wake_for_returns(is_recalled);
    }

    /// Gives back what a lower bound does not need.
    pub fn shrink(&self, reservation: &mut Reservation, bound: &Cost) {
        reservation.shrink(bound);
        self.wake_for_returns(reservation.is_recalled());
    }

    fn wake_for_returns(&self, is_recalled: bool) {
        let has_line = self.shared.wallet.load().as_ref().is_some_and(|wallet| wallet.has_line());
        if is_recalled || has_line {
            // What was given back serves whoever waits, here or elsewhere.
            self.shared.flush.notify_one();
            self.shared.sync.notify_one();
        }
    }

    /// Waits for the journal. Without a session there is nothing to wait for: it was reported when the session closed.
    async fn make_durable(&self, overrun: &mut Overrun) {
        let Some(wallet) = self.shared.wallet.load_full() else { return };
        let mut written = self.shared.written.subscribe();
        let _owed = wallet.record_or_owe(overrun);
        while !overrun.is_durable() && self.shared.wallet.load().is_some() {
            self.shared.flush.notify_one();
            if written.changed().await.is_err() {
                return;
            }
            if wallet.is_fenced() {
                // No mark of this session is written any more.
                let _owed = wallet.record_or_owe(overrun);
            }
        }
    }

    /// Whether a session is open, so that anything can be reserved.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.wallet.load().as_ref().is_some_and(|wallet| wallet.is_open())
    }

    /// The wallet of the open session, to be looked at.
    #[must_use]
    pub fn wallet(&self) -> Option<Arc<Wallet>> {
        self.shared.wallet.load_full()
    }
}

/// The tasks that keep money flowing: opens the session, raises watermarks, reports, asks for grants, gives back.
pub struct Treasurer {
    shared: Arc<Shared>,
}

impl Treasurer {
    /// Runs until `stop`, then returns all grants and closes the session if it can within `grace`.
    ///
    /// # Errors
    /// When the journal cannot be written: nothing may be spent any more, and the node must stop.
    pub async fn run(self, stop: CancellationToken, grace: Duration) -> Result<(), JournalFailure> {
        let shared = self.shared;
        if session::open(&shared, &stop).await?.is_none() {
            return Ok(());
        }
        let ended = {
            let (flusher, syncer) = (flusher::run(&shared, &stop), syncer::run(&shared, &stop));
            tokio::select! {
                ended = flusher => ended,
                ended = syncer => ended,
            }
        };
        ended?;
        session::close(&shared, grace).await
    }
}

/// The journal could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the watermark journal failed: {0}")]
pub struct JournalFailure(pub String);

impl Shared {
    /// The ledger has answered.
    fn was_answered(&self) {
        *self.reach.lock() = Reach { answered: self.clock.mono(), in_vain: None };
        if self.overspends.swap(false, Ordering::AcqRel) {
            tracing::info!("a majority is reached again: nothing is overspent any more");
        }
    }

    /// The ledger was asked at `sent` and has not answered within `limit`. That says nothing if the node had a lease when it asked, if
    /// another question was answered since, or if it took longer than that to notice: the process stood still.
    fn was_not_answered(&self, sent: MonoTime, limit: Duration) {
        let (now, lease) = (self.clock.mono(), self.replica.lease());
        let mut reach = self.reach.lock();
        if lease.is_fresh(sent) || sent <= reach.answered || now.since(sent) > limit + STANDSTILL {
            return;
        }
        let earlier = reach.in_vain.filter(|earlier| earlier.goes_on(now, lease));
        let (since, questions) = earlier.map_or((sent, 0), |earlier| (earlier.since, earlier.questions));
        reach.in_vain = Some(InVain { since, until: now, questions: questions.saturating_add(1) });
    }

    /// Ends a session on this node that is over for the ledger.
    fn fence(&self, wallet: &Wallet) {
        wallet.fence();
        self.ended(wallet);
    }

    /// The node leaves.
    fn drain(&self, wallet: &Wallet) {
        wallet.drain();
        self.ended(wallet);
    }

    /// Nothing more is reserved in the name of a session: whoever waits is told.
    fn ended(&self, wallet: &Wallet) {
        self.desk.refuse_all(wallet, Refusal::Unavailable);
        self.written.send_replace(());
    }

    fn serve(&self, wallet: &Wallet) {
        self.desk.serve(wallet, self.clock.mono());
    }
}
