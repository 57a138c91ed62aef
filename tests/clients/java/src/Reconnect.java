import io.nats.client.Connection;
import io.nats.client.ConsumeOptions;
import io.nats.client.ConsumerContext;
import io.nats.client.JetStream;
import io.nats.client.MessageConsumer;
import io.nats.client.Nats;
import io.nats.client.Subscription;
import io.nats.client.api.ConsumerConfiguration;
import io.nats.client.api.StreamConfiguration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** What the client notices of a server that goes away, comes back, or is about to end. */
final class Reconnect extends Scenario {
    @Override
    void run() throws Exception {
        String config = "lame_duck_grace_period: 500ms\nlame_duck_duration: 30s\nping_interval: 1s\njetstream { max_mem: 64MB, max_file: 64MB, store_dir: store }\n";
        try (Server server = new Server(program, config)) {
            t.section("a restart");
            Told told = new Told();
            Connection nc = Nats.connect(options(server, told).build());
            nc.jetStreamManagement().addStream(StreamConfiguration.builder().name("S").subjects("s.>").build());
            JetStream js = nc.jetStream();
            ConsumerContext consumer = nc.getStreamContext("S").createOrUpdateConsumer(ConsumerConfiguration.builder().durable("C").build());
            List<String> got = Collections.synchronizedList(new ArrayList<>());
            MessageConsumer messages = consumer.consume(ConsumeOptions.builder().expiresIn(1000).build(), m -> {
                got.add(new String(m.getData()));
                m.ack();
            });
            Subscription kept = nc.subscribe("kept", "q");
            js.publish("s.1", bytes("before"));
            until("the first message", () -> got.size() == 1);
            nc.flush(LONG);
            server.restart();
            until("the reconnect", () -> told.has("RESUBSCRIBED"));
            nc.publish("kept", bytes("after"));
            t.say("kept", kept.nextMessage(LONG));
            t.attempt("publish", () -> js.publish("s.1", bytes("after")));
            until("the second message", () -> got.size() == 2);
            t.say("consumed", got);
            t.say("told", told.events());
            messages.stop();
            told.all.clear();
            nc.forceReconnect();
            until("the reconnect asked for", () -> told.has("RESUBSCRIBED"));
            nc.flush(LONG);

            t.section("lame duck");
            told.all.clear();
            server.signal("USR2");
            until("the notice", () -> told.has("LAME_DUCK"));
            t.say("told", told.events());
            t.say("lame duck", nc.getServerInfo().isLameDuckMode());
            server.awaitEnd();
            until("the end", () -> told.has("DISCONNECTED"));
            nc.close();
            t.attempt("nobody listens", () -> Nats.connect(options(server, new Told()).noReconnect().build()));
        }
    }
}
