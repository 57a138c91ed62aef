use crate::Port;

/// The `leafnodes` block, which may say where to listen and nothing else: leaf nodes are not supported, and who connects is told so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafnodeOptions {
    /// Address of the listener.
    pub host: String,
    /// Port of the listener.
    pub port: Port,
}
