//! Admission covered by a grant, in this process and without HTTP: authenticate, find the budgets, reserve, settle.
//!
//! The money is the gateway's own, with its treasurer at work beside it; the ledger and the journal answer at once.

use crate::clock::{self, SystemClock};
use crate::local::{Local, Memory};
use crate::process::MEASURED_CORE;
use anyhow::{Context, Result, ensure};
use parking_lot::RwLock;
use quorate_catalog::{
    Actor, ApiKeyText, Apply, Catalog, Change, Claim, EndUser, Expected, Founding, KeySpec, NewKey,
    OrganisationSpec, Outcome, Owner, Pepper, Role, TeamSpec,
};
use quorate_domain::{
    Amount, ClusterId, KeyId, LogTime, Name, NanoUsd, NodeId, Secret, Subject, Tags, Tokens, Unit,
};
use quorate_gateway::Funds;
use quorate_gateway::replica::Replica;
use quorate_ledger::{BudgetSpec, Kind, Ledger, PutBudget};
use quorate_wallet::Cost;
use serde::{Deserialize, Serialize};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const ADMISSIONS: usize = 200_000;
/// Admissions before any counts, so that the grant has its size and the caches are warm.
const WARM_UP: usize = 20_000;
const PATIENCE: Duration = Duration::from_secs(5);
const KEY: KeyId = KeyId::new(2);
const PEPPER: [u8; 32] = [42; 32];
const BEGINNING: LogTime = LogTime::from_millis(1);

/// How long admissions took, in nanoseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct AdmissionTimes {
    /// Half took no longer.
    pub(crate) p50: u32,
    /// All but one in a hundred took no longer.
    pub(crate) p99: u32,
    /// All but one in a thousand took no longer.
    pub(crate) p999: u32,
    /// How many were counted.
    pub(crate) covered: usize,
    /// How many found no grant and are not counted.
    pub(crate) waited: usize,
}

/// The times that a process of its own on the measured core finds.
pub(crate) fn of_a_process() -> Result<AdmissionTimes> {
    let mut command = Command::new("taskset");
    command.args(["-c", MEASURED_CORE]).arg(std::env::current_exe()?).arg("admission");
    let output = command.output()?;
    let complaint = || String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_slice(&output.stdout).with_context(complaint)
}

/// Measures and prints the times as JSON.
pub(crate) async fn measure() -> Result<()> {
    let (replica, text) = replica()?;
    let claim = Claim { route: Name::parse("chat")?, tags: Tags::default(), end_user: EndUser::Unsaid };
    let replica = Arc::new(replica);
    let (funds, treasurer) = Funds::new(replica.clone(), Arc::new(Memory), Arc::new(SystemClock::start()));
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(treasurer.run(stop.clone(), PATIENCE));
    while !funds.is_open() {
        tokio::task::yield_now().await;
    }
    let times = Desk { replica: &replica, funds, text: text.expose(), claim }.measure().await?;
    stop.cancel();
    tasks.join_next().await.context("the treasurer never ran")???;
    println!("{}", serde_json::to_string(&times)?);
    Ok(())
}

/// Where requests are admitted.
struct Desk<'a> {
    replica: &'a Local,
    funds: Funds,
    text: &'a str,
    claim: Claim,
}

impl Desk<'_> {
    async fn measure(&self) -> Result<AdmissionTimes> {
        let mut nanos = Vec::with_capacity(ADMISSIONS);
        let mut waited = 0;
        for number in 0..WARM_UP + ADMISSIONS {
            let begun = clock::now();
            let covered = self.admit().await?;
            let took = (clock::now() - begun).as_nanos();
            match (covered, number < WARM_UP) {
                (true, true) => {}
                (true, false) => nanos.push(u32::try_from(took)?),
                (false, _) => waited += usize::from(self.wait().await?),
            }
        }
        nanos.sort_unstable();
        let at = |permille: usize| nanos.get(nanos.len().saturating_sub(1) * permille / 1_000).copied();
        let at = |permille| at(permille).context("no admission was covered");
        Ok(AdmissionTimes { p50: at(500)?, p99: at(990)?, p999: at(999)?, covered: nanos.len(), waited })
    }

    /// What the request path does between the head of a request and the provider, but for parsing the body.
    async fn admit(&self) -> Result<bool> {
        let now = self.replica.ledger().read().time();
        let key = self.replica.catalog().read().authenticate(self.text, now)?;
        let subjects = self.replica.catalog().read().subjects_of(&key, &self.claim);
        let path = self.funds.path_of(&subjects).map_err(|unmet| anyhow::anyhow!("{unmet:?}"))?;
        ensure!(path.len() == 3, "three budgets limit the key, not {}", path.len());
        let Ok(reservation) = self.funds.try_reserve(&path, &cost(1_000).into()) else { return Ok(false) };
        self.funds.settle(reservation, &cost(100)).await;
        Ok(true)
    }

    /// One request that stands in line, as it does when no grant covers it.
    async fn wait(&self) -> Result<bool> {
        let key = self.replica.catalog().read().authenticate(self.text, BEGINNING)?;
        let subjects = self.replica.catalog().read().subjects_of(&key, &self.claim);
        let path = self.funds.path_of(&subjects).map_err(|unmet| anyhow::anyhow!("{unmet:?}"))?;
        let reservation = self.funds.reserve(&path, &cost(1_000).into(), PATIENCE).await?;
        self.funds.settle(reservation, &cost(100)).await;
        Ok(true)
    }
}

fn cost(tokens: u64) -> Cost {
    Cost { tokens: Tokens::new(tokens), money: NanoUsd::ZERO }
}

/// A catalogue with one key, its team and its organisation, each with a budget.
fn replica() -> Result<(Local, Secret<String>)> {
    let text = ApiKeyText::mint(KEY, &[7; 32]);
    let (organisation, team) = (Name::parse("acme")?, Name::parse("search")?);
    let mut catalog = Catalog::default();
    let founding =
        Founding::new(ClusterId::new(1), Secret::new(PEPPER), &ApiKeyText::mint(KeyId::new(1), &[1; 32]));
    apply(&mut catalog, quorate_catalog::Command::Found(founding))?;
    let changes = vec![
        Change::PutOrganisation {
            expected: Expected::Absent,
            spec: OrganisationSpec { name: organisation.clone(), description: None },
        },
        Change::PutTeam {
            expected: Expected::Absent,
            spec: TeamSpec {
                name: team.clone(),
                organisation: Some(organisation.clone()),
                description: None,
            },
        },
        Change::CreateKey(NewKey {
            id: KEY,
            role: Role::Client,
            spec: KeySpec {
                owner: Owner { team: Some(team.clone()), ..Owner::default() },
                ..KeySpec::default()
            },
            digest: Pepper::new(Secret::new(PEPPER)).digest(text.expose()),
        }),
    ];
    apply(
        &mut catalog,
        quorate_catalog::Command::Apply(Apply { actor: Actor::Node(NodeId::new(1)), reason: None, changes }),
    )?;
    let ledger = ledger([Subject::Key(KEY), Subject::Team(team), Subject::Organisation(organisation)]);
    Ok((Local::new(RwLock::new(catalog), RwLock::new(ledger)), Secret::new(text.expose().to_owned())))
}

fn apply(catalog: &mut Catalog, command: quorate_catalog::Command) -> Result<()> {
    match catalog.apply(BEGINNING, command) {
        Outcome::Applied { .. } => Ok(()),
        Outcome::Rejected(rejection) => Err(rejection.into()),
    }
}

fn ledger(subjects: [Subject; 3]) -> Ledger {
    let mut ledger = Ledger::default();
    for subject in subjects {
        let spec = BudgetSpec {
            subject,
            unit: Unit::Tokens,
            kind: Kind::Lifetime,
            limit: Amount::new(1_000_000_000_000),
            auto_resolve: quorate_ledger::AutoResolve::Never,
            reserve: quorate_ledger::Reserve::Bound,
        };
        let put = PutBudget { spec, expected: quorate_ledger::Expected::Absent };
        ledger.apply(BEGINNING, quorate_ledger::Command::PutBudget(put));
    }
    ledger
}
