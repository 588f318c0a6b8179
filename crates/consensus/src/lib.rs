//! openraft on RocksDB: log, snapshots, peer transport, membership, leader client, node journal.
