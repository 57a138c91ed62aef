//! Reads by subject, compared with all that a stream holds.

use std::collections::BTreeMap;

use crate::client::Message;
use crate::model::Content;
use crate::plan::SUBJECTS;
use crate::world::World;

impl World {
    /// What is last on every subject, now and as of some sequence, what is last and next on one of them, and how many each has.
    pub(crate) fn compare_reads(&mut self, stream: usize, content: &Content) -> Result<(), String> {
        let (name, prefix) = {
            let plan = &self.streams[stream].plan;
            (plan.name.clone(), plan.prefix())
        };
        let turn = self.figures.checks;
        let mut by_subject: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for (seq, message) in &content.messages {
            by_subject.entry(&message.subject).or_default().push(*seq);
        }
        if !self.damaged {
            // Of what damage took no subject is known: it counts on.
            let counted = by_subject.iter();
            let counted: BTreeMap<_, _> = counted
                .map(|(subject, seqs)| ((*subject).to_owned(), seqs.len() as u64))
                .collect();
            if counted != content.by_subject {
                let told = &content.by_subject;
                return Err(format!(
                    "{name}: on subjects are {told:?}, counted {counted:?}"
                ));
            }
        }
        let span = (content.last + 1).saturating_sub(content.first).max(1);
        let some_seq = content.first + turn * 7 % span;
        let up_to = if turn.is_multiple_of(2) {
            content.last
        } else {
            some_seq
        };
        let mut last: Vec<u64> = by_subject
            .values()
            .filter_map(|seqs| seqs.iter().rfind(|seq| **seq <= up_to).copied())
            .collect();
        last.sort_unstable();
        let up_to = match up_to {
            _ if turn.is_multiple_of(2) => String::new(),
            seq => format!(r#","up_to_seq":{seq}"#),
        };
        let body = format!(r#"{{"multi_last":["{prefix}.>"]{up_to}}}"#);
        self.expect_read(&name, &body, &last)?;
        let subject = format!("{prefix}.{}", SUBJECTS[turn as usize % SUBJECTS.len()]);
        let seqs = by_subject.remove(&*subject).unwrap_or_default();
        let last: Vec<u64> = seqs.last().copied().into_iter().collect();
        self.expect_read(&name, &format!(r#"{{"last_by_subj":"{subject}"}}"#), &last)?;
        let next = seqs.iter().find(|seq| **seq >= some_seq).copied();
        let next: Vec<u64> = next.into_iter().collect();
        let body = format!(r#"{{"seq":{some_seq},"next_by_subj":"{subject}"}}"#);
        self.expect_read(&name, &body, &next)
    }

    /// A direct get must answer with these sequences.
    fn expect_read(&mut self, stream: &str, body: &str, expected: &[u64]) -> Result<(), String> {
        let answers = self.ask(&format!("$JS.API.DIRECT.GET.{stream}"), body)?;
        let seq = |message: &Message| message.header("Nats-Sequence")?.parse().ok();
        let found: Vec<u64> = answers
            .iter()
            .filter(|message| message.status() == 0)
            .filter_map(seq)
            .collect();
        if found != expected {
            let statuses: Vec<_> = answers.iter().map(Message::status).collect();
            return Err(format!(
                "{stream}: {body} answers {found:?} with statuses {statuses:?}, there are {expected:?}"
            ));
        }
        Ok(())
    }
}
