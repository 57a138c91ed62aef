//! Acks: the subject that names a delivery, and the payload that says what became of it.

mod kind;
mod run;
mod subject;

pub use kind::AckKind;
pub use run::{AckSubjectReader, AckSubjectWriter};
pub use subject::{AckNumbers, AckOrigin, AckSubject, AckSubjectPrefix};
