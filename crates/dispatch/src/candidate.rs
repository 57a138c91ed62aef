//! Which message is next.

use crate::consumer::Consumer;
use crate::delivery::WaitFor;
use crate::event::{Context, RemovedBy};
use crate::view::MessageMeta;

/// The message whose turn it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) meta: MessageMeta,
    /// Deliveries before this one; 0 for a new message.
    pub(crate) delivered_before: u32,
    pub(crate) is_new: bool,
}

impl Consumer {
    /// The message whose turn it is: redeliveries first, then the skip list, then the stream.
    #[inline]
    pub(crate) fn next_candidate(&mut self, ctx: &mut Context<'_>) -> Result<Candidate, WaitFor> {
        self.num_pending
            .refresh(ctx.view, &self.rules.filter, self.next);
        if self.state.pending.queued() > 0
            && let Some(candidate) = self.next_redelivery(ctx)
        {
            return Ok(candidate);
        }
        if self.state.pending.len() >= self.rules.max_ack_pending {
            return Err(WaitFor::Acks);
        }
        let meta = if self.state.skip_list.is_some() {
            match self.next_of_skip_list(ctx) {
                Some(meta) => Some(meta),
                None => ctx.view.next_match(self.next, &self.rules.filter),
            }
        } else {
            ctx.view.next_match(self.next, &self.rules.filter)
        };
        match meta {
            Some(meta) => Ok(Candidate {
                meta,
                delivered_before: 0,
                is_new: true,
            }),
            None => {
                let last = ctx.view.last_seq();
                self.next = self.next.max(last.next());
                self.num_pending.at_end(last);
                Err(WaitFor::Messages)
            }
        }
    }

    fn next_redelivery(&mut self, ctx: &mut Context<'_>) -> Option<Candidate> {
        while let Some(message) = self.redelivery.peek(&self.state.pending).copied() {
            let seq = message.stream_seq;
            if message.deliveries >= self.rules.max_deliver {
                self.exhaust(seq, ctx);
                continue;
            }
            if let Some(meta) = ctx.view.meta(seq) {
                return Some(Candidate {
                    meta,
                    delivered_before: message.deliveries,
                    is_new: false,
                });
            }
            self.drop_removed(seq, RemovedBy::Limit, ctx);
        }
        None
    }

    fn next_of_skip_list(&mut self, ctx: &mut Context<'_>) -> Option<MessageMeta> {
        while let Some(list) = &mut self.state.skip_list {
            if let Some(seq) = list.seqs.front().copied() {
                if let Some(meta) = ctx.view.meta(seq) {
                    return Some(meta);
                }
                list.seqs.pop_front();
                self.num_pending.take();
            }
            if list.seqs.is_empty() {
                self.next = self.next.max(list.resume.next());
                self.state.skip_list = None;
            }
        }
        None
    }
}
