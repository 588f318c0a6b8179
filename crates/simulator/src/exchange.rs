//! What a node says to the log, one thing at a time, and how it takes the answer.

use crate::event::Event;
use crate::reached::Reached;
use crate::world::{World, boot_id, node_id};
use quorate_domain::{MonoTime, Span};
use quorate_ledger::{Answer, Command, Evidence, Mark, OpenSession, Outcome, Sync, TellMarks};
use quorate_wallet::{Speech, Wallet};
use rand::RngExt;
use std::sync::Arc;
use std::time::Duration;

const REPORT_EVERY: Duration = Duration::from_millis(250);
pub(crate) const EXCHANGE_LIMIT_US: u64 = 400_000;
/// After so long a paused node is tried again.
const PAUSE_US: u64 = 20_000;

/// What a node waits for an answer to.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// Part of the journal; the session is opened with the rest.
    Telling(Vec<Mark>),
    Opening,
    Saying(Speech, MonoTime),
    Closing,
}

impl World {
    pub(crate) fn speak(&mut self, place: usize, wallet: &Wallet, is_urgent: bool) {
        if self.nodes[place].exchange.is_some() {
            return;
        }
        let now = self.mono(place);
        let is_due =
            is_urgent || self.nodes[place].drains.is_some() || wallet.is_report_due(now, REPORT_EVERY);
        if let Some(speech) = wallet.speech(&self.nodes[place].replica, is_due, now) {
            self.items += (speech.sync.reports.len() + speech.sync.asks.len()) as u64;
            let generation = self.nodes[place].disk.generation();
            let command = Command::Sync(Sync { generation, ..speech.sync.clone() });
            self.send(place, Exchange::Saying(speech, now), &command);
        }
    }

    pub(crate) fn open(&mut self, place: usize) {
        let node = &self.nodes[place];
        if node.exchange.is_some() {
            return;
        }
        match node.disk.evidence() {
            Evidence::Intact { marks, .. } if marks.len() > 1 && self.draw.random_bool(0.5) => {
                let (first, rest) = marks.split_at(marks.len() / 2);
                let boot = boot_id(place, self.nodes[place].life);
                let tell = TellMarks { node: node_id(place), boot, marks: first.to_vec() };
                self.send(place, Exchange::Telling(rest.to_vec()), &Command::TellMarks(tell));
            }
            evidence @ (Evidence::Intact { .. } | Evidence::Lost) => self.open_with(place, evidence),
        }
    }

    fn open_with(&mut self, place: usize, evidence: Evidence) {
        let node = &self.nodes[place];
        let (id, boot) = (node_id(place), boot_id(place, node.life));
        let open = OpenSession { node: id, boot, previous: node.replica.latest_session(id), evidence };
        self.send(place, Exchange::Opening, &Command::OpenSession(open));
    }

    pub(crate) fn send(&mut self, place: usize, exchange: Exchange, command: &Command) {
        let node = &mut self.nodes[place];
        node.exchanges += 1;
        let (life, number) = (node.life, node.exchanges);
        node.exchange = Some((number, exchange));
        let (is_mute, is_one_way) = (node.is_mute, node.is_mute != node.is_deaf);
        if is_one_way {
            self.coverage.reach(Reached::CutOffOneWay);
        }
        self.after(EXCHANGE_LIMIT_US, Event::GivesUp { node: place, life, exchange: number });
        if is_mute || self.is_lost() {
            return self.watch_loss(command);
        }
        let copies = if self.is_doubled() { 2 } else { 1 };
        for _ in 0..copies {
            let delay = self.message_delay();
            let command = command.clone();
            self.after(delay, Event::Proposed { node: place, life, exchange: number, command });
        }
    }

    pub(crate) fn gives_up(&mut self, place: usize, life: u64, exchange: u64) {
        let node = &mut self.nodes[place];
        if !node.is_up
            || node.life != life
            || node.exchange.as_ref().is_none_or(|(known, _)| *known != exchange)
        {
            return;
        }
        if let (Some((_, Exchange::Saying(speech, _))), Some(wallet)) = (node.exchange.take(), &node.wallet) {
            wallet.unheard(&speech);
        }
        self.look(place);
    }

    pub(crate) fn answered(&mut self, place: usize, life: u64, exchange: u64, outcome: Outcome) {
        let node = &mut self.nodes[place];
        let is_awaited = node.exchange.as_ref().is_some_and(|(known, _)| *known == exchange);
        if !node.is_up || node.life != life || !is_awaited {
            return;
        }
        if node.is_paused {
            // It hears it when it goes on.
            return self.after(PAUSE_US, Event::Answered { node: place, life, exchange, outcome });
        }
        let now = self.mono(place);
        let is_adrift = self.plan.clock(place).ppm != 0;
        let node = &mut self.nodes[place];
        match (node.exchange.take().map(|(_, exchange)| exchange), outcome) {
            (Some(Exchange::Telling(marks)), Outcome::Done) => {
                let generation = node.disk.generation();
                return self.open_with(place, Evidence::Intact { generation, marks });
            }
            (Some(Exchange::Opening), Outcome::SessionOpened { session }) => {
                let heard = self.log.ledger.journal_of(node_id(place));
                self.journals_written += 1;
                node.disk.accepted(session, heard);
                node.free_since = self.now;
                let drafts = self.drafts_of(place);
                self.nodes[place].wallet = Some(Arc::new(Wallet::overdrawing(session, drafts)));
            }
            (Some(Exchange::Saying(speech, sent)), Outcome::Synced { answers }) => {
                node.wallet.iter().for_each(|wallet| wallet.heard(&speech, &answers, sent, now));
                if is_adrift && answers.iter().any(lapses) {
                    self.coverage.reach(Reached::LapsesByAWrongClock);
                }
            }
            (Some(Exchange::Closing), Outcome::Done) => return self.leave_in_order(place),
            (Some(Exchange::Saying(..)), Outcome::Fenced | Outcome::Rejected(_)) => {
                node.wallet.iter().for_each(|wallet| wallet.fence());
                self.coverage.reach(Reached::Fenced);
                if let Some(for_us) = self.nodes[place].drains {
                    // There is nothing to return any more.
                    self.end_life(place);
                    return self.after(for_us, Event::Returns(place));
                }
            }
            (Some(_), _) | (None, _) => {}
        }
        self.look(place);
    }
}

/// Whether an answer tells of a grant that ends by the node's own clock.
const fn lapses(answer: &Answer) -> bool {
    match answer {
        Answer::Holds { valid_for, .. } => valid_for.millis() < Span::FOREVER.millis(),
        Answer::WindowOver { .. } | Answer::UnknownBudget { .. } => false,
    }
}
