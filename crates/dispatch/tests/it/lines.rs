//! What a consumer wants done, as lines of text.

use jetsled_dispatch::{Command, Outbox, Target};

/// A command as a line of text.
pub(crate) fn tell(command: &Command, out: &Outbox) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    match command {
        Command::Deliver(delivery) => {
            let to = match delivery.to {
                Target::DeliverSubject => "push".to_owned(),
                Target::Request(index) => text(out.subject(index)),
            };
            let numbers = delivery.numbers;
            let again = match numbers.delivered {
                1 => String::new(),
                count => format!(" again ({count})"),
            };
            let pin = if delivery.pin_id.is_some() {
                " pinned"
            } else {
                ""
            };
            format!(
                "{to}: {} as {}, {} left{again}{pin}",
                numbers.stream_seq, numbers.consumer_seq, numbers.pending
            )
        }
        Command::Status { to, status } => {
            let block = text(&status.header_block());
            let lines: Vec<_> = block.trim_end().lines().collect();
            let line = lines
                .join(" | ")
                .replace("NATS/1.0 ", "")
                .replace("Nats-Pending-", "");
            // The last part of a flow control subject is random.
            let line = match line.find("$JS.FC.S.C.") {
                Some(at) => format!("{}...", &line[..at]),
                None => line,
            };
            format!("{}: {line}", text(to))
        }
        Command::AckReply { to } => format!("{}: confirmed", text(to)),
        Command::Advisory(advisory) => {
            let line = format!("{advisory:?}");
            line.replace("StreamSeq(", "(").replace("ConsumerSeq(", "(")
        }
        Command::Release { first, last } => format!("release {first}-{last}"),
        Command::DeleteInactive => "delete".to_owned(),
    }
}
