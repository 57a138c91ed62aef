//! What the server tells of itself and its clients in messages.

mod client_info;

pub(crate) use client_info::{ClientInfo, Detail, REQUEST_INFO};
