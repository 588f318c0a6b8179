//! What is asked of the table of nodes, and what comes of it.

use crate::machine::{Command, NodeCommand, NodeOutcome, Outcome, StorageId};
use quorate_domain::{ClusterId, NodeId};

pub(super) fn commands() -> Vec<(&'static str, Command)> {
    let (storage, address) = (StorageId::new(0x5707), "10.0.0.4:7001".to_owned());
    let (node, cluster) = (NodeId::new(4), ClusterId::new(0xC1));
    [
        ("node_found", NodeCommand::Found { cluster, storage, address: address.clone() }),
        ("node_admit", NodeCommand::Admit { storage, address: address.clone() }),
        ("node_readdress", NodeCommand::Readdress { node, address }),
        ("node_remove", NodeCommand::Remove { node }),
    ]
    .map(|(name, command)| (name, Command::Node(command)))
    .into()
}

pub(super) fn outcomes() -> Vec<(&'static str, Vec<Outcome>)> {
    let of_nodes = [
        NodeOutcome::Founded(ClusterId::new(0xC1)),
        NodeOutcome::Admitted(NodeId::new(4)),
        NodeOutcome::Readdressed,
        NodeOutcome::Removed,
        NodeOutcome::Unknown(NodeId::new(5)),
        NodeOutcome::NotFounded,
    ];
    vec![("nodes", of_nodes.map(Outcome::Node).into()), ("forgotten", vec![Outcome::Forgotten])]
}
