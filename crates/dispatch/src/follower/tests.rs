use jetsled_jetstream_api::{
    AckNumbers, AckSubjectPrefix, ApiError, ConsumerSeq, ExternalStream, Nanos, SourceInfo,
    StreamConsumerSource, StreamSeq, StreamSource, SubjectTransform, Timestamp,
};

use super::*;

/// A follower with a clock and what it wanted done last.
struct World {
    follower: Follower,
    tail: Tail,
    now: Timestamp,
    out: Vec<FollowerCommand>,
}

fn source(name: &str) -> StreamSource {
    StreamSource {
        name: name.to_owned(),
        ..StreamSource::default()
    }
}

fn tail(messages: u64, first: u64, last: u64) -> Tail {
    Tail {
        messages,
        first: StreamSeq(first),
        last: StreamSeq(last),
        last_time: if last == 0 {
            Timestamp::UNSET
        } else {
            Timestamp(77)
        },
    }
}

impl World {
    fn new(kind: FollowKind, source: StreamSource, position: u64, tail: Tail) -> Self {
        let sources = match kind {
            FollowKind::Mirror => Vec::new(),
            FollowKind::Source => vec![source.clone()],
        };
        let plan = FollowPlan::new(kind, &source, &sources, "S", "$G", None);
        let now = Timestamp(1_000_000_000_000);
        Self {
            follower: Follower::new(plan, StreamSeq(position), "", now, 7),
            tail,
            now,
            out: Vec::new(),
        }
    }

    fn mirror() -> Self {
        Self::new(FollowKind::Mirror, source("O"), 0, tail(0, 1, 0))
    }

    fn source() -> Self {
        Self::new(FollowKind::Source, source("O"), 0, tail(0, 1, 0))
    }

    /// Lets time pass until the follower has something to do; answers how long that took.
    fn wake(&mut self) -> Nanos {
        let before = self.now;
        self.now = self.now.max(self.follower.next_wake());
        self.out.clear();
        self.follower.on_time(&self.tail, self.now, &mut self.out);
        self.now.since(before)
    }

    fn asked(&mut self) -> FollowRequest {
        self.wake();
        match self.out.pop() {
            Some(FollowerCommand::Ask(request)) => request,
            other => panic!("a request was expected: {other:?}"),
        }
    }

    fn answer(&mut self, identity: &str, body: &str) {
        self.out.clear();
        let answer = Answer {
            request: self.follower.requests(),
            identity,
            body: body.as_bytes(),
        };
        self.follower
            .on_answer(&answer, &self.tail, self.now, &mut self.out);
    }

    fn created(&mut self, identity: &str, delivered: u64) {
        self.answer(
            identity,
            &format!(
                r#"{{"type":"t","stream_name":"O","name":"C","config":{{"name":"C","ack_policy":"none","deliver_subject":"d"}},"delivered":{{"consumer_seq":0,"stream_seq":{delivered}}}}}"#
            ),
        );
    }

    fn refused(&mut self, error: &ApiError) {
        let error = serde_json::to_string(error).expect("plain data");
        self.answer("", &format!(r#"{{"type":"t","error":{error}}}"#));
    }

    fn message(&mut self, stream_seq: u64, consumer_seq: u64) -> bool {
        let mut reply = Vec::new();
        let numbers = AckNumbers {
            delivered: 1,
            stream_seq: StreamSeq(stream_seq),
            consumer_seq: ConsumerSeq(consumer_seq),
            timestamp: Timestamp(5),
            pending: 3,
        };
        AckSubjectPrefix::new("O", "C").write(&numbers, &mut reply);
        let inbound = Inbound {
            reply: &reply,
            headers: b"",
            payload: b"x",
        };
        match self.inbound(&inbound) {
            Verdict::Store { seq, .. } => {
                self.follower.on_stored(seq);
                true
            }
            Verdict::Done | Verdict::Early => false,
        }
    }

    fn control(&mut self, reply: &str, headers: &str) {
        let headers = format!("NATS/1.0 100 {headers}\r\n\r\n");
        let inbound = Inbound {
            reply: reply.as_bytes(),
            headers: headers.as_bytes(),
            payload: b"",
        };
        assert_eq!(self.inbound(&inbound), Verdict::Done);
    }

    fn inbound(&mut self, inbound: &Inbound<'_>) -> Verdict {
        self.out.clear();
        self.follower.on_message(inbound, self.now, &mut self.out)
    }

    fn info(&self) -> SourceInfo {
        self.follower.plan().info(&self.follower.status(), self.now)
    }

    /// Whether it has left its consumer.
    fn started_over(&self) -> bool {
        self.out == [FollowerCommand::Silence]
    }
}

/// The body of a request as recorded from nats-server 2.15.1, with the name of the deliver subject left out.
fn body(request: &FollowRequest) -> String {
    let text = String::from_utf8(request.body.clone()).expect("JSON is text");
    let at = text.find(r#""deliver_subject":""#).expect("it has one") + 19;
    let end = at + text[at..].find('"').expect("it ends");
    let deliver = &text[at..end];
    let (prefix, unique) = deliver.rsplit_once('.').expect("it has a last token");
    assert_eq!(unique.len(), 8);
    format!("{}{prefix}.*{}", &text[..at], &text[end..])
}

#[test]
fn requests_are_those_of_nats_server() {
    let request = World::mirror().asked();
    assert_eq!(request.subject, "$JS.API.CONSUMER.CREATE.O");
    assert_eq!(
        request.headers,
        [("Nats-Required-Api-Level", "4".to_owned())]
    );
    let plan = FollowPlan::new(FollowKind::Mirror, &source("O"), &[], "M", "$G", None);
    assert_eq!(plan.consumer, "JS_MIRROR_ih8eMwqr");
    let plan = FollowPlan::new(
        FollowKind::Source,
        &source("W"),
        &[source("W")],
        "WS",
        "$G",
        None,
    );
    assert_eq!(plan.consumer, "JS_SRC_7ldIkT71");
    assert_eq!(
        delete_request(&plan).as_deref(),
        Some("$JS.API.CONSUMER.DELETE.W.JS_SRC_7ldIkT71")
    );

    let request = World::source().asked();
    assert_eq!(request.subject, "$JS.API.CONSUMER.CREATE.O");
    assert_eq!(
        request.headers,
        [
            ("Nats-Required-Api-Level", "5".to_owned()),
            ("Nats-Stream-Identity", String::new())
        ]
    );
    assert_eq!(
        body(&request),
        r#"{"stream_name":"O","config":{"name":"JS_SRC_WzTkS8Hu","deliver_policy":"all","ack_policy":"none","ack_wait":79200000000000,"max_deliver":1,"replay_policy":"instant","flow_control":true,"deliver_subject":"$JS.S.*","idle_heartbeat":1000000000,"inactive_threshold":10000000000,"num_replicas":0,"direct":true,"sourcing":true,"metadata":{"_nats.src.acc":"$G","_nats.src.stream":"S"}},"action":""}"#
            .replace("JS_SRC_WzTkS8Hu", &World::source().follower.plan.consumer)
    );
}

#[test]
fn consumers_of_one_origin_have_names_of_their_own() {
    let filtered = StreamSource {
        filter_subject: "o.1".to_owned(),
        ..source("O")
    };
    let transform = |src: &str, dest: &str| SubjectTransform {
        src: src.to_owned(),
        dest: dest.to_owned(),
    };
    let renamed = StreamSource {
        subject_transforms: vec![transform("o.2", "x.2"), transform("o.0", "")],
        ..source("O")
    };
    let sources = [source("O"), filtered, renamed];
    let names = sources.iter().map(|source| {
        FollowPlan::new(FollowKind::Source, source, &sources, "S", "$G", None).consumer
    });
    // Recorded from nats-server 2.15.1.
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["JS_SRC_d6kRLE5k", "JS_SRC_lzmVNe9k", "JS_SRC_Rvy65d1J"]
    );
}

#[test]
fn a_mirror_shows_its_filter_once_it_has_asked() {
    let filtered = StreamSource {
        filter_subject: "o.1".to_owned(),
        ..source("O")
    };
    for (kind, before) in [(FollowKind::Mirror, ""), (FollowKind::Source, "o.1")] {
        let mut world = World::new(kind, filtered.clone(), 0, tail(0, 1, 0));
        assert_eq!(world.info().filter_subject, before, "{kind:?}");
        world.asked();
        assert_eq!(world.info().filter_subject, "o.1", "{kind:?}");
    }
}

#[test]
fn filters_and_prefixes_are_part_of_the_request() {
    let origin = StreamSource {
        filter_subject: "o.*".to_owned(),
        external: Some(ExternalStream {
            api: "JS.hub.API".to_owned(),
            deliver: "D".to_owned(),
        }),
        ..source("O")
    };
    let mut world = World::new(FollowKind::Mirror, origin, 0, tail(0, 1, 0));
    let consumer = world.follower.plan.consumer.clone();
    let request = world.asked();
    assert_eq!(
        request.subject,
        format!("JS.hub.API.CONSUMER.CREATE.O.{consumer}.o.*")
    );
    assert!(body(&request).contains(r#""deliver_subject":"D.M.*""#));
}

#[test]
fn it_asks_behind_what_it_has() {
    let check = |kind, source: StreamSource, position, tail: Tail, want: &str| {
        let request = World::new(kind, source, position, tail).asked();
        let text = String::from_utf8(request.body).expect("JSON is text");
        assert!(text.contains(want), "{want} in {text}");
    };
    let by_seq = StreamSource {
        opt_start_seq: StreamSeq(9),
        ..source("O")
    };
    let by_time = StreamSource {
        opt_start_time: Some(Timestamp(10)),
        ..source("O")
    };
    let (mirror, source_kind) = (FollowKind::Mirror, FollowKind::Source);
    let at = |seq: u64| format!(r#""deliver_policy":"by_start_sequence","opt_start_seq":{seq},"#);
    let since = |time: &str| {
        format!(
            r#""deliver_policy":"by_start_time","opt_start_time":"1970-01-01T00:00:00.{time}Z""#
        )
    };
    check(
        mirror,
        source("O"),
        0,
        tail(0, 1, 0),
        r#""deliver_policy":"all""#,
    );
    check(mirror, by_seq.clone(), 0, tail(0, 1, 0), &at(9));
    check(mirror, by_seq.clone(), 0, tail(3, 1, 20), &at(21));
    check(
        mirror,
        by_time.clone(),
        0,
        tail(0, 1, 0),
        &since("00000001"),
    );
    check(source_kind, by_seq, 0, tail(3, 1, 20), &at(9));
    check(source_kind, source("O"), 4, tail(3, 1, 20), &at(5));
    check(source_kind, by_time, 0, tail(3, 1, 20), &since("000000077"));
    check(
        source_kind,
        source("O"),
        0,
        tail(3, 18, 20),
        &since("000000077"),
    );
    check(
        source_kind,
        source("O"),
        0,
        tail(3, 1, 20),
        r#""deliver_policy":"all""#,
    );
}

#[test]
fn messages_in_order_are_stored_and_gaps_of_a_mirror_are_the_origins() {
    let mut world = World::mirror();
    world.asked();
    world.created("", 0);
    assert_eq!(world.out, [FollowerCommand::Listen("d".to_owned())]);
    assert!(world.message(1, 1));
    assert!(world.message(2, 2));
    assert!(!world.message(2, 2), "what it has is ignored");
    assert!(world.message(9, 3), "3 to 8 are gone in the origin");
    assert!(!world.message(11, 5), "a delivery is missing");
    assert!(world.started_over());
    world.tail = tail(3, 1, 9);
    let text = String::from_utf8(world.asked().body).expect("JSON is text");
    assert!(text.contains(r#""opt_start_seq":10,"#), "{text}");
}

#[test]
fn a_mirror_starts_where_the_origin_does() {
    let mut world = World::mirror();
    world.asked();
    world.created("", 41);
    assert_eq!(world.out[0], FollowerCommand::SkipTo(StreamSeq(41)));
    assert!(world.message(42, 1));
    assert_eq!(world.info().lag, 2);
}

#[test]
fn a_source_takes_only_deliveries_in_order() {
    let mut world = World::source();
    world.asked();
    world.created("id", 0);
    assert!(world.message(5, 1));
    assert!(world.message(7, 2));
    assert!(!world.message(8, 4));
    assert!(world.started_over());
    let request = world.asked();
    assert_eq!(
        request.headers[1],
        ("Nats-Stream-Identity", "id".to_owned())
    );
    let text = String::from_utf8(request.body).expect("JSON is text");
    assert!(text.contains(r#""opt_start_seq":8,"#), "{text}");
    assert_eq!(world.info().seq, StreamSeq(7));
}

#[test]
fn an_origin_made_anew_is_copied_from_its_start() {
    let mut world = World::source();
    world.asked();
    world.created("old", 0);
    assert!(world.message(5, 1));
    assert!(world.wake() >= SILENCE);
    assert!(world.started_over());
    world.asked();
    world.refused(&ApiError::consumer_stream_identity_mismatch("new"));
    assert!(world.started_over());
    let request = world.asked();
    assert_eq!(request.headers[1].1, "");
    let text = String::from_utf8(request.body).expect("JSON is text");
    assert!(text.contains(r#""deliver_policy":"all""#), "{text}");
    world.created("new", 0);
    assert_eq!(world.out[0], FollowerCommand::Recreated);
    assert!(world.message(1, 1));
    assert_eq!(world.follower.identity(), "new");
}

#[test]
fn older_servers_are_asked_for_less() {
    let mut world = World::source();
    world.asked();
    world.refused(&ApiError::REQUIRED_API_LEVEL);
    let [FollowerCommand::Listen(_), FollowerCommand::Ask(request)] = &world.out[..] else {
        panic!("it asks again: {:?}", world.out)
    };
    assert_eq!(
        request.headers,
        [("Nats-Required-Api-Level", "4".to_owned())]
    );
    world.refused(&ApiError::invalid_json("unknown field"));
    let [FollowerCommand::Listen(_), FollowerCommand::Ask(request)] = &world.out[..] else {
        panic!("it asks again: {:?}", world.out)
    };
    assert_eq!(request.headers, []);
    let text = String::from_utf8_lossy(&request.body);
    assert!(!text.contains("sourcing"), "{text}");
    let own_name = format!(r#""name":"{}_"#, world.follower.plan.consumer);
    assert!(text.contains(&own_name), "{text}");
    world.created("", 0);
    assert!(world.message(1, 1));
}

#[test]
fn refusals_and_silence_are_answered_with_patience() {
    let mut world = World::mirror();
    for failures in 1..=15 {
        world.asked();
        world.refused(&ApiError::STREAM_NOT_FOUND);
        assert_eq!(world.info().error, Some(ApiError::STREAM_NOT_FOUND));
        let waits = world.follower.next_wake().since(world.now);
        let least = 2_000_000_000 + (10_000_000_000 * failures).min(120_000_000_000);
        assert!(
            (least + 100_000_000..least + 200_000_000).contains(&waits.get()),
            "{failures}: {waits}"
        );
    }
    world.asked();
    assert_eq!(world.wake(), CREATE_PATIENCE);
    assert_eq!(world.follower.failures, 16);
    world.asked();
    world.created("", 0);
    assert_eq!(world.info().error, None);
    world.control("", "Idle Heartbeat\r\nNats-Last-Consumer: 0");
    assert_eq!(world.wake(), SILENCE);
    assert!(world.started_over());
}

#[test]
fn heartbeats_tell_of_what_is_missing_and_of_stalls() {
    let mut world = World::source();
    world.asked();
    world.created("", 0);
    assert!(world.message(1, 1));
    world.control(
        "",
        "Idle Heartbeat\r\nNats-Last-Consumer: 1\r\nNats-Last-Stream: 1",
    );
    assert_eq!(world.out, []);
    world.control("", "Idle Heartbeat\r\nNats-Consumer-Stalled: fc");
    assert_eq!(world.out, [FollowerCommand::Unstall((*b"fc").into())]);
    world.control("fc.1", "FlowControl Request");
    let confirm = FollowerCommand::Confirm {
        reply: (*b"fc.1").into(),
        consumer_seq: ConsumerSeq(1),
        stream_seq: StreamSeq(1),
    };
    assert_eq!(world.out, [confirm]);
    world.control("", "Idle Heartbeat\r\nNats-Last-Consumer: 2");
    assert!(world.started_over());
}

#[test]
fn a_durable_consumer_is_reset_and_watched_while_it_is_silent() {
    let origin = StreamSource {
        consumer: Some(StreamConsumerSource {
            name: "DUR".to_owned(),
            deliver_subject: "to.me".to_owned(),
        }),
        ..source("O")
    };
    let mut world = World::new(FollowKind::Source, origin, 0, tail(0, 1, 0));
    let request = world.asked();
    assert_eq!(request.subject, "$JS.API.CONSUMER.RESET.O.DUR");
    assert_eq!(request.body, b"");
    world.created("", 0);
    assert_eq!(
        world.info().error,
        Some(ApiError::SOURCE_CONSUMER_REQUIRES_ACK_FC)
    );
    world.asked();
    assert_eq!(world.wake(), RESET_PATIENCE);
    assert_eq!(
        world.out.last(),
        Some(&FollowerCommand::Listen("to.me".to_owned()))
    );
    assert!(world.follower.next_wake().since(world.now) > Nanos::from_secs(20));
    world.control("", "Idle Heartbeat");
    assert!(world.started_over());
    assert!(world.follower.next_wake().since(world.now) < Nanos::from_secs(1));
    world.asked();
    world.answer(
        "",
        r#"{"stream_name":"O","name":"DUR","config":{"ack_policy":"flow_control","deliver_subject":"x"},"delivered":{"stream_seq":3}}"#,
    );
    assert_eq!(world.out, [FollowerCommand::Listen("to.me".to_owned())]);
    assert_eq!(delete_request(&world.follower.plan), None);
}

#[test]
fn what_a_durable_consumer_has_delivered_early_is_not_taken_for_stored() {
    let answer = r#"{"stream_name":"O","name":"C","config":{"ack_policy":"flow_control","deliver_subject":"d"},"delivered":{"consumer_seq":9,"stream_seq":9},"ack_floor":{"stream_seq":4}}"#;
    let mut mirror = World::mirror();
    mirror.asked();
    mirror.answer("", answer);
    assert_eq!(mirror.out[0], FollowerCommand::SkipTo(StreamSeq(4)));
    let mut source = World::source();
    source.asked();
    source.answer("", answer);
    assert!(source.message(5, 1));
    source.control("fc", "FlowControl Request");
    let confirm = FollowerCommand::Confirm {
        reply: (*b"fc").into(),
        consumer_seq: ConsumerSeq(1),
        stream_seq: StreamSeq(5),
    };
    assert_eq!(source.out, [confirm]);
}

#[test]
fn late_answers_and_strange_messages_are_nothing() {
    let mut world = World::source();
    world.asked();
    let late = Answer {
        request: 0,
        identity: "",
        body: b"{}",
    };
    world
        .follower
        .on_answer(&late, &world.tail, world.now, &mut world.out);
    assert!(!world.message(1, 1), "nothing was created yet");
    let early = Inbound {
        reply: b"",
        headers: b"",
        payload: b"x",
    };
    assert_eq!(world.inbound(&early), Verdict::Early);
    world.answer("", "garbage");
    assert!(world.info().error.is_some());
    world.asked();
    world.created("", 0);
    let inbound = Inbound {
        reply: b"$JS.ACK.O.OTHER.1.1.1.1.1",
        headers: b"",
        payload: b"x",
    };
    assert_eq!(world.inbound(&inbound), Verdict::Done);
    let inbound = Inbound {
        reply: b"nonsense",
        ..inbound
    };
    assert_eq!(world.inbound(&inbound), Verdict::Done);
    assert!(world.message(1, 1));
}

#[test]
fn what_could_not_be_stored_is_asked_for_again() {
    let mut world = World::source();
    world.asked();
    world.created("", 0);
    assert!(world.message(1, 1));
    assert!(world.message(4, 2));
    world.out.clear();
    let (now, seq) = (world.now, StreamSeq(4));
    world.follower.on_refused(seq, now, &mut world.out);
    assert!(world.started_over());
    let text = String::from_utf8(world.asked().body).expect("JSON is text");
    assert!(text.contains(r#""opt_start_seq":4,"#), "{text}");
}
