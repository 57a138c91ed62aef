//! Configurations of the consumers in random delivery histories.

use super::{CONSUMERS, Flavour, GROUPS, Maker};

impl Maker {
    /// A consumer's filters as members of its configuration.
    pub(super) fn filters(&mut self) -> Option<String> {
        match self.random.below(4) {
            0 | 1 => {
                let filter = self.filter();
                Some(format!("\"filter_subject\":\"{filter}\""))
            }
            2 => Some("\"filter_subjects\":[\"s.1\",\"s.x.>\"]".to_owned()),
            _ => None,
        }
    }

    /// A consumer that never goes away by itself, whose messages come back only when told to.
    pub(super) fn config(&mut self, name: &str) -> String {
        let flavour = self.flavour;
        let mut members = vec![if self.durable[usize::from(name == CONSUMERS[1])] {
            format!("\"durable_name\":\"{name}\"")
        } else {
            format!("\"name\":\"{name}\",\"inactive_threshold\":3600000000000")
        }];
        if flavour == Flavour::Ordered {
            members.push(format!(
                "\"deliver_subject\":\"{}\",\"ack_policy\":\"none\",\"max_deliver\":1,\"flow_control\":true,\
                 \"idle_heartbeat\":3600000000000,\"mem_storage\":true,\"num_replicas\":1",
                if name == "c" { "d1" } else { "d2" }
            ));
        } else {
            let ack = match self.random.below(10) {
                0 => "none",
                1..=4 if self.acks_all && flavour != Flavour::Priority => "all",
                _ => "explicit",
            };
            members.push(format!("\"ack_policy\":\"{ack}\""));
            if ack != "none" {
                members.push("\"ack_wait\":600000000000".to_owned());
                if !self.removals && self.random.chance(30) {
                    members.push(format!("\"max_ack_pending\":{}", 1 + self.random.below(6)));
                }
            }
            if self.random.chance(25) {
                members.push(format!("\"max_deliver\":{}", 1 + self.random.below(3)));
            }
        }
        match flavour {
            Flavour::Push => members.push(format!(
                "\"deliver_subject\":\"{}\"",
                if name == "c" { "d1" } else { "d2" }
            )),
            Flavour::Queue => members.push(format!(
                "\"deliver_subject\":\"{}\",\"deliver_group\":\"g\"",
                if name == "c" { "d1" } else { "d2" }
            )),
            Flavour::Priority => {
                let policy = self.policies[usize::from(name == CONSUMERS[1])];
                members.push(format!(
                    "{GROUPS},\"priority_policy\":\"{policy}\",\"priority_timeout\":600000000000"
                ));
            }
            Flavour::Pull if self.removals && self.random.chance(25) => members.push(format!(
                "\"max_batch\":{},\"max_waiting\":{}",
                1 + self.random.below(6),
                1 + self.random.below(4)
            )),
            _ => {}
        }
        let index = usize::from(name == CONSUMERS[1]);
        let kept = self.filters[index].clone();
        match self.random.below(8) {
            0 => members.push("\"deliver_policy\":\"last\"".to_owned()),
            1 => members.push("\"deliver_policy\":\"new\"".to_owned()),
            2 if self.lists && kept.is_some() => {
                members.push("\"deliver_policy\":\"last_per_subject\"".to_owned());
            }
            // Of what lies behind the end of the stream, nats-server counts as pending what comes before the start, too.
            3 => members.push(format!(
                "\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":{}",
                1 + self.random.below(self.seq + 1)
            )),
            4 => members.push(
                "\"deliver_policy\":\"by_start_time\",\"opt_start_time\":\"2020-01-01T00:00:00Z\""
                    .to_owned(),
            ),
            _ => {}
        }
        if !self.changes {
            members.extend(kept);
        } else {
            // Never none: nats-server hears no more of new messages when an update takes all filters away.
            let filters = self.filters();
            members.push(filters.unwrap_or_else(|| "\"filter_subject\":\">\"".to_owned()));
        }
        if self.random.chance(10) {
            members.push("\"headers_only\":true".to_owned());
        }
        if self.sampled[index] {
            members.push("\"sample_freq\":\"100\"".to_owned());
        }
        format!("{{{}}}", members.join(","))
    }
}
