//! The folder of a development cluster: one configuration file and one data directory for each node.

use crate::error::CliError;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// No load balancer looks at a development cluster.
const UNREADY_MS: i64 = 1_500;
/// Shorter than in production: nobody waits half a minute for Ctrl-C.
const DRAIN_MS: i64 = 5_000;
/// The tables of a configuration file that are for every node.
const OF_EVERY_NODE: [&str; 2] = ["log", "limits"];

/// Where everything of a development cluster is.
pub(super) struct Layout {
    folder: PathBuf,
}

/// Where one node listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) client: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) peer: SocketAddr,
}

impl Layout {
    /// Makes the folder and every configuration file that is not there yet. With a file of one's own, all of them are
    /// written anew, but for where the nodes are: keys and budgets come from there.
    pub(super) fn prepare(folder: &Path, own: Option<&Table>, nodes: u64) -> Result<Self, CliError> {
        fs::create_dir_all(folder).map_err(|cause| io_error("create", folder, cause))?;
        let folder = folder.canonicalize().map_err(|cause| io_error("find", folder, cause))?;
        let layout = Self { folder };
        for id in 1..=nodes {
            layout.prepare_node(id, own)?;
        }
        Ok(layout)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn config_file(&self, id: u64) -> PathBuf {
        self.node_folder(id).join("node.toml")
    }

    pub(super) fn log_file(&self, id: u64) -> PathBuf {
        self.node_folder(id).join("log.jsonl")
    }

    /// Whether this node was there at an earlier start.
    pub(super) fn has_started(&self, id: u64) -> bool {
        self.node_folder(id).join("data").join("identity").exists()
    }

    pub(super) fn token_file(&self) -> PathBuf {
        self.folder.join("admin-token")
    }

    /// Where a node listens, as its file says.
    pub(super) fn addresses(&self, id: u64) -> Result<Addresses, CliError> {
        let path = self.config_file(id);
        let table = read_table(&path)?;
        let address = |table: &str, name: &str, config: &Table| {
            let text = config.get(table).and_then(|inner| inner.get(name)).and_then(Value::as_str);
            let parsed = text.and_then(|text| text.parse().ok());
            parsed
                .ok_or_else(|| CliError::Config(format!("{}: {table}.{name} is no address", path.display())))
        };
        Ok(Addresses {
            client: address("node", "client_listen", &table)?,
            admin: address("node", "admin_listen", &table)?,
            peer: address("cluster", "peer_listen", &table)?,
        })
    }

    /// Keeps the admin token, which a cluster shows only once.
    pub(super) fn keep_token(&self, token: &str) -> Result<String, CliError> {
        let path = self.token_file();
        write_private(&path, token).map_err(|cause| io_error("write", &path, cause))?;
        Ok(token.to_owned())
    }

    /// The admin token of the first start.
    pub(super) fn kept_token(&self) -> Result<String, CliError> {
        let path = self.token_file();
        let text = fs::read_to_string(&path).map_err(|cause| io_error("read", &path, cause))?;
        Ok(text.trim().to_owned())
    }

    fn node_folder(&self, id: u64) -> PathBuf {
        self.folder.join(format!("node-{id}"))
    }

    fn join_token_file(&self) -> PathBuf {
        self.folder.join("join-token")
    }

    /// Puts the token where the nodes look for it.
    pub(super) fn give_join_token(&self, token: &str) -> Result<(), CliError> {
        let path = self.join_token_file();
        write_private(&path, token).map_err(|cause| io_error("write", &path, cause))
    }

    fn prepare_node(&self, id: u64, own: Option<&Table>) -> Result<(), CliError> {
        let path = self.config_file(id);
        let is_new = !path.exists();
        if !is_new && own.is_none() {
            return Ok(());
        }
        let folder = self.node_folder(id);
        fs::create_dir_all(&folder).map_err(|cause| io_error("create", &folder, cause))?;
        let addresses = if is_new {
            let taken = self.taken_ports()?;
            free_addresses(&taken).map_err(|cause| io_error("find free ports for", &folder, cause))?
        } else {
            self.addresses(id)?
        };
        let mut config = own.cloned().unwrap_or_default();
        // The objects are the founder's to write; the others would warn of them.
        config.retain(|name, _| id == 1 || OF_EVERY_NODE.contains(&name));
        config.insert("node".to_owned(), Value::Table(self.node_table(id, addresses)));
        config.insert("cluster".to_owned(), Value::Table(self.cluster_table(id, addresses)));
        write_at_once(&path, &config.to_string())
    }

    /// The ports of all nodes that have a file, whether they run or not.
    fn taken_ports(&self) -> Result<BTreeSet<u16>, CliError> {
        let nodes = (1..).take_while(|id| self.config_file(*id).exists());
        let addresses = nodes.map(|id| self.addresses(id)).collect::<Result<Vec<_>, _>>()?;
        Ok(addresses
            .iter()
            .flat_map(|node| [node.client, node.admin, node.peer])
            .map(|at| at.port())
            .collect())
    }

    fn node_table(&self, id: u64, addresses: Addresses) -> Table {
        let data_dir = self.node_folder(id).join("data");
        Table::from_iter([
            ("data_dir".to_owned(), Value::String(data_dir.to_string_lossy().into_owned())),
            ("client_listen".to_owned(), Value::String(addresses.client.to_string())),
            ("admin_listen".to_owned(), Value::String(addresses.admin.to_string())),
            ("drain_ms".to_owned(), Value::Integer(DRAIN_MS)),
            ("unready_ms".to_owned(), Value::Integer(UNREADY_MS)),
        ])
    }

    fn cluster_table(&self, id: u64, addresses: Addresses) -> Table {
        let mut table =
            Table::from_iter([("peer_listen".to_owned(), Value::String(addresses.peer.to_string()))]);
        if id > 1 {
            let file = self.join_token_file().to_string_lossy().into_owned();
            table.insert("join_token_file".to_owned(), Value::String(file));
        }
        table
    }
}

/// Writes a file that nobody ever sees half of.
pub(super) fn write_at_once(path: &Path, text: &str) -> Result<(), CliError> {
    let scratch = path.with_extension("writing");
    let written = write_private(&scratch, text).and_then(|()| fs::rename(&scratch, path));
    written.map_err(|cause| io_error("write", path, cause))
}

/// A configuration file of one's own, once it is known to be a good one.
pub(super) fn read_config(path: &Path) -> Result<Table, CliError> {
    quorate_node::Settings::load(path).map_err(|error| CliError::Config(error.to_string()))?;
    read_table(path)
}

fn read_table(path: &Path) -> Result<Table, CliError> {
    let text = fs::read_to_string(path).map_err(|cause| io_error("read", path, cause))?;
    text.parse().map_err(|error| CliError::Config(format!("{}: {error}", path.display())))
}

/// Below the ports that systems give to outgoing connections (from 32,768 in Linux, from 16,000 in gVisor): one of those
/// could otherwise take a node's port while the node is down.
const PORTS: std::ops::Range<u16> = 10_240..16_000;

/// All three are held until all three are known, so that they differ. The search begins anywhere, so that clusters
/// that start at the same moment hardly meet. What other nodes of this cluster are to have is free as long as they do
/// not run: `taken` says so.
fn free_addresses(taken: &BTreeSet<u16>) -> io::Result<Addresses> {
    let mut drawn = [0; 2];
    getrandom::fill(&mut drawn).map_err(|cause| io::Error::other(cause.to_string()))?;
    let start = PORTS.start + u16::from_le_bytes(drawn) % (PORTS.end - PORTS.start);
    let mut ports = (start..PORTS.end).chain(PORTS.start..start).filter(|port| !taken.contains(port));
    let mut bind = || {
        let free = ports.find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
        free.ok_or_else(|| io::Error::new(io::ErrorKind::AddrInUse, "no port is free"))
    };
    let (client, admin, peer) = (bind()?, bind()?, bind()?);
    Ok(Addresses { client: client.local_addr()?, admin: admin.local_addr()?, peer: peer.local_addr()? })
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

fn io_error(verb: &str, path: &Path, cause: io::Error) -> CliError {
    CliError::Io { what: format!("{verb} {}", path.display()), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_folder_brings_the_same_cluster_back() {
        let folder = tempfile::tempdir().unwrap();
        let addresses = |nodes| {
            let layout = Layout::prepare(folder.path(), None, nodes).unwrap();
            (1..=2).map(|id| layout.addresses(id).unwrap()).collect::<Vec<_>>()
        };
        let before = addresses(2);
        assert_eq!(addresses(3), before);
        assert_ne!(before[0].client, before[0].admin);
    }

    #[test]
    fn no_two_nodes_are_given_one_port() {
        let folder = tempfile::tempdir().unwrap();
        // So many that ports drawn without looking at the others would meet.
        Layout::prepare(folder.path(), None, 150).unwrap();
        let layout = Layout::prepare(folder.path(), None, 300).unwrap();
        assert_eq!(layout.taken_ports().unwrap().len(), 3 * 300);
    }

    #[test]
    fn a_file_of_ones_own_replaces_the_one_before_but_for_the_addresses() {
        let folder = tempfile::tempdir().unwrap();
        let prepared = |text: &str| {
            let own: Table = text.parse().unwrap();
            let layout = Layout::prepare(folder.path(), Some(&own), 2).unwrap();
            let settings = [1, 2].map(|id| quorate_node::Settings::load(&layout.config_file(id)).unwrap());
            (layout.addresses(1).unwrap(), settings)
        };
        let (before, _) = prepared("users = [{ name = \"ann\" }]");
        let (after, [first, second]) =
            prepared("users = [{ name = \"bob\" }, { name = \"cid\" }]\n[log]\nlevel = \"warn\"");
        assert_eq!(after, before);
        assert_eq!((first.beginning.changes.len(), second.beginning.changes.len()), (2, 0));
        assert_eq!((first.log_level.as_str(), second.log_level.as_str()), ("warn", "warn"));
    }

    #[test]
    fn every_node_but_the_first_joins_by_a_token_and_the_first_waits_to_be_told() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::prepare(folder.path(), None, 2).unwrap();
        let first_start =
            |id| quorate_node::Settings::load(&layout.config_file(id)).unwrap().cluster.first_start;
        assert_eq!(first_start(1), quorate_node::FirstStart::Wait);
        assert_eq!(first_start(2), quorate_node::FirstStart::Join(layout.join_token_file()));
    }
}
