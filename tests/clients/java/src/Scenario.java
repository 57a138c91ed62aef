import io.nats.client.Connection;
import io.nats.client.ConnectionListener;
import io.nats.client.ErrorListener;
import io.nats.client.JetStreamSubscription;
import io.nats.client.Nats;
import io.nats.client.Options;
import io.nats.client.support.Status;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;

/** One concept, played with a server of its own. */
abstract class Scenario {
    static final Duration SHORT = Duration.ofMillis(500);
    static final Duration LONG = Duration.ofSeconds(5);

    final Transcript t = new Transcript();
    Path program;
    Path certificates;

    abstract void run() throws Exception;

    /** What listeners of a connection are told. */
    static final class Told implements ErrorListener, ConnectionListener {
        final List<String> all = Collections.synchronizedList(new ArrayList<>());

        @Override
        public void errorOccurred(Connection connection, String error) {
            all.add("error " + error);
        }

        @Override
        @SuppressWarnings("deprecation")
        public void connectionEvent(Connection connection, Events event) {
            all.add(event.name());
        }

        /** What has happened to the connection, each once: how often it tries to connect is a matter of timing. */
        List<String> events() {
            synchronized (all) {
                return all.stream().filter(one -> !one.contains(" ")).distinct().toList();
            }
        }

        @Override
        public void pullStatusWarning(Connection connection, JetStreamSubscription sub, Status status) {
            all.add("warning " + status.getMessageWithCode());
        }

        @Override
        public void pullStatusError(Connection connection, JetStreamSubscription sub, Status status) {
            all.add("status " + status.getMessageWithCode());
        }

        @Override
        public void unhandledStatus(Connection connection, JetStreamSubscription sub, Status status) {
            all.add("unhandled " + status.getMessageWithCode());
        }

        // A missing heartbeat is the client's own observation, and a matter of timing.
        @Override
        public void heartbeatAlarm(Connection connection, JetStreamSubscription sub, long last, long seq) {}

        boolean has(String text) {
            synchronized (all) {
                return all.stream().anyMatch(one -> one.contains(text));
            }
        }

        List<String> errors() {
            synchronized (all) {
                return all.stream().filter(one -> one.contains(" ")).toList();
            }
        }
    }

    static Options.Builder options(Server server, Told told) {
        return options("nats://" + server.address(), told);
    }

    static Options.Builder options(String url, Told told) {
        return Options.builder().server(url).errorListener(told).connectionListener(told)
            .reconnectWait(Duration.ofMillis(50)).reconnectJitter(Duration.ofMillis(10)).maxReconnects(-1);
    }

    static Connection connect(Server server) throws Exception {
        return Nats.connect(options(server, new Told()).build());
    }

    static byte[] bytes(String text) {
        return text.getBytes(java.nio.charset.StandardCharsets.UTF_8);
    }

    /** Waits until a condition holds. */
    static void until(String what, Callable<Boolean> condition) throws Exception {
        for (long end = System.nanoTime() + 15_000_000_000L; !condition.call(); Thread.sleep(5)) {
            if (System.nanoTime() > end) throw new IllegalStateException("waited in vain for " + what);
        }
    }
}
