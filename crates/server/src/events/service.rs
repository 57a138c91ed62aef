//! The services and their names.

/// What a request below `$SYS.REQ` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// `$SYS.REQ.SERVER.PING.<name>` and `$SYS.REQ.SERVER.<id>.<name>`.
    Server(ServerService),
    /// `$SYS.REQ.ACCOUNT.<account>.<name>`.
    Account(AccountService),
    /// The same of the account in which it is asked.
    OwnAccount(AccountService),
    /// Traffic of all accounts.
    AllAccounts,
    /// How many subscriptions an account has to a subject.
    SubscriptionCount,
    /// Who asks.
    UserInfo,
    /// How many subscribers the asking account has to a subject.
    Subscribers,
    /// All streams of an account go: `$JS.API.ACCOUNT.PURGE.<account>`.
    AccountPurge,
    /// What only the leader of a cluster answers: a server alone says nothing.
    OfCluster,
}

/// What can be asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerService {
    Idz,
    Statsz,
    Varz,
    Subsz,
    Connz,
    Routez,
    Gatewayz,
    Leafz,
    Accountz,
    Jsz,
    Healthz,
    Raftz,
    Kick,
    LameDuck,
}

impl ServerService {
    /// Those that every server answers, by name.
    pub(super) const ANSWERED_BY_ALL: [(Self, &'static str); 12] = [
        (Self::Idz, "IDZ"),
        (Self::Statsz, "STATSZ"),
        (Self::Varz, "VARZ"),
        (Self::Subsz, "SUBSZ"),
        (Self::Connz, "CONNZ"),
        (Self::Routez, "ROUTEZ"),
        (Self::Gatewayz, "GATEWAYZ"),
        (Self::Leafz, "LEAFZ"),
        (Self::Accountz, "ACCOUNTZ"),
        (Self::Jsz, "JSZ"),
        (Self::Healthz, "HEALTHZ"),
        (Self::Raftz, "RAFTZ"),
    ];
    /// Those that are asked of one server.
    pub(super) const ANSWERED_BY_ONE: [(Self, &'static str); 2] =
        [(Self::Kick, "KICK"), (Self::LameDuck, "LDM")];
}

/// What can be asked of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccountService {
    Subsz,
    Connz,
    Leafz,
    Jsz,
    Info,
    Statz,
    Conns,
}

impl AccountService {
    pub(super) const ALL: [(Self, &'static str); 7] = [
        (Self::Subsz, "SUBSZ"),
        (Self::Connz, "CONNZ"),
        (Self::Leafz, "LEAFZ"),
        (Self::Jsz, "JSZ"),
        (Self::Info, "INFO"),
        (Self::Statz, "STATZ"),
        (Self::Conns, "CONNS"),
    ];
}

impl Service {
    /// Whether it does something even if nobody waits for a reply.
    pub(super) fn acts(self) -> bool {
        matches!(
            self,
            Self::Server(ServerService::Kick | ServerService::LameDuck) | Self::AccountPurge
        )
    }
}
