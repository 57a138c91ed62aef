//! Credentials, permissions and sharing: who a connection is, what it may publish and subscribe to, and what accounts
//! take from each other.
//!
//! [`Authenticator`] answers the first question from what CONNECT presents, [`PermissionSet`] the second from the
//! subject; [`jwt`] has the claims of operator mode. All are plain synchronous values: they open no file, read no clock and draw no random number. What a
//! caller may cache (the verdict for a subject) it caches beside its routes.
//!
//! ```
//! use jetsled_auth::{PermissionSet, Permissions, SubjectPermission, SubscribeVerdict};
//!
//! let permissions = Permissions {
//!     publish: Some(SubjectPermission { allow: vec!["orders.>".into()], deny: vec!["orders.secret".into()] }),
//!     ..Permissions::default()
//! };
//! let set = PermissionSet::compile(&permissions).unwrap();
//! assert!(set.may_publish(b"orders.new"));
//! assert!(!set.may_publish(b"orders.secret"));
//! assert_eq!(set.may_subscribe(b"anything", None), SubscribeVerdict::Allowed);
//! ```

mod authenticator;
mod certificate;
mod identity;
pub mod jwt;
mod nkey;
mod permission_set;
mod permissions;
mod redact;
mod response_tracker;
mod secret;
mod sharing;
mod user;

pub use authenticator::{
    AuthConfig, AuthConfigError, AuthError, Authenticator, ConnectCredentials, ConnectionFacts,
    SingleCredential,
};
pub use certificate::{
    CertificateNames, InvalidCertificate, certificate_digest, certificate_end, certificate_subject,
    public_key_digest,
};
pub use identity::{ClaimedUser, Identity, UserLimits};
pub use nkey::{PublicKeyKind, is_account_nkey, is_any_public_nkey, is_public_nkey, is_user_nkey};
pub use permission_set::{PermissionError, PermissionSet, SubscribeVerdict};
pub use permissions::{Permissions, ResponsePermission, SubjectPermission};
pub use redact::{PeerText, REDACTED, redacted};
pub use response_tracker::ResponseTracker;
pub use secret::Secret;
pub use sharing::{
    AccountExchange, Audience, Exchange, Export, ExportKind, GrantedService, GrantedStream, Import,
    LatencySampling, LatencyTracking, LocalSubject, ResponseType, ServiceExport, ServiceImport,
    Sharing, SharingError, StreamImport,
};
pub use user::{ConnectionType, ConnectionTypes, UnknownConnectionType, User, UserCredential};

/// The account of every user that is not defined inside another one.
pub const GLOBAL_ACCOUNT: &str = "$G";
/// The system account that exists when none is configured.
pub const DEFAULT_SYSTEM_ACCOUNT: &str = "$SYS";
