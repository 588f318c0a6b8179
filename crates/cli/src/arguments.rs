//! The command line as a whole. Each command's own arguments are in its file.

use crate::authority::AuthorityVerb;
use crate::autopilot::AutopilotVerb;
use crate::budget::{BudgetVerb, Usage};
use crate::cluster::ClusterVerb;
use crate::config::ConfigCommand;
use crate::debug::Debug;
use crate::dev::Dev;
use crate::doctor::Doctor;
use crate::document::ApplyDocument;
use crate::key::KeyVerb;
use crate::model::ModelFields;
use crate::node::NodeVerb;
use crate::object::Verb;
use crate::output::Format;
use crate::probe::Probe;
use crate::provider::ProviderFields;
use crate::recover::RecoverVerb;
use crate::route::RouteFields;
use crate::serve::Serve;
use crate::snapshot::SnapshotVerb;
use crate::tenant::{OrganisationFields, TeamFields, UserFields};
use crate::token::TokenVerb;
use crate::upgrade::UpgradeVerb;
use clap::{Args, Parser, Subcommand};
use quorate_node::ExitCode;
use std::path::PathBuf;

const EXIT_CODES: &str = "Exit codes:
   0  done
   1  something else went wrong
   2  the command line is wrong
   3  not found
   4  no admin key, or the wrong one
   5  no node could be reached
   6  no answer in time: the change may have been made; a drain that takes longer goes on
   7  refused, also by the checks of a plan
   8  conflict: it exists already, or somebody else changed it first
   9  done, but nodes that were not heard of may go on serving the key
  10  the cluster is degraded: something is missing; a check of `quorate doctor` warns
  11  the cluster has no leader that a majority follows
  12  the next failure of a voter would leave it without
of a node (docs/errors/README.md says of each what to do):";

/// Those of commands, and those of nodes from their one table.
fn exit_codes() -> String {
    let of_nodes = ExitCode::ALL.map(|code| format!("\n  {}  {}", code.number(), code.line()));
    format!("{EXIT_CODES}{}", of_nodes.concat())
}

/// An AI gateway that runs as a cluster, with budgets that are never overspent.
#[derive(Parser)]
#[command(name = "quorate", version, after_help = exit_codes(), max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) connection: Connection,

    /// How to print what was asked for.
    #[arg(long, short, global = true, value_enum, default_value_t = Format::Table, help_heading = "Connection and output")]
    pub(crate) output: Format,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which cluster, and as whom.
#[derive(Args, Clone)]
pub(crate) struct Connection {
    /// Admin address of any node; several separated by commas are tried in turn.
    #[arg(
        long,
        global = true,
        env = "QUORATE_SERVER",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:8081",
        help_heading = "Connection and output"
    )]
    pub(crate) server: Vec<String>,

    /// Admin key. Other users of this machine can see a command line: prefer the variable or a file.
    #[arg(
        long,
        global = true,
        env = "QUORATE_TOKEN",
        hide_env_values = true,
        help_heading = "Connection and output"
    )]
    pub(crate) token: Option<String>,

    /// File that holds the admin key.
    #[arg(long, global = true, env = "QUORATE_TOKEN_FILE", help_heading = "Connection and output")]
    pub(crate) token_file: Option<PathBuf>,

    /// Why you make a change; goes into the log of the node with it.
    #[arg(long, short = 'm', global = true, help_heading = "Connection and output")]
    pub(crate) reason: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run a node.
    Serve(Serve),
    /// Run a cluster on this machine, to try things out.
    Dev(Dev),
    /// Find what is wrong with a machine or a cluster, and say what to do.
    Doctor(Doctor),
    /// For whoever looks into a fault.
    #[command(subcommand)]
    Debug(Debug),
    /// Configuration files of nodes.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// All of the state in a file: save it, look into it, begin a new cluster with it.
    #[command(subcommand)]
    Snapshot(SnapshotVerb),
    /// Go on after the quorum was lost for good.
    #[command(subcommand)]
    Recover(RecoverVerb),
    #[command(flatten)]
    Ask(Box<Question>),
}

/// Commands that ask a cluster.
#[derive(Subcommand)]
pub(crate) enum Question {
    /// Ask a node whether it is alive or ready.
    Probe(Probe),
    /// Found a cluster, join one, see how it is.
    #[command(subcommand)]
    Cluster(ClusterVerb),
    /// Who belongs to the cluster, and what each node is for: drain, remove, replace.
    #[command(subcommand)]
    Node(NodeVerb),
    /// Who decides about votes, and by what.
    #[command(subcommand)]
    Autopilot(AutopilotVerb),
    /// Tokens with which nodes join.
    #[command(subcommand)]
    Token(TokenVerb),
    /// Who signs the certificates that nodes show each other.
    #[command(subcommand)]
    Authority(AuthorityVerb),
    /// From one release to the next.
    #[command(subcommand)]
    Upgrade(UpgradeVerb),
    /// Who serves models, where, and with which credential.
    #[command(subcommand)]
    Provider(Verb<ProviderFields>),
    /// What providers serve, what it costs, how large a request can be.
    #[command(subcommand)]
    Model(Verb<ModelFields>),
    /// The model names that clients use, and the models behind them.
    #[command(subcommand)]
    Route(Verb<RouteFields>),
    /// Organisations.
    #[command(subcommand)]
    Org(Verb<OrganisationFields>),
    /// Teams of an organisation.
    #[command(subcommand)]
    Team(Verb<TeamFields>),
    /// Users.
    #[command(subcommand)]
    User(Verb<UserFields>),
    /// API keys of clients and of operators.
    #[command(subcommand)]
    Key(KeyVerb),
    /// Limits on what a key, a user, a team or an organisation may spend.
    #[command(subcommand)]
    Budget(BudgetVerb),
    /// What was spent.
    Usage(Usage),
    /// Write many objects from a file, all of them or none.
    Apply(ApplyDocument),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_commands_of_the_guide_are_understood() {
        for line in [
            "serve --config node.toml",
            "dev --nodes 3 --data-dir d --ready-file f",
            "probe readyz --server http://10.0.0.1:8081",
            "probe readyz/admin",
            "cluster init",
            "cluster join --join-token-file token",
            "serve --config node.toml --join-token-file token",
            "token create --ttl 30m --uses 4",
            "token delete 0123456789abcdef",
            "authority rotate -m yearly",
            "upgrade finalize --dry-run",
            "cluster status -o json",
            "cluster status --watch",
            "cluster events",
            "cluster transfer-leader --to gw-2",
            "cluster rolling-restart --hook ./restart.sh --yes",
            "cluster rolling-restart --hook ./restart.sh --from gw-2",
            "node list",
            "node show gw-2",
            "node watch gw-2",
            "node drain gw-3 --deadline 10m --yes",
            "node drain --self --yes --deadline 9m",
            "node undrain gw-3",
            "node remove gw-3 --dry-run",
            "node replace gw-4 --by-anyone --yes",
            "node promote gw-4 --instead-of gw-2",
            "node demote gw-4",
            "autopilot show",
            "autopilot set --target 7 --stable 10s",
            "autopilot pause",
            "provider create openai --base-url https://api.openai.com/v1 --credential ${env:OPENAI_API_KEY}",
            "provider set openai --when-client-leaves cancel",
            "provider set openai --when-client-leaves 30s",
            "model create openai/gpt-4o --provider openai --input-price 2.5 --output-price 10 --context-tokens 128000",
            "model set openai/gpt-4o --tokenizer o200k_base",
            "route create gpt-4o --target openai/gpt-4o --target azure/gpt-4o=3 --strategy weighted",
            "route set gpt-4o --target openai/gpt-4o",
            "org create acme",
            "team create search --organisation acme",
            "user delete ann@acme.org",
            "key create --team search --budget 5M/day --budget $12.50 --expires 90d",
            "key rotate 17 --overlap 48h",
            "key revoke 17 -m leaked",
            "key mint",
            "budget create team:search $100/month",
            "budget explain key:17",
            "budget set 4 10M",
            "budget set 4 --auto-resolve as-spent=24h",
            "budget create team:search 100k --reserve estimate",
            "budget set 4 --reserve bound",
            "budget resolve 4 --session 17 --spent 1200 -m bill",
            "budget resolve 4 --all-as-spent -m bill",
            "cluster expire 17 -m burnt",
            "usage --subject org:acme",
            "apply objects.toml",
            "config validate node.toml",
            "snapshot save all.snapshot --stale",
            "snapshot inspect all.snapshot -o json",
            "snapshot restore all.snapshot --data-dir d --name gw-1 --peer-address 10.0.0.1:7000",
            "recover plan --data-dir a --data-dir b --out plan.json --yes",
            "recover apply plan.json --data-dir a",
            "recover verify --data-dir a",
            "doctor",
            "debug bundle --out b.tar.gz --log node.log --log-lines 500 --config node.toml",
            "doctor --config node.toml -o json",
        ] {
            let words = std::iter::once("quorate").chain(line.split(' '));
            assert!(Arguments::try_parse_from(words).is_ok(), "{line}");
        }
    }
}
