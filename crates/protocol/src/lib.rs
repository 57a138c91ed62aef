//! The NATS wire protocol: operations, headers, subjects and their matching, without IO.
//!
//! Everything here is a plain function or value: bytes in, an operation, an answer or an error out.
//! Sockets, the owners of buffers, permissions and accounts belong to the callers.
//!
//! * [`parse_client_op`] and [`parse_server_op`] read one operation from the front of a buffer.
//! * [`encode`] writes what a server sends (and what a client sends, for test clients).
//! * [`headers`] reads and edits header blocks in place; [`subject`] has the rules of subjects.
//! * [`Sublist`] finds who wants a subject, [`SubjectFilter`] whether a set of patterns does.
//! * [`websocket`] takes the frames apart that carry all this to browsers.
//! * [`SubjectTransform`] and [`SubjectMapping`] rewrite subjects.
//!
//! ```
//! use jetsled_protocol::{ClientOp, Limits, Parse, parse_client_op};
//!
//! let input = b"PUB greet 5\r\nhello\r\nPING\r\n";
//! let Parse::Op { op: ClientOp::Pub(publish), consumed } = parse_client_op(input, &Limits::default())
//! else {
//!     panic!("a complete PUB");
//! };
//! assert_eq!((publish.subject, publish.payload), (&b"greet"[..], &b"hello"[..]));
//! assert_eq!(&input[consumed..], b"PING\r\n");
//! ```

mod client_op;
mod control_line;
pub mod encode;
mod go_quote;
pub mod headers;
mod parse;
mod parse_error;
mod server_op;
pub mod subject;
mod subject_filter;
mod sublist;
mod transform;
pub mod websocket;

pub use client_op::{
    ClientOp, HPub, LastPub, Pub, PubFrames, PubShape, Repeat, Repeats, Sub, Unsub, parse_client_op,
};
pub use go_quote::GoQuoted;
pub use parse::{Limits, Parse};
pub use parse_error::ParseError;
pub use server_op::{HMsg, Msg, ServerOp, parse_server_op};
pub use subject_filter::SubjectFilter;
pub use sublist::{MatchResult, QueueGroup, Sublist, TailIndependence};
pub use transform::{
    MappingDestination, MappingError, SubjectMapping, SubjectTransform, TransformError,
};
