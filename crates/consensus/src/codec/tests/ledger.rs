//! What is asked of the ledger, and what comes of it. Every number is another one: none can take the place of another unseen.

use crate::machine;
use quorate_domain::{
    Amount, BootId, BudgetId, Calendar, EndUserId, KeyId, LogTime, NodeId, Offsets, Period, PlaceId, Refill,
    Revision, Round, SessionId, Span, Subject, TimeZone, Unit, UtcOffset, Weekday, Window, WindowId,
    ZoneName,
};
use quorate_ledger::{
    Answer, Ask, AutoResolve, BudgetSpec, Command, Evidence, Expected, Heard, Kind, Mark, MeetEndUser,
    OpenSession, Outcome, Overspent, Place, PutBudget, PutTemplate, Rejection, Reserve, Resolve, Spell,
    SpendingReport, Sync, TellMarks, Urgency, View,
};

pub(super) fn commands() -> Vec<(&'static str, machine::Command)> {
    [puts(), openings(), syncs(), others()]
        .concat()
        .into_iter()
        .map(|(name, command)| (name, machine::Command::Ledger(command)))
        .collect()
}

fn amount(units: u64) -> Amount {
    Amount::new(units)
}

fn session(id: u64) -> SessionId {
    SessionId::new(id)
}

fn budget(id: u64) -> BudgetId {
    BudgetId::new(id)
}

fn window(start: u64) -> WindowId {
    WindowId::beginning(LogTime::from_millis(start))
}

fn put(spec: BudgetSpec, expected: Expected) -> Command {
    Command::PutBudget(PutBudget { spec, expected })
}

/// One of each subject, unit, kind, rule and expectation; periods, days of the week and refills have one each.
fn puts() -> Vec<(&'static str, Command)> {
    let organisation = Subject::Organisation("acme".parse().unwrap());
    let (team, user) = (Subject::Team("search".parse().unwrap()), Subject::User("ann".parse().unwrap()));
    let (key, never) = (Subject::Key(KeyId::new(17)), AutoResolve::Never);
    let spent = AutoResolve::AsSpent { after: Span::from_millis(60_001) };
    let reported = AutoResolve::AsReportedMayOverspend { after: Span::from_millis(60_002) };
    let spec = |subject: &Subject, unit, kind, limit, auto_resolve| BudgetSpec {
        subject: subject.clone(),
        unit,
        kind,
        limit: amount(limit),
        auto_resolve,
        reserve: Reserve::Bound,
    };
    let of_organisation = spec(&organisation, Unit::NanoUsd, Kind::Lifetime, 5_001, spent);
    let of_team = spec(&team, Unit::Requests, Kind::Lifetime, 5_002, reported);
    let mut puts = vec![
        ("ledger_put_budget_lifetime_resolved_as_spent", put(of_organisation, Expected::Absent)),
        ("ledger_put_budget_lifetime_resolved_as_reported", put(of_team, Expected::Any)),
        (
            "ledger_put_budget_permits",
            put(
                spec(&key, Unit::Permits, Kind::Lifetime, 5_003, never),
                Expected::Revision(Revision::new(31)),
            ),
        ),
    ];
    let key_model = Subject::KeyModel(KeyId::new(18), "chat".parse().unwrap());
    puts.push((
        "ledger_put_budget_key_model",
        put(spec(&key_model, Unit::Tokens, Kind::Lifetime, 5_005, never), Expected::Any),
    ));
    let tag = Subject::Tag("batch".parse().unwrap());
    puts.push((
        "ledger_put_budget_tag",
        put(spec(&tag, Unit::Tokens, Kind::Lifetime, 5_006, never), Expected::Any),
    ));
    let end_user = Subject::EndUser("acme".parse().unwrap(), EndUserId::parse("u-1").unwrap());
    puts.push((
        "ledger_put_budget_end_user",
        put(spec(&end_user, Unit::Tokens, Kind::Lifetime, 5_007, never), Expected::Any),
    ));
    let by_estimate = spec(&tag, Unit::Tokens, Kind::Bucket(Refill::Minute), 5_008, never);
    puts.push((
        "ledger_put_budget_by_estimate",
        put(BudgetSpec { reserve: Reserve::Estimate, ..by_estimate }, Expected::Any),
    ));
    let of_user = |kind| put(spec(&user, Unit::Tokens, kind, 5_004, never), Expected::Any);
    puts.extend(kinds().into_iter().map(|(name, kind)| (name, of_user(kind))));
    puts
}

fn kinds() -> Vec<(&'static str, Kind)> {
    let zone = || ZoneName::parse("Europe/Berlin").unwrap();
    let weekly = |day| Kind::Local(Calendar::new(Period::Week, zone(), day));
    vec![
        ("ledger_put_budget_fixed_minute", Kind::Fixed(Period::Minute)),
        ("ledger_put_budget_fixed_hour", Kind::Fixed(Period::Hour)),
        ("ledger_put_budget_fixed_day", Kind::Fixed(Period::Day)),
        ("ledger_put_budget_fixed_week", Kind::Fixed(Period::Week)),
        ("ledger_put_budget_fixed_month", Kind::Fixed(Period::Month)),
        ("ledger_put_budget_local_monday", weekly(Weekday::Monday)),
        ("ledger_put_budget_local_tuesday", weekly(Weekday::Tuesday)),
        ("ledger_put_budget_local_wednesday", weekly(Weekday::Wednesday)),
        ("ledger_put_budget_local_thursday", weekly(Weekday::Thursday)),
        ("ledger_put_budget_local_friday", weekly(Weekday::Friday)),
        ("ledger_put_budget_local_saturday", weekly(Weekday::Saturday)),
        ("ledger_put_budget_local_sunday", weekly(Weekday::Sunday)),
        ("ledger_put_budget_bucket_second", Kind::Bucket(Refill::Second)),
        ("ledger_put_budget_bucket_minute", Kind::Bucket(Refill::Minute)),
        ("ledger_put_budget_bucket_hour", Kind::Bucket(Refill::Hour)),
        ("ledger_put_budget_bucket_day", Kind::Bucket(Refill::Day)),
    ]
}

fn openings() -> Vec<(&'static str, Command)> {
    let mark = Mark {
        session: session(71),
        budget: budget(81),
        window: window(1_900_000_000_000),
        spent_bound: amount(301),
        settled: amount(302),
        overrun: amount(303),
    };
    let open = |evidence| {
        let (node, boot, previous) = (NodeId::new(4), BootId::new(0xB007), session(70));
        Command::OpenSession(OpenSession { node, boot, previous, evidence })
    };
    vec![
        ("ledger_open_session_intact", open(Evidence::Intact { generation: 9, marks: vec![mark] })),
        ("ledger_open_session_lost", open(Evidence::Lost)),
        (
            "ledger_tell_marks",
            Command::TellMarks(TellMarks {
                node: NodeId::new(4),
                boot: BootId::new(0xB007),
                marks: vec![mark],
            }),
        ),
        ("ledger_go_on", Command::GoOn { left_out: 1_000_000 }),
    ]
}

fn syncs() -> Vec<(&'static str, Command)> {
    let place = Place { id: PlaceId::new(11), need: amount(12), most: amount(13), is_last_call: true };
    let report = SpendingReport {
        budget: budget(81),
        window: window(1_900_000_000_000),
        used: amount(21),
        returned: amount(22),
        overrun: amount(23),
        heard: Some(Heard { round: Round::new(24), granted: amount(25) }),
    };
    let sync = |urgency| {
        let (budget, window, want) = (budget(82), Some(window(1_900_000_000_001)), amount(26));
        let asks = vec![Ask { budget, window, places: vec![place], want, urgency }];
        Command::Sync(Sync {
            session: session(71),
            sequence: 72,
            generation: 73,
            reports: vec![report],
            asks,
            overspent: vec![Overspent { budget, total: amount(28) }],
        })
    };
    vec![
        ("ledger_sync_can_wait", sync(Urgency::CanWait)),
        ("ledger_sync_proof", sync(Urgency::Proof)),
        ("ledger_sync_overdue", sync(Urgency::Overdue(Round::new(27)))),
    ]
}

fn others() -> Vec<(&'static str, Command)> {
    let resolve = Resolve {
        session: session(71),
        budget: budget(81),
        window: WindowId::LIFETIME,
        spent: amount(41),
        actor: "key 1".to_owned(),
        reason: "the invoice says so".to_owned(),
    };
    vec![
        ("ledger_tick", Command::Tick),
        ("ledger_remove_budget", Command::RemoveBudget { budget: budget(81), expected: Expected::Any }),
        ("ledger_close_session", Command::CloseSession { session: session(71) }),
        ("ledger_expire_session", Command::ExpireSession { session: session(71) }),
        ("ledger_resolve", Command::Resolve(resolve)),
        ("ledger_put_time_zone", Command::PutTimeZone(berlin())),
        ("ledger_put_template", Command::PutTemplate(PutTemplate { put: default(), end_users_max: 65 })),
        ("ledger_meet_end_user", meet()),
    ]
}

pub(super) fn default() -> PutBudget {
    let subject = Subject::EndUserDefault("acme".parse().unwrap());
    let (unit, kind, limit) = (Unit::Tokens, Kind::Lifetime, amount(5_008));
    PutBudget {
        spec: BudgetSpec {
            subject,
            unit,
            kind,
            limit,
            auto_resolve: AutoResolve::Never,
            reserve: Reserve::Bound,
        },
        expected: Expected::Absent,
    }
}

pub(super) fn meet() -> Command {
    let (organisation, end_user) = ("acme".parse().unwrap(), EndUserId::parse("u-1").unwrap());
    Command::MeetEndUser(MeetEndUser { organisation, end_user })
}

pub(super) fn berlin() -> TimeZone {
    let summer = (LogTime::from_millis(1_774_746_000_000), UtcOffset::from_seconds(7_200));
    TimeZone {
        name: ZoneName::parse("Europe/Berlin").unwrap(),
        edition: "2026b".to_owned(),
        known_until: LogTime::from_millis(2_000_000_000_000),
        offsets: Offsets::new(UtcOffset::from_seconds(3_600), [summer]),
    }
}

pub(super) fn outcomes() -> Vec<(&'static str, Vec<machine::Outcome>)> {
    let stored = |outcomes: Vec<Outcome>| outcomes.into_iter().map(machine::Outcome::Ledger).collect();
    let rejected = rejections().into_iter().map(Outcome::Rejected).collect();
    vec![
        ("ledger", stored(successes())),
        ("ledger_rejected", stored(rejected)),
        (
            "ledger_too_many_end_users",
            stored(vec![Outcome::Rejected(Rejection::TooManyEndUsers { budget: budget(85), most: 66 })]),
        ),
    ]
}

fn successes() -> Vec<Outcome> {
    let open = Window { id: window(1_900_000_000_000), end: Some(LogTime::from_millis(1_900_000_060_000)) };
    let view = View {
        window: open,
        version: 51,
        granted: amount(52),
        served: vec![(PlaceId::new(53), amount(54))],
        central: Some(Spell { since: Round::new(55), round: Round::new(56), is_asked: true }),
    };
    let (valid_for, proves_from) = (Span::from_millis(57), Round::new(58));
    let answers = vec![
        Answer::Holds { budget: budget(81), view, valid_for, proves_from },
        Answer::WindowOver { budget: budget(82), current: open },
        Answer::UnknownBudget { budget: budget(83) },
    ];
    vec![
        Outcome::Done,
        Outcome::BudgetStored { budget: budget(84), revision: Revision::new(59) },
        Outcome::SessionOpened { session: session(71) },
        Outcome::Synced { answers },
        Outcome::Fenced,
    ]
}

fn rejections() -> Vec<Rejection> {
    vec![
        Rejection::UnknownBudget(budget(81)),
        Rejection::BudgetExists(budget(82)),
        Rejection::BudgetAbsent,
        Rejection::RevisionMismatch { budget: budget(83), stored: Revision::new(61) },
        Rejection::LaterSession { node: NodeId::new(4), latest: session(71) },
        Rejection::UnknownSession(session(72)),
        Rejection::StillHolding(session(73)),
        Rejection::SessionAlive(session(74)),
        Rejection::NothingHeld(session(75)),
        Rejection::Inconsistent { session: session(76), budget: budget(84) },
        Rejection::SpentOutOfRange { session: session(77), least: amount(62), most: amount(63) },
        Rejection::MaySpendYet { session: session(78), left_ms: 64 },
        Rejection::UnknownTimeZone(ZoneName::parse("Europe/Berlin").unwrap()),
    ]
}
