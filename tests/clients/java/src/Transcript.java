import io.nats.client.JetStreamApiException;
import io.nats.client.Message;
import io.nats.client.api.ApiResponse;
import io.nats.client.api.KeyValueEntry;
import io.nats.client.api.MessageInfo;
import io.nats.client.impl.Headers;
import io.nats.client.support.JsonParser;
import io.nats.client.support.JsonSerializable;
import io.nats.client.support.JsonValue;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;

/** What a client saw, as text that is the same each time: times, random names and ports are masked. */
final class Transcript {
    private static final int WIDTH = 200;
    private static final String[][] MASKS = {
        {"\\d{4}-\\d\\d-\\d\\d[T ]\\d\\d:\\d\\d(:\\d\\d(\\.\\d+)?)?(Z|[+-]\\d\\d:\\d\\d)?(\\[\\w+\\])?", "TIME"},
        {"\\beyJ[\\w-]+\\.[\\w-]+\\.[\\w-]+", "CLAIMS"},
        {"\\b[ACNOUX][A-Z2-7]{55}\\b", "KEY"},
        {"(127\\.0\\.0\\.\\d|localhost):\\d+", "ADDRESS"},
        {"\\b[A-Za-z0-9]{22}\\b", "NUID"},
    };
    /** Members whose value is a time, a span, or the server's own. */
    private static final Set<String> VOLATILE =
        Set.of("active", "last_active", "pause_remaining", "processing_time", "average_processing_time", "rtt", "start", "client_id", "port", "nonce");
    /** A Go program's. */
    private static final Set<String> LEFT_OUT = Set.of("git_commit", "go");

    private final List<String> lines = new ArrayList<>();

    void section(String title) {
        lines.add("");
        lines.add("# " + title);
    }

    void say(String label, Object value) {
        lines.add(label + ": " + masked(value instanceof String text ? text : laid(plain(null, value), "")));
        if (System.getenv("VERBOSE") != null) System.err.println(java.time.Instant.now() + " " + lines.get(lines.size() - 1));
    }

    interface Action {
        void run() throws Exception;
    }

    /** Says what an action gives, or how it fails. Answers what it gives. */
    <T> T attempt(String label, Callable<T> action) {
        try {
            T value = action.call();
            say(label, value);
            return value;
        } catch (Exception error) {
            say(label, failure(error));
            return null;
        }
    }

    void tried(String label, Action action) {
        attempt(label, () -> {
            action.run();
            return "done";
        });
    }

    String text() {
        return String.join("\n", lines).strip() + "\n";
    }

    static String failure(Throwable error) {
        if (error instanceof ExecutionException && error.getCause() != null) error = error.getCause();
        String code = error instanceof JetStreamApiException api ? " (" + api.getErrorCode() + ", " + api.getApiErrorCode() + ")" : "";
        return "! " + error.getClass().getSimpleName() + ": " + error.getMessage() + code;
    }

    /** A list of pairs as what JSON calls an object. */
    static Map<String, Object> map(Object... pairs) {
        Map<String, Object> map = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) if (pairs[i + 1] != null) map.put((String) pairs[i], pairs[i + 1]);
        return map;
    }

    static Map<String, Object> headers(Headers headers) {
        Map<String, Object> map = new TreeMap<>();
        if (headers != null) for (String name : headers.keySet()) map.put(name, headers.get(name));
        return map.isEmpty() ? null : map;
    }

    private static String body(byte[] data) {
        if (data == null) return null;
        return data.length > 200 ? data.length + " bytes" : new String(data, StandardCharsets.UTF_8);
    }

    /** The value in terms of maps, lists, texts, numbers and truth values. */
    private static Object plain(String name, Object value) {
        if (value == null || name != null && LEFT_OUT.contains(name)) return null;
        if (name != null && VOLATILE.contains(name)) return name.toUpperCase();
        if (value instanceof Throwable error) return failure(error);
        if (value instanceof MessageInfo m) {
            if (m.isStatus()) return m.getStatus().getMessageWithCode();
            return plain(null, map("subject", m.getSubject(), "seq", m.getSeq(), "headers", headers(m.getHeaders()), "data", body(m.getData()), "stream", m.getStream(), "lastSeq", m.getLastSeq(), "pending", m.getNumPending()));
        }
        if (value instanceof ApiResponse<?> response) return plain(null, response.getJv());
        if (value instanceof KeyValueEntry e) {
            return plain(null, map("key", e.getKey(), "value", body(e.getValue()), "revision", e.getRevision(), "operation", e.getOperation().name(), "delta", e.getDelta(), "length", e.getDataLen()));
        }
        if (value instanceof Message m) {
            String status = m.isStatusMessage() ? m.getStatus().getMessageWithCode() : null;
            String subject = m.getSubject().replaceAll("^(_INBOX\\.\\w+)\\.\\w+$", "$1.TOKEN");
            return plain(null, map("subject", subject, "reply", m.getReplyTo() == null || m.isJetStream() ? null : m.getReplyTo(), "status", status, "headers", headers(m.getHeaders()), "data", body(m.getData()), "meta", m.isJetStream() ? meta(m) : null));
        }
        if (value instanceof JsonValue jv) {
            if (jv.map == null) return jv.array != null ? plain(name, jv.array) : jv.object == null || jv.type == JsonValue.Type.NULL ? null : plain(name, jv.object);
            Map<String, Object> members = new LinkedHashMap<>();
            for (String key : jv.mapOrder.isEmpty() ? new TreeMap<>(jv.map).keySet() : jv.mapOrder) members.put(key, jv.map.get(key));
            return plain(name, members);
        }
        if (value instanceof JsonSerializable json) {
            try {
                return plain(name, JsonParser.parse(json.toJson(), JsonParser.Option.KEEP_NULLS));
            } catch (Exception error) {
                return failure(error);
            }
        }
        if (value instanceof Map<?, ?> members) {
            Map<String, Object> all = new LinkedHashMap<>();
            members.forEach((key, member) -> {
                boolean isCountOfEvents = key.equals("seq") && members.containsKey("ver");
                if (!LEFT_OUT.contains(key)) all.put((String) key, isCountOfEvents ? "SEQ" : plain((String) key, member));
            });
            return all;
        }
        if (value instanceof Object[] items) return plain(name, Arrays.asList(items));
        if (value instanceof Collection<?> items) return items.stream().map(item -> plain(null, item)).toList();
        if (value instanceof Number || value instanceof Boolean) return value;
        String text = value.toString();
        boolean isRandom = "name".equals(name) && text.matches("[A-Za-z0-9]{8}") && !text.matches("[A-Z]+|[a-z]+");
        return isRandom ? "RANDOM" : text; // the name of a consumer
    }

    private static Object meta(Message m) {
        var meta = m.metaData();
        return map("stream", meta.getStream(), "consumer", meta.getConsumer().matches("\\w{8,}") ? "CONSUMER" : meta.getConsumer(), "deliveries", meta.deliveredCount(), "stream_seq", meta.streamSequence(), "consumer_seq", meta.consumerSequence(), "pending", meta.pendingCount());
    }

    /** JSON with a line for each member, but for what is short. */
    private static String laid(Object value, String indent) {
        String line = line(value);
        if (line.length() < WIDTH) return line;
        String inner = indent + " ";
        List<String> members = new ArrayList<>();
        if (value instanceof Map<?, ?> map) map.forEach((name, item) -> members.add(inner + quoted(name) + ": " + laid(item, inner)));
        else if (value instanceof List<?> list) list.forEach(item -> members.add(inner + laid(item, inner)));
        else return line;
        String open = value instanceof Map ? "{" : "[";
        String close = value instanceof Map ? "}" : "]";
        return open + "\n" + String.join(",\n", members) + "\n" + indent + close;
    }

    private static String line(Object value) {
        if (value instanceof Map<?, ?> map) {
            return "{" + String.join(",", map.entrySet().stream().map(e -> quoted(e.getKey()) + ":" + line(e.getValue())).toList()) + "}";
        }
        if (value instanceof List<?> list) return "[" + String.join(",", list.stream().map(Transcript::line).toList()) + "]";
        return value instanceof String ? quoted(value) : String.valueOf(value);
    }

    private static String quoted(Object text) {
        return "\"" + text.toString().replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + "\"";
    }

    private static String masked(String text) {
        for (String[] mask : MASKS) text = text.replaceAll(mask[0], mask[1]);
        return text;
    }
}
