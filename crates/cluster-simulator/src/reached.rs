//! The states that matter in a run of whole nodes.

quorate_simulator::reachable! {
    /// A request was admitted from a grant at hand.
    AdmittedLocally,
    /// A request was admitted after waiting in line.
    AdmittedInLine,
    /// A request was cut to what there was.
    CutShort,
    /// A budget went from slices to request by request.
    CentralMode,
    /// It did while some way was cut.
    CentralModeWhileCut,
    /// A denial by what no return can change.
    DeniedSpent,
    /// A denial of what is larger than the budget.
    DeniedTooBig,
    /// A denial proven by a round.
    DeniedHeld,
    /// A denial that counts what silent nodes hold as in doubt.
    DeniedDoubtful,
    /// A denial where only what dead sessions hold would have been enough.
    DeniedInDoubt,
    /// A denial because too many run at the same time.
    DeniedPermit,
    /// A denial because too much was spent lately.
    DeniedOfBucket,
    /// A request was told that the ledger is out of reach.
    Unavailable,
    /// A request came to a node whose lease had ended.
    NotFresh,
    /// A node that reached no majority admitted a request.
    MinoritySpent,
    /// A request was sent that spends what nobody granted, because its key may and no majority could be asked.
    Overspent,
    /// A node died that had overspent, and came back.
    DiedOverspent,
    /// The ledger heard of something that was overspent.
    OverspendTold,
    /// A provider's answer was lost, and the request charged in full.
    UsageLost,
    /// A provider broke off in the middle of its answer, and billed later.
    AnswerBroke,
    /// A provider failed, and nothing was charged.
    ProviderFailed,
    /// A provider was gone for good, and the request charged in full.
    ProviderGone,
    /// A provider billed beyond the bound, and the client was told.
    Overrun,
    /// A request used more than it had reserved by estimate.
    BeyondEstimate,
    /// Requests were in line for a bucket in debt.
    WaitedForDebt,
    /// A provider said nothing for longer than the node waits.
    ProviderHung,
    /// A bill came when the window it was reserved in was over.
    BilledLate,
    /// A window began anew while requests were in line for it.
    RolledWithLine,
    /// A node was granted of a window that had not begun.
    GrantedAhead,
    /// A second or later round was under way.
    LaterRound,
    /// A round waited for a holder that did not hear of it, or whose answer did not get through.
    RecallUnanswered,
    /// A node came back with an old copy of its journal, and what it held stayed in doubt.
    DiskRolledBack,
    /// A journal allowed more than was left of a grant, and was held to that.
    Clamped,
    /// Somebody else leads.
    LeaderChanged,
    /// The leader died.
    LeaderCrashed,
    /// Leadership was handed over.
    LeaderTransferred,
    /// A node died while it held grants.
    CrashedWithGrant,
    /// A crash lost what was not synced.
    UnsyncedLost,
    /// A node died with its log unsynced, just after it had said something to a peer.
    DiedAnswering,
    /// A node died with its journal unsynced, just after it had sent a request to a provider.
    DiedSpending,
    /// A node died when its disk had something that nobody was told of.
    DiedUntold,
    /// A node that two camps need for their elections died while it voted.
    VoterDied,
    /// A leader was asked for a read that does not know that another has taken its place.
    FormerLeaderAsked,
    /// A machine vanished without closing its connections.
    Vanished,
    /// A node stood still.
    Paused,
    /// A time of day jumped back.
    ClockJumpedBack,
    /// Log time went forward by more than half an hour at once.
    LogTimeLeapt,
    /// Log time stood still, because the leader's time of day was half an hour behind it.
    LogTimeStood,
    /// Somebody waited for a bucket while log time stood still.
    WaitedInStandingTime,
    /// Syncs of a disk took long.
    DiskSlow,
    /// A connection broke with something on its way.
    ConnectionBroke,
    /// A node far behind got a snapshot.
    SnapshotInstalled,
    /// It did while it held grants.
    SnapshotInstalledWithGrant,
    /// A session was fenced or closed and its node opened another.
    SessionReopened,
    /// A node drained and came back.
    Drained,
    /// A node joined a cluster under load.
    Joined,
    /// A node was removed.
    Removed,
    /// A node was removed that led.
    LeaderRemoved,
    /// A node spent what its session held that was ended already, and did not know it yet.
    SpentWhenFenced,
    /// A write came to nothing, for certain.
    WriteUnavailable,
    /// It is not known whether a write was applied.
    WriteUnknown,
    /// And then it turned out to have been.
    UnknownWriteApplied,
    /// A linearizable read was answered.
    ReadAnswered,
    /// A revocation was acknowledged by all nodes.
    RevokedEverywhere,
    /// A revocation waited until leases had ended.
    RevocationWaitedOut,
    /// A revoked key was refused.
    RevokedKeyRefused,
    /// A key was admitted after its revocation was committed, within the bound.
    RevokedKeyWithinBound,
}
