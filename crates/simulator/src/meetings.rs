//! An end user who is seen for the first time, perhaps on several nodes at once: a node that does not know his budget tells
//! the log of him, as often as it must, and lets his requests come again until its replica has it.

use crate::event::Event;
use crate::plan::{Making, Plan};
use crate::reached::Reached;
use crate::world::{World, budget_id};
use quorate_domain::{EndUserId, Name};
use quorate_ledger::{Command, MeetEndUser};

/// So long a request waits before it is looked at anew.
const AGAIN_US: u64 = 10_000;
/// So long it waits in all before it is told that the ledger is out of reach.
const LIMIT_US: u64 = 2_000_000;
/// No exchange has this number: nobody waits for the answer.
const UNAWAITED: u64 = 0;

impl Plan {
    /// The last budget is one of all end users, and the only one of them has it when he is first seen: it is made once, and
    /// has the number after its template's.
    #[must_use]
    pub(crate) fn for_an_end_user(mut self) -> Self {
        let Some(template) = self.budgets.len().checked_sub(1) else { return self };
        let mut made = self.budgets[template].clone();
        made.making = Making::FirstSight;
        self.budgets[template].making = Making::Template;
        self.budgets.push(made);
        let places = self.requests.iter_mut().flat_map(|request| &mut request.path);
        places.filter(|place| **place == template).for_each(|place| *place = template + 1);
        self
    }
}

impl World {
    /// Whether a request has to wait until an end user is met.
    pub(crate) fn meets_first(&mut self, number: usize) -> bool {
        let plan = &self.plan.requests[number];
        let node = &self.nodes[plan.node];
        let is_unmet = |place: &usize| {
            let is_made = self.plan.budgets[*place].making == Making::FirstSight;
            is_made && node.replica.budget(budget_id(*place)).is_none()
        };
        let is_idle = !node.is_up || node.is_paused || node.drains.is_some() || node.wallet.is_none();
        if is_idle || !plan.path.iter().any(is_unmet) {
            return false;
        }
        let since = *self.requests[number].met_since.get_or_insert(self.now);
        if self.now >= since + LIMIT_US {
            return false;
        }
        let place = plan.node;
        self.tell_of_an_end_user(place);
        self.plan.requests[number].at_us = self.now + AGAIN_US;
        self.after(AGAIN_US, Event::Arrives(number));
        true
    }

    fn tell_of_an_end_user(&mut self, place: usize) {
        let node = &self.nodes[place];
        let life = node.life;
        if node.is_mute || self.is_lost() {
            return;
        }
        let copies = if self.is_doubled() { 2 } else { 1 };
        for _ in 0..copies {
            let (delay, command) = (self.message_delay(), Command::MeetEndUser(the_only_one()));
            self.after(delay, Event::Proposed { node: place, life, exchange: UNAWAITED, command });
        }
    }

    /// Before an entry: whether somebody else has told of him.
    pub(crate) fn watch_meeting(&mut self, meet: &MeetEndUser) {
        let is_met = self.log.ledger.unmet(&meet.organisation, &meet.end_user).next().is_none();
        self.coverage.reach(if is_met { Reached::MetTwice } else { Reached::MetAtFirstSight });
    }
}

/// Whom a budget of this making is for; the one at a place of the plan, if nobody else is said.
pub(crate) fn subject(making: Making, place: usize) -> String {
    match making {
        Making::Written => format!("team:t{place}"),
        Making::Template => "end-user:acme/*".to_owned(),
        Making::FirstSight => "end-user:acme/ann".to_owned(),
    }
}

fn the_only_one() -> MeetEndUser {
    MeetEndUser {
        organisation: Name::parse("acme").expect("letters name an organisation"),
        end_user: EndUserId::parse("ann").expect("letters name an end user"),
    }
}
