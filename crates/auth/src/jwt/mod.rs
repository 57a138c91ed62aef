//! The claims of operator mode: who signs what, and what a user's claims let it do (jwt library v2 of NATS).
//!
//! A token is `header.claims.signature`, each base64 (raw URL), signed with the Ed25519 nkey in `iss`.
//! Tokens from before 2020 have another layout and are taken over. Times are
//! arguments; nothing here reads a clock or a file.

mod account;
mod account_limits;
mod account_validation;
mod activation;
mod authorization;
mod layout_1;
mod limits;
mod login;
mod operator;
mod sharing;
mod signing_key;
mod template;
mod token;
mod user;

pub use account::{Account, AccountClaims, ExternalAuthorization, Trace, WeightedMapping};
pub use account_limits::{JetStreamLimits, OperatorLimits};
pub use activation::{Activation, ActivationClaims};
pub use authorization::{
    AuthorizationRequest, AuthorizationRequestClaims, AuthorizationResponse,
    AuthorizationResponseClaims, ClientInformation, ClientTls, PresentedOptions, ServerId,
};
pub use limits::{ConnectWindow, TimeRange};
pub use login::{JwtLogin, Proof};
pub use operator::{Operator, OperatorClaims, TrustedOperators};
pub use sharing::{Export, Import, ResponseType, Sampling, ServiceLatency, TransferType};
pub use signing_key::{SigningKey, UserScope};
pub use token::{Claims, ClaimsBody, JwtError, decode_generic, undecorate};
pub use user::{ResponseClaim, SubjectClaim, User as JwtUser, UserClaims, UserPermissionLimits};
