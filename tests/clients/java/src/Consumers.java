import io.nats.client.Connection;
import io.nats.client.ConsumeOptions;
import io.nats.client.ConsumerContext;
import io.nats.client.FetchConsumeOptions;
import io.nats.client.FetchConsumer;
import io.nats.client.IterableConsumer;
import io.nats.client.JetStream;
import io.nats.client.JetStreamManagement;
import io.nats.client.JetStreamSubscription;
import io.nats.client.Message;
import io.nats.client.MessageConsumer;
import io.nats.client.Nats;
import io.nats.client.OrderedConsumerContext;
import io.nats.client.PullRequestOptions;
import io.nats.client.PullSubscribeOptions;
import io.nats.client.PushSubscribeOptions;
import io.nats.client.StreamContext;
import io.nats.client.api.AckPolicy;
import io.nats.client.api.ConsumerConfiguration;
import io.nats.client.api.DeliverPolicy;
import io.nats.client.api.OrderedConsumerConfiguration;
import io.nats.client.api.PriorityPolicy;
import io.nats.client.api.ReplayPolicy;
import io.nats.client.api.StreamConfiguration;
import java.time.Duration;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/** Consumers: configurations, pulls in each way of the client, pushes, order, acknowledgements, priority groups. */
final class Consumers extends Scenario {
    private final Told told = new Told();
    private Connection nc;
    private JetStreamManagement jsm;
    private JetStream js;

    @Override
    void run() throws Exception {
        try (Server server = new Server(program, "jetstream { max_mem: 64MB, max_file: 64MB, store_dir: store }\n"); Connection nc = Nats.connect(options(server, told).build())) {
            this.nc = nc;
            jsm = nc.jetStreamManagement();
            js = nc.jetStream();
            configurations();
            pulls();
            subscriptions();
            acknowledgements();
            ordered();
            priorities();
        }
    }

    private void stream(String name, int messages) throws Exception {
        String prefix = name.toLowerCase();
        jsm.addStream(StreamConfiguration.builder().name(name).subjects(prefix + ".>").build());
        for (int i = 1; i <= messages; i++) js.publish(prefix + "." + i % 2, bytes("message " + i));
    }

    private static ConsumerConfiguration.Builder durable(String name) {
        return ConsumerConfiguration.builder().durable(name);
    }

    private void add(String label, ConsumerConfiguration.Builder config) {
        t.attempt(label, () -> jsm.addOrUpdateConsumer("C", config.build()));
    }

    private void configurations() throws Exception {
        t.section("configurations");
        stream("C", 6);
        add("plain", durable("PLAIN"));
        t.attempt("create again", () -> jsm.createConsumer("C", durable("PLAIN").build()).getName());
        t.attempt("create another of its name", () -> jsm.createConsumer("C", durable("PLAIN").maxDeliver(3).build()));
        t.attempt("update a missing one", () -> jsm.updateConsumer("C", durable("MISSING").build()));
        add("full", durable("FULL").description("all of it").ackPolicy(AckPolicy.Explicit).deliverPolicy(DeliverPolicy.ByStartSequence).startSequence(2).ackWait(Duration.ofSeconds(5))
            .maxDeliver(4).filterSubjects("c.0", "c.1").replayPolicy(ReplayPolicy.Original).sampleFrequency("50%").maxPullWaiting(7).maxAckPending(20).headersOnly(true).maxBatch(10)
            .maxExpires(30_000).maxBytes(1000).inactiveThreshold(3_600_000).backoff(1000, 2000, 3000).numReplicas(1).memStorage(true).metadata(Map.of("a", "b")));
        add("push", durable("PUSH").deliverSubject("push.here").ackPolicy(AckPolicy.None).flowControl(5000).rateLimit(100_000).deliverPolicy(DeliverPolicy.New));
        add("paused", durable("PAUSED").pauseUntil(ZonedDateTime.now().plusHours(1)));
        add("last per subject", durable("SUBJECTS").deliverPolicy(DeliverPolicy.LastPerSubject).filterSubject("c.*"));
        add("filter of another stream", durable("X").filterSubject("other"));
        add("overlapping filters", durable("X").filterSubjects("c.*", "c.1"));
        add("more back-off than deliveries", durable("X").backoff(1000, 1000).maxDeliver(1));
        add("group without a policy", durable("X").priorityGroups("g"));
        t.attempt("names", () -> jsm.getConsumerNames("C").stream().sorted().toList());
        t.attempt("list", () -> jsm.getConsumers("C").size());
        t.attempt("info", () -> jsm.getConsumerInfo("C", "FULL"));
        t.attempt("info of a missing one", () -> jsm.getConsumerInfo("C", "MISSING"));
        t.attempt("pause", () -> jsm.pauseConsumer("C", "PLAIN", ZonedDateTime.now().plusHours(1)).isPaused());
        t.attempt("paused", () -> jsm.getConsumerInfo("C", "PLAIN").getPaused());
        t.attempt("resume", () -> jsm.resumeConsumer("C", "PLAIN"));
        t.attempt("reset", () -> jsm.resetConsumer("C", "PLAIN"));
        t.attempt("reset to a sequence", () -> jsm.resetConsumer("C", "PLAIN", 3));
        t.attempt("unpin", () -> jsm.unpinConsumer("C", "PLAIN", "g"));
        t.attempt("delete", () -> jsm.deleteConsumer("C", "PLAIN"));
        t.attempt("delete again", () -> jsm.deleteConsumer("C", "PLAIN"));
    }

    private static List<Object> taken(FetchConsumer fetched) throws Exception {
        List<Object> all = new ArrayList<>();
        for (Message m; (m = fetched.nextMessage()) != null; ) {
            m.ack();
            all.add(new String(m.getData()));
        }
        return all;
    }

    private void pulls() throws Exception {
        t.section("pull");
        stream("P", 30);
        StreamContext stream = nc.getStreamContext("P");
        ConsumerContext consumer = stream.createOrUpdateConsumer(durable("C").maxBatch(50).maxPullWaiting(3).maxExpires(2000).build());
        Message first = consumer.next(1000);
        t.say("next", first);
        first.ack();
        t.attempt("fetch", () -> taken(consumer.fetch(FetchConsumeOptions.builder().maxMessages(4).expiresIn(1000).build())));
        t.attempt("fetch of bytes", () -> taken(consumer.fetch(FetchConsumeOptions.builder().max(300, 20).expiresIn(1000).build())).size() > 2);
        t.attempt("fetch without waiting", () -> taken(consumer.fetch(FetchConsumeOptions.builder().maxMessages(40).noWait().build())).size() > 10);
        t.attempt("nothing", () -> taken(consumer.fetch(FetchConsumeOptions.builder().maxMessages(5).noWaitExpiresIn(1000).build())));
        t.attempt("nothing in time", () -> consumer.next(1000));
        told.all.clear();
        t.attempt("too many", () -> taken(consumer.fetch(FetchConsumeOptions.builder().maxMessages(60).expiresIn(1000).raiseStatusWarnings().build())));
        t.attempt("too long", () -> taken(consumer.fetch(FetchConsumeOptions.builder().maxMessages(1).expiresIn(3000).raiseStatusWarnings().build())));
        t.say("told", told.errors());
        List<String> got = Collections.synchronizedList(new ArrayList<>());
        MessageConsumer consuming = consumer.consume(ConsumeOptions.builder().batchSize(5).expiresIn(2000).build(), m -> {
            got.add(new String(m.getData()));
            m.ack();
        });
        for (int i = 0; i < 20; i++) js.publish("p.x", bytes("consumed " + i));
        until("20 messages", () -> got.size() == 20);
        t.say("consumed", got.size());
        consuming.stop();
        until("its end", consuming::isFinished);
        t.attempt("iterate", () -> {
            try (IterableConsumer iterated = consumer.iterate(ConsumeOptions.builder().batchSize(5).expiresIn(2000).build())) {
                for (int i = 0; i < 10; i++) js.publish("p.x", bytes("iterated " + i));
                Message m = null;
                for (int i = 0; i < 10; i++) {
                    m = iterated.nextMessage(LONG);
                    m.ack();
                }
                return new String(m.getData());
            }
        });
        told.all.clear();
        MessageConsumer orphan = consumer.consume(ConsumeOptions.builder().batchSize(5).expiresIn(2000).build(), Message::ack);
        nc.flush(LONG);
        until("a request", () -> jsm.getConsumerInfo("P", "C").getNumWaiting() > 0);
        stream.deleteConsumer("C");
        until("a word about the end", () -> told.has("409"));
        t.say("deleted while consumed", told.errors().stream().filter(line -> line.contains("409")).toList());
        orphan.stop();
        t.attempt("context of a deleted one", () -> stream.getConsumerContext("C"));
    }

    private void subscriptions() throws Exception {
        t.section("subscriptions");
        stream("S", 10);
        t.attempt("push", () -> {
            JetStreamSubscription sub = js.subscribe("s.>", PushSubscribeOptions.builder().durable("PUSHED").build());
            List<Object> all = new ArrayList<>();
            for (Message m : Core.received(sub, 10)) {
                m.ack();
                all.add(m.metaData().consumerSequence());
            }
            all.add(sub.getConsumerInfo().isPushBound());
            sub.unsubscribe();
            return all;
        });
        t.attempt("queue", () -> {
            PushSubscribeOptions options = PushSubscribeOptions.builder().durable("QUEUED").build();
            JetStreamSubscription one = js.subscribe("s.>", "q", options), two = js.subscribe("s.>", "q", options);
            nc.flush(LONG);
            for (int i = 0; i < 10; i++) js.publish("s.more", bytes("x"));
            return Core.received(one, 40).size() + Core.received(two, 40).size();
        });
        t.attempt("bound twice", () -> {
            js.subscribe("s.>", PushSubscribeOptions.builder().durable("BOUND").build());
            return js.subscribe("s.>", PushSubscribeOptions.builder().durable("BOUND").build());
        });
        t.attempt("with a dispatcher", () -> {
            AtomicInteger count = new AtomicInteger();
            js.subscribe("s.0", nc.createDispatcher(), m -> count.incrementAndGet(), true);
            until("5 messages", () -> count.get() == 5);
            return count.get();
        });
        t.attempt("flow control", () -> {
            var config = ConsumerConfiguration.builder().flowControl(1000).build();
            for (int i = 0; i < 200; i++) js.publishAsync("s.flow", new byte[1000]);
            JetStreamSubscription sub = js.subscribe("s.flow", PushSubscribeOptions.builder().configuration(config).build());
            int count = 0;
            for (Message m; count < 200 && (m = sub.nextMessage(LONG)) != null; count++) m.ack();
            return count;
        });
        t.attempt("ordered push", () -> Core.received(js.subscribe("s.1", PushSubscribeOptions.builder().ordered(true).build()), 5).size());
        t.attempt("pull", () -> {
            JetStreamSubscription sub = js.subscribe("s.0", PullSubscribeOptions.builder().durable("PULLED").build());
            List<Object> all = new ArrayList<>();
            for (Message m : sub.fetch(3, LONG)) {
                m.ack();
                all.add(m);
            }
            sub.pull(PullRequestOptions.builder(1).noWait().build());
            all.add(sub.nextMessage(LONG));
            sub.pullNoWait(5);
            for (int i = 0; i < 3; i++) all.add(sub.nextMessage(SHORT));
            sub.pullExpiresIn(1, 200);
            all.add(sub.nextMessage(SHORT));
            return all;
        });
        t.attempt("no stream", () -> js.subscribe("nowhere"));
        t.attempt("pull from a push consumer", () -> js.subscribe("s.>", PullSubscribeOptions.bind("S", "BOUND")));
    }

    private void acknowledgements() throws Exception {
        t.section("acknowledgements");
        stream("A", 8);
        ConsumerContext consumer = nc.getStreamContext("A").createOrUpdateConsumer(durable("C").ackWait(1000).maxDeliver(3).build());
        consumer.next(1000).ackSync(LONG);
        consumer.next(1000).nak();
        settled();
        Message again = consumer.next(1000);
        t.say("nak", again);
        again.ack();
        consumer.next(1000).nakWithDelay(300);
        settled();
        Message other = consumer.next(1000);
        t.say("another, meanwhile", new String(other.getData()));
        other.ackSync(LONG);
        Message delayed = consumer.next(2000);
        t.say("after its delay", Transcript.map("data", new String(delayed.getData())));
        delayed.term();
        settled();
        Message slow = consumer.next(1000);
        for (int i = 0; i < 3; i++) {
            Thread.sleep(500);
            slow.inProgress();
        }
        slow.ackSync(LONG);
        t.tried("acked twice", () -> slow.ackSync(SHORT));
        List<Object> rest = new ArrayList<>();
        for (Message m; (m = consumer.next(1500)) != null; ) rest.add(List.of(new String(m.getData()), m.metaData().deliveredCount()));
        t.say("redelivered", rest);
        var info = consumer.getConsumerInfo();
        t.say("state", List.of(info.getNumAckPending(), info.getRedelivered(), info.getNumPending(), info.getAckFloor().getStreamSequence()));
        jsm.addOrUpdateConsumer("A", durable("ALL").ackPolicy(AckPolicy.All).build());
        JetStreamSubscription all = js.subscribe(null, PullSubscribeOptions.bind("A", "ALL"));
        all.fetch(5, LONG).get(3).ackSync(LONG);
        t.say("ack all", all.getConsumerInfo().getAckFloor().getStreamSequence());
    }

    /** nats-server takes acks a little later than what follows them. */
    private void settled() throws Exception {
        nc.flush(LONG);
        Thread.sleep(50);
    }

    private void ordered() throws Exception {
        t.section("ordered");
        stream("O", 20);
        StreamContext stream = nc.getStreamContext("O");
        for (var config : List.of(new OrderedConsumerConfiguration(), new OrderedConsumerConfiguration().filterSubject("o.1"), new OrderedConsumerConfiguration().startSequence(15).deliverPolicy(DeliverPolicy.ByStartSequence),
            new OrderedConsumerConfiguration().filterSubjects("o.0", "o.1").deliverPolicy(DeliverPolicy.LastPerSubject), new OrderedConsumerConfiguration().headersOnly(true).filterSubject("o.0"))) {
            t.attempt("fetch", () -> {
                OrderedConsumerContext consumer = stream.createOrderedConsumer(config);
                List<Object> all = new ArrayList<>();
                try (FetchConsumer fetched = consumer.fetch(FetchConsumeOptions.builder().maxMessages(30).noWait().build())) {
                    for (Message m; (m = fetched.nextMessage()) != null; ) all.add(m.metaData().streamSequence());
                }
                return all;
            });
        }
        t.attempt("made again", () -> {
            List<Long> got = Collections.synchronizedList(new ArrayList<>());
            OrderedConsumerContext consumer = stream.createOrderedConsumer(new OrderedConsumerConfiguration().consumerNamePrefix("mine"));
            MessageConsumer consuming = consumer.consume(ConsumeOptions.builder().expiresIn(1000).build(), m -> got.add(m.metaData().streamSequence()));
            until("20 messages", () -> got.size() == 20);
            for (String name : stream.getConsumerNames()) if (name.startsWith("mine")) stream.deleteConsumer(name);
            for (int i = 0; i < 5; i++) js.publish("o.x", bytes("x"));
            until("5 more", () -> got.size() == 25);
            consuming.stop();
            return got;
        });
    }

    private void priorities() throws Exception {
        t.section("priority groups");
        stream("G", 20);
        StreamContext stream = nc.getStreamContext("G");
        ConsumerContext over = stream.createOrUpdateConsumer(durable("OVER").priorityPolicy(PriorityPolicy.Overflow).priorityGroups("g").build());
        told.all.clear();
        t.attempt("no group", () -> taken(over.fetch(FetchConsumeOptions.builder().maxMessages(1).expiresIn(1000).build())));
        t.attempt("enough pending", () -> taken(over.fetch(FetchConsumeOptions.builder().maxMessages(2).expiresIn(1000).group("g").minPending(10).build())));
        t.attempt("not enough pending", () -> taken(over.fetch(FetchConsumeOptions.builder().maxMessages(2).expiresIn(1000).group("g").minPending(100).build())));
        t.attempt("not enough unacked", () -> taken(over.fetch(FetchConsumeOptions.builder().maxMessages(2).expiresIn(1000).group("g").minAckPending(100).build())));
        t.say("told", told.errors());
        ConsumerContext pin = stream.createOrUpdateConsumer(durable("PIN").priorityPolicy(PriorityPolicy.PinnedClient).priorityGroups("g").priorityTimeout(5000).build());
        List<String> one = Collections.synchronizedList(new ArrayList<>()), two = Collections.synchronizedList(new ArrayList<>());
        ConsumeOptions options = ConsumeOptions.builder().batchSize(2).expiresIn(2000).group("g").build();
        try (MessageConsumer first = pin.consume(options, m -> {
            one.add(new String(m.getData()));
            m.ack();
        })) {
            until("20 messages", () -> one.size() == 20);
            MessageConsumer second = nc.getConsumerContext("G", "PIN").consume(options, m -> {
                two.add(new String(m.getData()));
                m.ack();
            });
            for (int i = 0; i < 5; i++) js.publish("g.x", bytes("x"));
            until("25 messages", () -> one.size() == 25);
            t.say("pinned", List.of(one.size(), two.size()));
            t.attempt("unpin", () -> pin.unpin("g"));
            for (int i = 0; i < 5; i++) js.publish("g.x", bytes("x"));
            until("30 messages", () -> one.size() + two.size() == 30);
            second.close();
        }
        ConsumerContext prio = stream.createOrUpdateConsumer(durable("PRIO").priorityPolicy(PriorityPolicy.Prioritized).priorityGroups("g").deliverPolicy(DeliverPolicy.New).build());
        t.say("config", prio.getConsumerInfo().getJv().map.get("config"));
        FetchConsumer low = prio.fetch(FetchConsumeOptions.builder().maxMessages(5).expiresIn(2000).group("g").priority(5).build());
        FetchConsumer high = prio.fetch(FetchConsumeOptions.builder().maxMessages(5).expiresIn(2000).group("g").priority(1).build());
        nc.flush(LONG);
        for (int i = 0; i < 7; i++) js.publish("g.x", bytes("x"));
        t.say("by priority", List.of(taken(high).size(), taken(low).size()));
    }
}
