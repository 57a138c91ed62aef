//! What accounts share with each other: exports and imports of streams and services.
//!
//! [`Sharing`] is one account's wishes as configured or claimed. [`Exchange::build`] checks those of all accounts
//! against each other, in nats-server's order and words, and keeps what is granted.

mod cycle;
mod error;
mod exchange;
mod export;
mod granted;
mod import;
mod local_subject;
#[cfg(test)]
mod tests;

pub use error::SharingError;
pub use exchange::{AccountExchange, Exchange};
pub use export::{
    Audience, Export, ExportKind, LatencySampling, LatencyTracking, ResponseType, ServiceExport,
};
pub use granted::{GrantedService, GrantedStream};
pub use import::{Import, LocalSubject, ServiceImport, StreamImport};

/// What one account exports and imports.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sharing {
    /// In the order given.
    pub exports: Vec<Export>,
    /// In the order given.
    pub imports: Vec<Import>,
}
