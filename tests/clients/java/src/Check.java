import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Supplier;

/**
 * What the Java client sees of a server: {@code Check PROGRAM CERTIFICATES [RECORDED [SCENARIO...]]}.
 *
 * <p>As node/check.mjs: with the folder RECORDED every difference from what is recorded there is an error; {@code --record} writes it anew.
 */
final class Check {
    private static final Map<String, Supplier<Scenario>> SCENARIOS = new LinkedHashMap<>();

    static {
        SCENARIOS.put("consumers", Consumers::new);
        SCENARIOS.put("core", Core::new);
        SCENARIOS.put("login", Login::new);
        SCENARIOS.put("tls", Tls::new);
        SCENARIOS.put("reconnect", Reconnect::new);
        SCENARIOS.put("streams", Streams::new);
        SCENARIOS.put("keys", Keys::new);
        SCENARIOS.put("objects", ObjectStores::new);
        SCENARIOS.put("services", Services::new);
    }

    public static void main(String[] arguments) throws Exception {
        List<String> words = new ArrayList<>(Arrays.asList(arguments));
        boolean records = words.remove("--record");
        List<String> names = words.size() > 3 ? words.subList(3, words.size()) : List.copyOf(SCENARIOS.keySet());
        var workers = Executors.newFixedThreadPool(4); // they mostly wait
        List<Future<Boolean>> results = new ArrayList<>();
        for (String name : names) {
            results.add(workers.submit(() -> {
                long began = System.currentTimeMillis();
                String text = play(SCENARIOS.get(name).get(), Path.of(words.get(0)), Path.of(words.get(1)));
                if (words.size() < 3) {
                    System.out.print(text);
                    return true;
                }
                System.out.println(name + ": " + text.lines().count() + " lines, " + (System.currentTimeMillis() - began) + " ms");
                return compare(text, Path.of(words.get(2)).resolve(name + ".txt"), records);
            }));
        }
        boolean same = true;
        for (Future<Boolean> result : results) same &= result.get();
        System.exit(same ? 0 : 1);
    }

    private static String play(Scenario scenario, Path program, Path certificates) {
        scenario.program = program;
        scenario.certificates = certificates.toAbsolutePath();
        try {
            scenario.run();
        } catch (Exception error) {
            scenario.t.say("ended", Transcript.failure(error) + " " + Arrays.asList(error.getStackTrace()));
        }
        return scenario.t.text();
    }

    private static boolean compare(String text, Path file, boolean records) throws Exception {
        if (text.contains("\nended: ")) { // nothing to record or to compare
            System.err.println("does not come to its end, for " + file + ":\n" + text.substring(text.indexOf("\nended: ") + 1));
            return false;
        }
        if (records) {
            Files.createDirectories(file.getParent());
            Files.writeString(file, text);
            return true;
        }
        List<String> want = Files.readAllLines(file);
        List<String> got = text.lines().toList();
        if (want.equals(got)) return true;
        int at = 0;
        while (at < Math.min(want.size(), got.size()) && want.get(at).equals(got.get(at))) at++;
        System.err.println("not as line " + (at + 1) + " of " + file + ", after\n  " + excerpt(want, at - 6, at) + "\nrecorded:\n  " + excerpt(want, at, at + 12) + "\nhere:\n  " + excerpt(got, at, at + 12));
        return false;
    }

    private static String excerpt(List<String> lines, int from, int to) {
        return String.join("\n  ", lines.subList(Math.min(Math.max(from, 0), lines.size()), Math.min(Math.max(to, 0), lines.size())));
    }
}
