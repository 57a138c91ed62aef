import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The program under test, on the same port over all its lives. It is started under the name nats-server, whose place it takes. */
final class Server implements AutoCloseable {
    private static final Pattern LISTENING = Pattern.compile("Listening for (client|websocket) (?:connections|clients) on \\S+:(\\d+)");
    private static final long WITHIN_SECONDS = 20;

    private final Path files = Files.createTempDirectory("jetsled-java-");
    private final Path program = files.resolve("nats-server");
    private final String config;
    private Process process;
    private int client = -1;
    private int websocket = -1;

    /** In the configuration, {@code %d} is the port of clients and {@code %w} that of WebSocket clients. */
    Server(Path program, String config) throws IOException, InterruptedException {
        Files.createSymbolicLink(this.program, program.toAbsolutePath());
        this.config = config;
        start();
    }

    private void start() throws IOException, InterruptedException {
        Path file = files.resolve("server.conf");
        String common = "server_name: SERVER\nhost: 127.0.0.1\nport: %d\n";
        Files.writeString(file, (common + config).replace("%d", "" + client).replace("%w", "" + websocket));
        process = new ProcessBuilder(program.toString(), "-c", file.toString()).directory(files.toFile()).redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
        BufferedReader log = new BufferedReader(new InputStreamReader(process.getErrorStream()));
        StringBuilder seen = new StringBuilder();
        CountDownLatch ready = new CountDownLatch(1);
        Thread reader = new Thread(() -> lines(log, line -> {
            seen.append(line).append('\n');
            Matcher found = LISTENING.matcher(line);
            if (found.find()) {
                int port = Integer.parseInt(found.group(2));
                if (found.group(1).equals("client")) client = port;
                else websocket = port;
            }
            if (line.contains("Server is ready")) ready.countDown();
        }));
        reader.setDaemon(true);
        reader.start();
        if (!ready.await(WITHIN_SECONDS, TimeUnit.SECONDS)) throw new IOException("not ready in time:\n" + seen);
    }

    private static void lines(BufferedReader log, Consumer<String> each) {
        try {
            for (String line; (line = log.readLine()) != null; ) each.accept(line);
        } catch (IOException closed) {
            // The program was killed.
        }
    }

    String address() {
        return "127.0.0.1:" + client;
    }

    String websocketAddress() {
        return "127.0.0.1:" + websocket;
    }

    void restart() throws IOException, InterruptedException {
        process.destroy();
        process.waitFor();
        start();
    }

    void signal(String name) throws IOException, InterruptedException {
        new ProcessBuilder("kill", "-" + name, "" + process.pid()).start().waitFor();
    }

    void awaitEnd() throws InterruptedException {
        process.waitFor();
    }

    @Override
    public void close() throws IOException {
        process.destroyForcibly().onExit().join();
        try (var all = Files.walk(files)) {
            for (Path path : all.sorted(Comparator.reverseOrder()).toList()) Files.deleteIfExists(path);
        }
    }
}
