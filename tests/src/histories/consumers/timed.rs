//! What time does to unacked messages.

use super::Maker;
use crate::histories::step::Step;

impl Maker {
    /// One round of what time does: each begins and ends with nothing outstanding.
    pub(super) fn timed(&mut self) {
        let name = "t";
        let config = match self.random.below(4) {
            0 => "\"ack_wait\":2000000000",
            1 => "\"backoff\":[1500000000,3000000000]",
            2 => "\"ack_wait\":2000000000,\"max_deliver\":2",
            _ => "\"ack_wait\":2000000000,\"max_ack_pending\":2",
        };
        let batch = 1 + self.random.below(3);
        self.api(
            format!("CONSUMER.CREATE.S.{name}"),
            &format!(
                "{{\"stream_name\":\"S\",\"config\":{{\"durable_name\":\"{name}\",\"ack_policy\":\"explicit\",{config}}}}}"
            ),
        );
        self.publish();
        self.publish();
        self.api(
            format!("CONSUMER.MSG.NEXT.S.{name}"),
            &format!("{{\"batch\":{batch},\"no_wait\":true}}"),
        );
        if self.random.chance(60) {
            let body = self.random.pick(&["+ACK", "+TERM"]);
            self.steps.push(Step::Ack {
                back: 0,
                body: body.to_owned(),
                confirm: true,
            });
        }
        self.steps.push(Step::Wait { millis: 2700 });
        self.api(
            format!("CONSUMER.MSG.NEXT.S.{name}"),
            "{\"batch\":4,\"no_wait\":true}",
        );
        for back in 0..4 {
            self.steps.push(Step::Ack {
                back,
                body: "+ACK".to_owned(),
                confirm: true,
            });
        }
        self.api(format!("CONSUMER.INFO.S.{name}"), "");
        self.api(format!("CONSUMER.DELETE.S.{name}"), "");
    }
}
