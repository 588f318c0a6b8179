//! The desk: where requests that stand in line leave an address, and are called to when their turn has come.

use super::Refusal;
use parking_lot::Mutex;
use quorate_domain::{MonoTime, PlaceId, SessionId};
use quorate_wallet::{Charge, Need, Reservation, Wallet};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

pub(super) struct Desk {
    /// Every wallet numbers its own line: the session tells them apart. In order, so that everyone is called in an order.
    called: Mutex<BTreeMap<Address, oneshot::Sender<Answer>>>,
    places_max: usize,
}

type Address = (SessionId, PlaceId);
type Answer = Result<Parcel, Refusal>;

/// A reservation on its way to the request. If the request is gone when it arrives, it costs nothing.
struct Parcel(Option<Reservation>);

impl Drop for Parcel {
    fn drop(&mut self) {
        if let Some(reservation) = self.0.take() {
            reservation.cancel();
        }
    }
}

/// A request's place in line. Dropped, it is given up.
pub(super) struct Place<'a> {
    desk: &'a Desk,
    wallet: Arc<Wallet>,
    id: PlaceId,
    answer: oneshot::Receiver<Answer>,
}

impl Desk {
    pub(super) fn new(places_max: usize) -> Self {
        Self { called: Mutex::default(), places_max }
    }

    /// Puts a request in line; `None` if the line is full or the session over.
    pub(super) fn queue<'a>(&'a self, wallet: &Arc<Wallet>, ask: &Request<'_>) -> Option<Place<'a>> {
        let mut called = self.called.lock();
        // Whoever comes after everyone was turned away would stand in a line that nobody serves.
        if called.len() >= self.places_max || !wallet.is_open() {
            return None;
        }
        let (sender, answer) = oneshot::channel();
        // Under the lock, so that nobody can be called before the address is known.
        let id = wallet.queue(ask.path.into(), *ask.need, ask.now, ask.deadline);
        called.insert((wallet.session(), id), sender);
        Some(Place { desk: self, wallet: Arc::clone(wallet), id, answer })
    }

    /// Calls everyone whose turn has come.
    pub(super) fn serve(&self, wallet: &Wallet, now: MonoTime) {
        for (id, reservation) in wallet.serve(now) {
            self.call((wallet.session(), id), Ok(Parcel(Some(reservation))));
        }
    }

    /// Turns a request away.
    pub(super) fn refuse(&self, wallet: &Wallet, id: PlaceId, refusal: Refusal) {
        wallet.leave(id);
        self.call((wallet.session(), id), Err(refusal));
    }

    /// Turns everyone away: the session is over.
    pub(super) fn refuse_all(&self, wallet: &Wallet, refusal: Refusal) {
        let everyone: Vec<Address> = self.called.lock().keys().copied().collect();
        for (session, id) in everyone {
            if session == wallet.session() {
                self.refuse(wallet, id, refusal);
            }
        }
    }

    fn call(&self, address: Address, answer: Answer) {
        if let Some(sender) = self.called.lock().remove(&address) {
            // Whoever hung up meanwhile leaves a parcel that cancels itself.
            drop(sender.send(answer));
        }
    }
}

/// What a request in line wants.
pub(super) struct Request<'a> {
    pub(super) path: &'a [Charge],
    pub(super) need: &'a Need,
    /// When it came.
    pub(super) now: MonoTime,
    /// Until when it may wait.
    pub(super) deadline: MonoTime,
}

impl Place<'_> {
    /// Resolves when the request is served or turned away.
    pub(super) async fn called(mut self) -> Result<Reservation, Refusal> {
        match (&mut self.answer).await {
            Ok(answer) => answer.and_then(Parcel::open),
            Err(_closed) => Err(Refusal::Unavailable),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.wallet.leave(self.id);
        self.desk.called.lock().remove(&(self.wallet.session(), self.id));
    }
}

impl Parcel {
    fn open(mut self) -> Result<Reservation, Refusal> {
        self.0.take().ok_or(Refusal::Unavailable)
    }
}
