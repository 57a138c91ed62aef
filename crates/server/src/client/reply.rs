//! What the server itself says on a connection.

use jetsled_protocol::encode;

use super::session::Session;
use super::trace;
use crate::info::InfoFor;

impl Session {
    /// Queues bytes for this connection, behind what it is to get already.
    pub(super) fn reply(&mut self, bytes: &[u8]) {
        self.flush
            .get()
            .slot(&self.client, &mut self.own_slot)
            .output
            .copy(bytes);
    }

    pub(super) fn reply_ok(&mut self) {
        if self.login.options.verbose {
            self.reply(encode::OK);
            if trace::is_on() {
                self.client.trace_out("OK");
            }
        }
    }

    pub(super) fn reply_err(&mut self, text: &str) {
        if trace::is_on() {
            self.client.trace_out(format_args!("-ERR {text}"));
        }
        let output = &mut self
            .flush
            .get()
            .slot(&self.client, &mut self.own_slot)
            .output;
        output.with_room(text.len() + 9, |out| encode::err(text, out));
    }

    pub(super) fn send_info(&mut self, connect_info: bool, must_leave: bool) {
        let json = self.server.info(&InfoFor {
            cid: self.client.cid(),
            remote: self.client.remote().ip(),
            transport: self.client.transport(),
            is_first: false,
            nonce: None,
            login: connect_info.then_some(&*self.login),
            must_leave,
        });
        let output = &mut self
            .flush
            .get()
            .slot(&self.client, &mut self.own_slot)
            .output;
        output.with_room(json.len() + 8, |out| encode::info(&json, out));
    }
}
