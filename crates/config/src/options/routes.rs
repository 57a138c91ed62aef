use crate::Port;

/// The listener of the `cluster` block: routes are not supported, and who connects is told so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteOptions {
    /// Address of the listener.
    pub host: String,
    /// Port of the listener.
    pub port: Port,
}
