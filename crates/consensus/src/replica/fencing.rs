//! Looks for those that were left behind when the cluster was recovered, so that they learn of it also when they only talk among
//! themselves. The handshake tells them: their card is of an older lineage.

use super::core::Core;
use crate::transport::{Lane, Request};
use futures_util::future::join_all;
use quorate_domain::NodeId;
use quorate_membership::Membership;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long two of them could serve before they are found. Where nobody listens, a look costs one packet.
const EVERY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs until the replica stops.
pub(super) async fn run(core: Arc<Core>) {
    loop {
        tokio::time::sleep(EVERY).await;
        if core.leads() {
            look(&core).await;
        }
    }
}

async fn look(core: &Core) {
    let wanted = wanted(&core.state.membership.read());
    let looks = wanted.into_iter().map(|(node, address)| async move {
        let link = core.links.to(node, &address);
        // What they answer does not matter: who gets so far as to answer is told who asks.
        let _ = link.ask(Lane::Control, &Request::ReadIndex, PATIENCE).await;
    });
    join_all(looks).await;
}

/// Who is looked for, and where; not where a member listens now.
fn wanted(members: &Membership) -> Vec<(NodeId, String)> {
    let taken: BTreeSet<&str> = members.iter().map(|(_, record)| record.address()).collect();
    let fenced =
        members.fence().nodes().iter().filter(|(_, fenced)| !taken.contains(fenced.address.as_str()));
    fenced.map(|(node, fenced)| (*node, fenced.address.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_domain::{BootId, ClusterId, LogTime, Secret};
    use quorate_membership::{
        Admission, Command, Founding, Levels, NewToken, PlanId, Profile, Recovery, Root, StorageId, TokenId,
    };

    const NOW: LogTime = LogTime::from_millis(1);

    fn profile(address: &str) -> Profile {
        Profile {
            name: None,
            zone: None,
            peer_address: address.to_owned(),
            admin_address: String::new(),
            release: String::new(),
            levels: Levels::OURS,
        }
    }

    fn token(id: u64) -> Command {
        let (token, until) = (TokenId::new(id), LogTime::from_millis(9));
        Command::CreateToken(NewToken { token, digest: [0; 32], until, uses: 9, actor: String::new() })
    }

    fn admit(token: u64, storage: u64, address: &str) -> Command {
        let (token, storage) = (TokenId::new(token), StorageId::new(storage));
        Command::Admit(Admission { token, storage, profile: profile(address) })
    }

    #[test]
    fn who_was_left_behind_is_looked_for_until_a_member_listens_there() {
        let root = Root {
            certificate: vec![1],
            key: Secret::new([1; 32]),
            since: NOW,
            until: LogTime::from_millis(9),
        };
        let (cluster, storage, boot) = (ClusterId::new(1), StorageId::new(1), BootId::default());
        let founding = Founding { cluster, storage, profile: profile("a:1"), root, starts: 1, boot };
        let mut members = Membership::default();
        for command in [Command::Found(founding), token(1), admit(1, 2, "b:1"), admit(1, 3, "c:1")] {
            members.apply(NOW, command);
        }
        assert_eq!(wanted(&members), []);
        let recovery = Recovery { keeper: NodeId::new(1), plan: PlanId::new(5) };
        members.apply(NOW, Command::Recover(recovery));
        let at = |node, address: &str| (NodeId::new(node), address.to_owned());
        assert_eq!(wanted(&members), [at(2, "b:1"), at(3, "c:1")]);
        members.apply(NOW, token(2));
        members.apply(NOW, admit(2, 4, "b:1"));
        assert_eq!(wanted(&members), [at(3, "c:1")]);
    }
}
