//! Errors of transforms and mappings, in nats-server's words.

/// Why a transform was refused. The texts are nats-server 2.15.1's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransformError {
    /// Source or destination is not a valid subject, `>` is not in both or neither, or the
    /// destination has a bare `*`.
    #[error("invalid subject")]
    InvalidSubject,
    /// A destination token is no well-formed function.
    #[error("invalid mapping destination: invalid transform{}{token}", if token.is_empty() { "" } else { " in " })]
    InvalidTransform {
        /// The token, empty if it is not told.
        token: String,
    },
    /// Imports must use all wildcards.
    #[error("invalid mapping destination: not using all of the token wildcard(s) in {token}")]
    NotUsingAllWildcards {
        /// The whole destination.
        token: String,
    },
    /// No function has that name.
    #[error("invalid mapping destination: unknown function in {token}")]
    UnknownFunction {
        /// The token.
        token: String,
    },
    /// The source has fewer wildcards.
    #[error("invalid mapping destination: wildcard index out of range in {token}")]
    WildcardIndexOutOfRange {
        /// The token, with `: [<index>]` where the index is known.
        token: String,
    },
    /// Too few arguments.
    #[error("invalid mapping destination: not enough arguments passed to the function in {token}")]
    NotEnoughArguments {
        /// The token.
        token: String,
    },
    /// An argument is not a number or otherwise unusable.
    #[error(
        "invalid mapping destination: function argument is invalid or in the wrong format in {token}"
    )]
    InvalidArgument {
        /// The token.
        token: String,
    },
    /// Too many arguments.
    #[error("invalid mapping destination: too many arguments passed to the function in {token}")]
    TooManyArguments {
        /// The token.
        token: String,
    },
    /// A function other than `wildcard` in an import.
    #[error(
        "invalid mapping destination: the only mapping function allowed for import transforms is {{{{Wildcard()}}}} in {token}"
    )]
    NotSupportedForImport {
        /// The token.
        token: String,
    },
}

/// Why a mapping was refused. The texts are nats-server 2.15.1's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// The weights of one cluster group sum to more than 100.
    #[error("total weight needs to be <= 100")]
    TotalWeight,
    /// One destination's weight is more than 100.
    #[error("individual weights need to be <= 100")]
    Weight,
    /// The same destination twice in one cluster group.
    #[error("duplicate entry for {0:?}")]
    DuplicateDestination(String),
    /// A source or destination is bad.
    #[error(transparent)]
    Transform(#[from] TransformError),
}
