//! The claims of operator mode: who signs what, and what a user's claims let it do (jwt library v2 of NATS).
//!
//! A token is `header.claims.signature`, each base64 (raw URL), signed with the Ed25519 nkey in `iss`. Times are
//! arguments; nothing here reads a clock or a file.

mod account;
mod activation;
mod authorization;
mod limits;
mod login;
mod operator;
mod template;
mod token;
mod user;

pub use account::{
    Account, AccountClaims, Export, ExternalAuthorization, Import, JetStreamLimits, OperatorLimits,
    ResponseType, Sampling, ServiceLatency, SigningKey, Trace, TransferType, UserScope,
    WeightedMapping,
};
pub use activation::{Activation, ActivationClaims};
pub use authorization::{
    AuthorizationRequest, AuthorizationRequestClaims, AuthorizationResponse,
    AuthorizationResponseClaims, ClientInformation, ClientTls, PresentedOptions, ServerId,
};
pub use limits::{ConnectWindow, TimeRange};
pub use login::{JwtLogin, Proof};
pub use operator::{Operator, OperatorClaims, TrustedOperators};
pub use token::{Claims, ClaimsBody, JwtError, decode_generic, undecorate};
pub use user::{ResponseClaim, SubjectClaim, User as JwtUser, UserClaims, UserPermissionLimits};
