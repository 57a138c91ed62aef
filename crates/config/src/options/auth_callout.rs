/// `auth_callout`: a service decides logins (ADR-26).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthCalloutOptions {
    /// The public account nkey that signs its answers.
    pub issuer: String,
    /// The account that it listens in.
    pub account: String,
    /// Users that log in as configured: the service's own.
    pub auth_users: Vec<String>,
    /// Its public curve key, if requests are to be encrypted.
    pub xkey: Option<String>,
    /// Accounts whose users are decided on; empty is all.
    pub allowed_accounts: Vec<String>,
}
