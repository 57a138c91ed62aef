import io.nats.client.Connection;
import io.nats.client.Dispatcher;
import io.nats.client.Message;
import io.nats.client.Nats;
import io.nats.client.Subscription;
import io.nats.client.impl.Headers;
import io.nats.client.impl.NatsMessage;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/** Publish, subscribe, request: what the client asks of a server without JetStream. */
final class Core extends Scenario {
    @Override
    void run() throws Exception {
        try (Server server = new Server(program, "max_payload: 4KB\nmax_subscriptions: 30\n")) {
            basics(server);
            requests(server);
            limits(server);
        }
    }

    private void basics(Server server) throws Exception {
        t.section("publish and subscribe");
        Told told = new Told();
        Connection nc = Nats.connect(options(server, told).supportUTF8Subjects().connectionName("basics").build());
        var info = nc.getServerInfo();
        t.say("info", Transcript.map("name", info.getServerName(), "version", info.getVersion(), "protocol", info.getProtocolVersion(), "headers", info.isHeadersSupported(),
            "max_payload", info.getMaxPayload(), "jetstream", info.isJetStreamAvailable(), "auth", info.isAuthRequired(), "tls", info.isTLSRequired(), "client_ip", info.getClientIp()));
        Subscription all = nc.subscribe("a.>");
        Subscription two = nc.subscribe("a.b");
        two.unsubscribe(2);
        Headers headers = new Headers().add("Name", "first", "second value").add("empty", "");
        nc.publish("a.b", bytes("plain"));
        nc.publish(NatsMessage.builder().subject("a.b").headers(headers).replyTo("answer.here").data("with headers").build());
        nc.publish("a.b", bytes("third"));
        nc.publish("a.b.c", new byte[0]);
        nc.publish("a.ü", bytes("utf-8"));
        nc.flush(LONG);
        t.say("all", received(all, 5));
        t.say("two", received(two, 2));
        Subscription[] workers = {nc.subscribe("work", "workers"), nc.subscribe("work", "workers"), nc.subscribe("work", "workers")};
        for (int i = 0; i < 30; i++) nc.publish("work", bytes("" + i));
        nc.flush(LONG);
        int sum = 0;
        for (Subscription worker : workers) sum += received(worker, 30).size();
        t.say("queue group", sum);
        Connection quiet = Nats.connect(options(server, told).noEcho().verbose().pedantic().build());
        Subscription own = quiet.subscribe("echo");
        Subscription other = nc.subscribe("echo");
        nc.flush(LONG);
        quiet.publish("echo", bytes("x"));
        quiet.flush(LONG);
        nc.flush(LONG);
        t.say("no echo", List.of(received(own, 1).size(), received(other, 1).size()));
        quiet.close();
        Subscription traced = nc.subscribe("traces");
        nc.publish(NatsMessage.builder().subject("a.traced").headers(new Headers().add("Nats-Trace-Dest", "traces").add("Nats-Trace-Only", "true")).data("x").build());
        t.say("traced", received(traced, 1).size());
        AtomicInteger dispatched = new AtomicInteger();
        Dispatcher dispatcher = nc.createDispatcher(m -> dispatched.incrementAndGet());
        dispatcher.subscribe("d.*").subscribe("d.q", "q");
        for (int i = 0; i < 10; i++) nc.publish("d.q", bytes("x"));
        nc.flush(LONG);
        until("dispatched", () -> dispatched.get() == 20);
        t.say("drained", dispatcher.drain(LONG).get());
        nc.publish("d.q", bytes("x"));
        nc.flush(LONG);
        t.say("dispatched", dispatched.get());
        t.say("rtt", nc.RTT().isNegative());
        t.say("connection drained", nc.drain(LONG).get());
        t.say("told", told.errors());
    }

    private void requests(Server server) throws Exception {
        t.section("requests");
        try (Connection nc = connect(server); Connection old = Nats.connect(options(server, new Told()).oldRequestStyle().build());
            Connection strict = Nats.connect(options(server, new Told()).reportNoResponders().useTimeoutException().build())) {
            Dispatcher service = nc.createDispatcher(m -> nc.publish(m.getReplyTo(), m.getHeaders(), bytes("you said " + new String(m.getData()))));
            service.subscribe("service");
            nc.subscribe("silent");
            nc.flush(LONG);
            for (Connection client : List.of(nc, old, strict)) {
                t.attempt("answer", () -> new String(client.request("service", new Headers().add("A", "b"), bytes("hello"), LONG).getData()));
                t.attempt("nobody", () -> client.request("nobody", bytes("x"), LONG));
                t.attempt("nobody, later", () -> client.requestWithTimeout("nobody", bytes("x"), LONG).get());
                t.attempt("silence", () -> client.request("silent", bytes("x"), Duration.ofMillis(100)));
            }
            t.attempt("status of nobody", () -> {
                Subscription inbox = nc.subscribe("in.box");
                nc.publish("nobody", "in.box", bytes("x"));
                return inbox.nextMessage(LONG);
            });
        }
    }

    private void limits(Server server) throws Exception {
        t.section("limits");
        Told told = new Told();
        try (Connection nc = Nats.connect(options(server, told).noReconnect().build())) {
            t.tried("too large for the client", () -> nc.publish("large", new byte[5000]));
        }
        try (Connection nc = Nats.connect(options(server, told).noReconnect().clientSideLimitChecks(false).build())) {
            nc.publish("large", new byte[5000]);
            until("the end", () -> nc.getStatus() == Connection.Status.CLOSED);
            t.say("too large for the server", nc.getStatus().name()); // the error may get lost with the connection
        }
        Told many = new Told();
        try (Connection nc = Nats.connect(options(server, many).noReconnect().build())) {
            for (int i = 0; i < 31; i++) nc.subscribe("s." + i);
            nc.flush(LONG);
            until("an error", () -> !many.errors().isEmpty());
            t.say("too many subscriptions", many.errors());
        }
    }

    static List<Message> received(Subscription sub, int most) throws Exception {
        List<Message> all = new ArrayList<>();
        for (Message m; all.size() < most && (m = sub.nextMessage(Duration.ofMillis(100))) != null; ) all.add(m);
        return all;
    }
}
