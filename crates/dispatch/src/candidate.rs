//! Which message is next.

use jetsled_jetstream_api::Nanos;

use crate::consumer::Consumer;
use crate::delivery::WaitFor;
use crate::event::{Context, RemovedBy};
use crate::view::MessageMeta;

/// How long nothing is delivered after the stream could not be read.
const READ_AGAIN_AFTER: Nanos = Nanos::from_secs(1);

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
            && let Some(candidate) = self.next_redelivery(ctx)?
        {
            return Ok(candidate);
        }
        if self.state.pending.len() >= self.rules.max_ack_pending {
            return Err(WaitFor::Acks);
        }
        let meta = if self.state.skip_list.is_some() {
            match self.next_of_skip_list(ctx)? {
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
                check_readable(ctx)?;
                let last = ctx.view.last_seq();
                self.next = self.next.max(last.next());
                self.num_pending.at_end(last);
                Err(WaitFor::Messages)
            }
        }
    }

    fn next_redelivery(&mut self, ctx: &mut Context<'_>) -> Result<Option<Candidate>, WaitFor> {
        while let Some(message) = self.redelivery.peek(&self.state.pending).copied() {
            let seq = message.stream_seq;
            if message.deliveries >= self.rules.max_deliver {
                self.exhaust(seq, ctx);
                continue;
            }
            if let Some(meta) = ctx.view.meta(seq) {
                return Ok(Some(Candidate {
                    meta,
                    delivered_before: message.deliveries,
                    is_new: false,
                }));
            }
            check_readable(ctx)?;
            self.drop_removed(seq, RemovedBy::Limit, ctx);
        }
        Ok(None)
    }

    fn next_of_skip_list(&mut self, ctx: &mut Context<'_>) -> Result<Option<MessageMeta>, WaitFor> {
        while let Some(list) = &mut self.state.skip_list {
            if let Some(seq) = list.seqs.front().copied() {
                if let Some(meta) = ctx.view.meta(seq) {
                    return Ok(Some(meta));
                }
                check_readable(ctx)?;
                list.seqs.pop_front();
                self.num_pending.take();
            }
            if list.seqs.is_empty() {
                self.next = self.next.max(list.resume.next());
                self.state.skip_list = None;
            }
        }
        Ok(None)
    }
}

/// What the stream has just not shown is not there.
fn check_readable(ctx: &Context<'_>) -> Result<(), WaitFor> {
    if ctx.view.is_unreadable() {
        Err(WaitFor::Time(ctx.now.saturating_add(READ_AGAIN_AFTER)))
    } else {
        Ok(())
    }
}
