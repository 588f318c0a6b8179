//! The states that matter in a run of the quota protocol.

crate::reachable! {
    /// A request was admitted from a grant at hand.
    AdmittedLocally,
    /// A request was admitted after waiting in line.
    AdmittedInLine,
    /// A budget went from slices to request by request.
    CentralMode,
    /// And back.
    BackToSlices,
    /// A denial by what no return can change.
    DeniedSpent,
    /// A denial of what is larger than the budget.
    DeniedTooBig,
    /// A denial proven by a round.
    DeniedHeld,
    /// A denial that counts what silent nodes hold as in doubt.
    DeniedUnanswered,
    /// A denial where only what dead sessions hold would have been enough.
    DeniedInDoubt,
    /// A round that proved nothing about holders who had not heard of central mode.
    FirstRound,
    /// A second or later round.
    LaterRound,
    /// An answer to a round that did not know of everything granted.
    AnswerDidNotCount,
    /// An answer to a round did not arrive.
    AnswerLost,
    /// The leader was gone while a round was under way.
    LeaderChangedInRound,
    /// A request got what it needs by name, and had left.
    GrantedToNobody,
    /// A message of a session arrived after a later one.
    OldMessage,
    /// A message of a session arrived a second time.
    SameMessage,
    /// A session was fenced and its node opened another.
    Fenced,
    /// A node's opening of a session arrived when a later life of it had opened one.
    StaleOpening,
    /// A node came back with its journal and something outstanding.
    CrashWithJournal,
    /// A node told of its journal in parts.
    ToldInParts,
    /// A node came back without its journal and something outstanding.
    CrashWithoutJournal,
    /// A node came back with an old copy of its disk.
    DiskRolledBack,
    /// A node died while it wrote its journal, and a part of that is on the disk.
    TornJournal,
    /// The journal's bound was above what may be left of the grant, and was held to it.
    Clamped,
    /// A request settled after its window was over.
    SettledLate,
    /// A window began anew while requests were in line.
    RolledWithLine,
    /// A node was granted of a window that had not begun.
    GrantedAhead,
    /// And spent of it when it had, before anybody asked for it anew.
    SpentUnasked,
    /// A node died with a watermark of a window that had not begun, and came back when it had.
    DiedBeforeItBegan,
    /// A node turned to the next window while requests of the one before were under way.
    TurnedInFlight,
    /// Something leaked out of a bucket for which requests were in line.
    LeakedWithLine,
    /// What a dead session held of a bucket was taken as spent.
    DoubtLeaked,
    /// A last call that cannot be met was passed over, and one behind it served.
    PassedOver,
    /// A provider billed beyond the bound.
    Overrun,
    /// A provider did not say what it bills.
    UsageMissing,
    /// A request used more than it had reserved by estimate.
    BeyondEstimate,
    /// Requests were in line for a bucket in debt.
    WaitedForDebt,
    /// A limit was cut below what was granted.
    CutBelowGranted,
    /// A request waited for the journal.
    WaitedForJournal,
    /// A request held one budget while it waited for the next.
    HeldWhileWaiting,
    /// A node drained and returned everything.
    Drained,
    /// A request was granted less than it might cost, and its answer was cut.
    CutShort,
    /// A request was told that the ledger is out of reach.
    Unavailable,
    /// A request of a key that may was served on a node that was cut off, beyond what grants covered.
    Overspent,
    /// A node spoke that could be heard and not hear, or hear and not be heard.
    CutOffOneWay,
    /// The leader's clock jumped.
    ClockJumped,
    /// A node was granted something that ends by a clock of its own, which runs wrong.
    LapsesByAWrongClock,
    /// A replica was replaced by a snapshot, in which was a grant that its node had not heard of.
    SnapshotMidGrant,
    /// An end user was seen for the first time, and his budget made.
    MetAtFirstSight,
    /// An end user was told of whom another message had told of already.
    MetTwice,
}
