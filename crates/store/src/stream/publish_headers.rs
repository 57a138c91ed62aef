//! The headers that steer a publish, found in one pass over the block.

/// The publish headers of a message, each the rest of its line with leading blanks stripped; of several lines with one name the
/// first counts, and names are matched case-sensitively at the start of a line (observed nats-server 2.15.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublishHeaders<'a> {
    pub(crate) msg_id: Option<&'a [u8]>,
    pub(crate) expected_stream: Option<&'a [u8]>,
    pub(crate) expected_last_seq: Option<&'a [u8]>,
    pub(crate) expected_last_subject_seq: Option<&'a [u8]>,
    pub(crate) expected_last_subject_seq_subject: Option<&'a [u8]>,
    pub(crate) expected_last_msg_id: Option<&'a [u8]>,
    pub(crate) rollup: Option<&'a [u8]>,
    pub(crate) ttl: Option<&'a [u8]>,
    pub(crate) increment: Option<&'a [u8]>,
    pub(crate) batch_id: Option<&'a [u8]>,
    pub(crate) schedule: Option<&'a [u8]>,
    pub(crate) schedule_time_zone: Option<&'a [u8]>,
    pub(crate) schedule_next: Option<&'a [u8]>,
    pub(crate) scheduler: Option<&'a [u8]>,
    pub(crate) stream_source: Option<&'a [u8]>,
    pub(crate) marker_reason: Option<&'a [u8]>,
    pub(crate) kv_operation: Option<&'a [u8]>,
    /// Whether there is a `Nats-Request-Info` line.
    pub(crate) request_info: bool,
    /// Whether the first line has a status behind `NATS/1.0`.
    pub(crate) status: bool,
    /// Whether there is anything but [`PublishHeaders::msg_id`].
    pub(crate) more: bool,
}

impl<'a> PublishHeaders<'a> {
    /// Those of a message without headers.
    pub(crate) const NONE: PublishHeaders<'static> = PublishHeaders {
        msg_id: None,
        expected_stream: None,
        expected_last_seq: None,
        expected_last_subject_seq: None,
        expected_last_subject_seq_subject: None,
        expected_last_msg_id: None,
        rollup: None,
        ttl: None,
        increment: None,
        batch_id: None,
        schedule: None,
        schedule_time_zone: None,
        schedule_next: None,
        scheduler: None,
        stream_source: None,
        marker_reason: None,
        kv_operation: None,
        request_info: false,
        status: false,
        more: false,
    };

    /// Scans a whole block. Anything is accepted; lines that are not headers are skipped.
    pub(crate) fn scan(block: &'a [u8]) -> Self {
        let mut found = Self::NONE;
        let mut rest = block;
        let mut first = true;
        while !rest.is_empty() {
            let line;
            (line, rest) = split_line(rest);
            if first {
                first = false;
                found.status = line
                    .strip_prefix(b"NATS/1.0")
                    .is_some_and(|tail| !tail.is_empty());
                found.more = found.status;
            } else if let Some(name) = line.strip_prefix(b"Nats-") {
                found.take(name);
            } else if let Some(value) = line.strip_prefix(b"KV-Operation:") {
                set(&mut found.kv_operation, value);
                found.more = true;
            }
        }
        found
    }

    /// Takes a line that begins with `Nats-`, without that.
    fn take(&mut self, line: &'a [u8]) {
        let Some(colon) = memchr::memchr(b':', line) else {
            return;
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default();
        if name == b"Msg-Id" {
            return set(&mut self.msg_id, value);
        }
        let slot = match name {
            b"Expected-Stream" => &mut self.expected_stream,
            b"Expected-Last-Sequence" => &mut self.expected_last_seq,
            b"Expected-Last-Subject-Sequence" => &mut self.expected_last_subject_seq,
            b"Expected-Last-Subject-Sequence-Subject" => {
                &mut self.expected_last_subject_seq_subject
            }
            b"Expected-Last-Msg-Id" => &mut self.expected_last_msg_id,
            b"Rollup" => &mut self.rollup,
            b"TTL" => &mut self.ttl,
            b"Incr" => &mut self.increment,
            b"Batch-Id" => &mut self.batch_id,
            b"Schedule" => &mut self.schedule,
            b"Schedule-Time-Zone" => &mut self.schedule_time_zone,
            b"Schedule-Next" => &mut self.schedule_next,
            b"Scheduler" => &mut self.scheduler,
            b"Stream-Source" => &mut self.stream_source,
            b"Marker-Reason" => &mut self.marker_reason,
            b"Request-Info" => {
                self.request_info = true;
                self.more = true;
                return;
            }
            _ => return,
        };
        set(slot, value);
        self.more = true;
    }

    /// The subject of the schedule that this message ends (`Nats-Schedule-Next: purge`).
    pub(crate) fn ended_schedule(&self) -> Option<&'a [u8]> {
        let scheduler = self.scheduler.filter(|name| !name.is_empty())?;
        (self.schedule_next == Some(PURGE)).then_some(scheduler)
    }

    /// Whether this message ends its subject's life: a marker is not followed by another one.
    pub(crate) fn is_delete_marker(&self) -> bool {
        self.marker_reason.is_some() || self.kv_operation == Some(b"PURGE")
    }
}

/// The value of `Nats-Schedule-Next` that ends a schedule.
pub(crate) const PURGE: &[u8] = b"purge";

/// The first line of a name counts.
fn set<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8]) {
    if slot.is_none() {
        let blanks = value.iter().take_while(|byte| **byte == b' ').count();
        *slot = value.get(blanks..);
    }
}

/// The first line, and what follows it. Only CR LF ends a line.
fn split_line(block: &[u8]) -> (&[u8], &[u8]) {
    for end in memchr::memchr_iter(b'\n', block) {
        if let Some([line @ .., b'\r']) = block.get(..end) {
            return (line, block.get(end + 1..).unwrap_or_default());
        }
    }
    (block, b"")
}

/// A header's unsigned number; what is not one equals no sequence.
pub(crate) fn parse_seq(value: &[u8]) -> u64 {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(value)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse().ok());
    number.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_occurrence_counts_and_case_matters() {
        let block = b"NATS/1.0\r\nNats-Msg-Id:   a b\r\nnats-rollup: all\r\nNats-Msg-Id: c\r\n X: Nats-TTL: 1\r\nKV-Operation: PURGE\r\n\r\n";
        let found = PublishHeaders::scan(block);
        assert_eq!(found.msg_id, Some(&b"a b"[..]));
        assert_eq!(found.rollup, None);
        assert_eq!(found.ttl, None);
        assert!(found.is_delete_marker());
        assert!(!found.status);
        assert!(PublishHeaders::scan(b"NATS/1.0 503\r\n\r\n").status);
        let found =
            PublishHeaders::scan(b"NATS/1.0\r\nA: x\nNats-Msg-Id: a\r\nNats-TTL: \t1 \r\n\r\n");
        assert_eq!(found.msg_id, None, "only CR LF ends a line");
        assert_eq!(found.ttl, Some(&b"\t1 "[..]), "only spaces are no value");
    }

    #[test]
    fn numbers_that_are_none_equal_no_sequence() {
        assert_eq!(parse_seq(b"12"), 12);
        for bad in [&b""[..], b"-1", b"+1", b"x", b"1 ", b"99999999999999999999"] {
            assert_eq!(parse_seq(bad), u64::MAX, "{bad:?}");
        }
    }
}
