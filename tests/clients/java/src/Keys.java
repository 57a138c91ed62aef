import io.nats.client.Connection;
import io.nats.client.KeyValue;
import io.nats.client.KeyValueManagement;
import io.nats.client.MessageTtl;
import io.nats.client.api.KeyValueConfiguration;
import io.nats.client.api.KeyValueEntry;
import io.nats.client.api.KeyValuePurgeOptions;
import io.nats.client.api.KeyValueWatchOption;
import io.nats.client.api.KeyValueWatcher;
import io.nats.client.api.Mirror;
import io.nats.client.api.Republish;
import io.nats.client.api.StorageType;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/** Key-value buckets. */
final class Keys extends Scenario {
    @Override
    void run() throws Exception {
        try (Server server = new Server(program, "jetstream { max_mem: 64MB, max_file: 64MB, store_dir: store }\n"); Connection nc = connect(server)) {
            KeyValueManagement kvm = nc.keyValueManagement();
            values(nc, kvm);
            watching(nc, kvm);
            expiry(nc, kvm);
            t.section("buckets");
            kvm.create(KeyValueConfiguration.builder("MIRROR").maxHistoryPerKey(5).mirror(Mirror.builder().name("B").build()).build());
    until("the mirror", () -> kvm.getStatus("MIRROR").getEntryCount() == kvm.getStatus("B").getEntryCount());
            t.attempt("through the mirror", () -> nc.keyValue("MIRROR").put("mirrored", "x") > 0);
            t.attempt("names", () -> kvm.getBucketNames().stream().sorted().toList());
            t.attempt("update", () -> kvm.update(KeyValueConfiguration.builder("B").maxHistoryPerKey(3).description("changed").build()).getBackingStreamInfo().getJv().map.get("config"));
            t.tried("delete", () -> kvm.delete("W"));
            t.attempt("status of none", () -> kvm.getStatus("W"));
        }
    }

    private void values(Connection nc, KeyValueManagement kvm) throws Exception {
        t.section("values");
        t.say("created", kvm.create(KeyValueConfiguration.builder("B").maxHistoryPerKey(5).description("keys").maxBucketSize(1_000_000).maximumValueSize(100).storageType(StorageType.File)
            .compression(true).metadata(Map.of("a", "b")).republish(new Republish("$KV.B.>", "changed.>", false)).build()).getBackingStreamInfo());
        KeyValue kv = nc.keyValue("B");
        t.attempt("none", () -> kv.get("none"));
        t.attempt("put", () -> kv.put("a", "1"));
        t.attempt("put a number", () -> kv.put("a", 2));
        t.attempt("get", () -> kv.get("a"));
        t.attempt("get a revision", () -> kv.get("a", 1));
        t.attempt("create", () -> kv.create("b.c", bytes("1")));
        t.attempt("create again", () -> kv.create("b.c", bytes("2")));
        t.attempt("update", () -> kv.update("b.c", "2", 3));
        t.attempt("update, too late", () -> kv.update("b.c", "3", 3));
        t.attempt("too large", () -> kv.put("large", "x".repeat(200)));
        t.tried("delete", () -> kv.delete("a"));
        t.tried("delete, too late", () -> kv.delete("b.c", 1));
        t.attempt("get the deleted one", () -> kv.get("a"));
        t.attempt("create after a delete", () -> kv.create("a", bytes("new")));
        t.attempt("history", () -> kv.history("a"));
        t.attempt("keys", () -> kv.keys().stream().sorted().toList());
        t.attempt("some keys", () -> kv.keys("b.>"));
        t.tried("purge", () -> kv.purge("a"));
        t.tried("purge, too late", () -> kv.purge("b.c", 1));
        t.attempt("history of the purged", () -> kv.history("a"));
        t.attempt("status", () -> kv.getStatus().getBackingStreamInfo().getJv().map.get("state"));
        t.tried("purge deletes", () -> kv.purgeDeletes(KeyValuePurgeOptions.builder().deleteMarkersNoThreshold().build()));
        t.attempt("keys", () -> kv.keys());
    }

    private static final class Seen implements KeyValueWatcher {
        final List<Object> all = Collections.synchronizedList(new ArrayList<>());

        @Override
        public void watch(KeyValueEntry entry) {
            all.add(entry);
        }

        @Override
        public void endOfData() {
            all.add("that was all");
        }
    }

    private void watching(Connection nc, KeyValueManagement kvm) throws Exception {
        t.section("watch");
        kvm.create(KeyValueConfiguration.builder("W").maxHistoryPerKey(3).build());
        KeyValue kv = nc.keyValue("W");
        kv.put("a", "1");
        kv.put("a", "2");
        kv.put("b", "1");
        kv.put("c.d", "1");
        kv.delete("b");
        for (KeyValueWatchOption[] options : new KeyValueWatchOption[][] {{}, {KeyValueWatchOption.INCLUDE_HISTORY}, {KeyValueWatchOption.IGNORE_DELETE}, {KeyValueWatchOption.META_ONLY}}) {
            Seen seen = new Seen();
            try (var watching = kv.watchAll(seen, options)) {
                until("the end of data", () -> seen.all.contains("that was all"));
            }
            t.say("all " + List.of(options), seen.all);
        }
        Seen seen = new Seen();
        try (var watching = kv.watch(List.of("a", "c.>"), seen, 2)) {
            until("the end of data", () -> seen.all.contains("that was all"));
            kv.put("a", "3");
            kv.purge("a");
            until("what is new", () -> seen.all.size() == 5);
        }
        t.say("some", seen.all);
    }

    private void expiry(Connection nc, KeyValueManagement kvm) throws Exception {
        t.section("expiry");
        kvm.create(KeyValueConfiguration.builder("AGED").ttl(Duration.ofSeconds(1)).build());
        KeyValue aged = nc.keyValue("AGED");
        aged.put("a", "1");
        until("the end of the value", () -> aged.get("a") == null);
        t.say("marked", kvm.create(KeyValueConfiguration.builder("MARKED").ttl(Duration.ofHours(1)).limitMarker(Duration.ofSeconds(2)).build()).getBackingStreamInfo().getJv().map.get("config"));
        KeyValue kv = nc.keyValue("MARKED");
        Seen seen = new Seen();
        try (var watching = kv.watchAll(seen, KeyValueWatchOption.UPDATES_ONLY)) {
            t.attempt("create with a time to live", () -> kv.create("short", bytes("1"), MessageTtl.seconds(2)));
            until("the marker", () -> seen.all.stream().filter(one -> one instanceof KeyValueEntry).count() == 2);
        }
        t.say("seen", seen.all.stream().filter(one -> one instanceof KeyValueEntry).toList());
        kv.put("purged", "x");
        t.tried("purge with a time to live", () -> kv.purge("purged", MessageTtl.seconds(2)));
        until("an empty bucket", () -> kv.getStatus().getEntryCount() == 0);
    }
}
