import io.nats.client.Connection;
import io.nats.client.ObjectStore;
import io.nats.client.ObjectStoreManagement;
import io.nats.client.api.ObjectInfo;
import io.nats.client.api.ObjectMeta;
import io.nats.client.api.ObjectStoreConfiguration;
import io.nats.client.api.ObjectStoreWatcher;
import io.nats.client.api.StorageType;
import io.nats.client.impl.Headers;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Object stores. */
final class ObjectStores extends Scenario {
    @Override
    void run() throws Exception {
        try (Server server = new Server(program, "jetstream { max_mem: 64MB, max_file: 64MB, store_dir: store }\n"); Connection nc = connect(server)) {
            t.section("objects");
            ObjectStoreManagement osm = nc.objectStoreManagement();
            t.say("created", osm.create(ObjectStoreConfiguration.builder("O").description("objects").storageType(StorageType.File).maxBucketSize(50_000_000).metadata(Map.of("a", "b")).build()).getBackingStreamInfo());
            ObjectStore os = nc.objectStore("O");
            byte[] big = new byte[3_000_000];
            new Random(1).nextBytes(big);
            t.attempt("small", () -> os.put("small", bytes("hello")));
            t.attempt("empty", () -> os.put("empty", new byte[0]));
            t.attempt("large", () -> os.put(ObjectMeta.builder("large").description("three megabytes").headers(new Headers().add("A", "b")).chunkSize(100_000).metadata(Map.of("m", "x")).build(), new ByteArrayInputStream(big)));
            t.attempt("get", () -> new String(got(os, "small")));
            t.attempt("get the large one", () -> Arrays.equals(got(os, "large"), big));
            t.attempt("none", () -> got(os, "none"));
            t.attempt("replaced", () -> os.put("small", bytes("hello again")).getSize());
            t.attempt("get", () -> new String(got(os, "small")));
            t.attempt("update", () -> os.updateMeta("small", ObjectMeta.builder("renamed").description("new name").build()));
            t.attempt("link", () -> os.addLink("pointer", os.getInfo("renamed")));
            t.attempt("through a link", () -> new String(got(os, "pointer")));
            osm.create(ObjectStoreConfiguration.builder("OTHER").build());
            t.attempt("link to a store", () -> os.addBucketLink("elsewhere", nc.objectStore("OTHER")));
            t.attempt("list", () -> os.getList().stream().map(ObjectInfo::getObjectName).sorted().toList());
            List<String> seen = Collections.synchronizedList(new ArrayList<>());
            try (var watching = os.watch(new ObjectStoreWatcher() {
                @Override
                public void watch(ObjectInfo info) {
                    seen.add(info.getObjectName() + (info.isDeleted() ? " deleted" : ""));
                }

                @Override
                public void endOfData() {
                    seen.add("that was all");
                }
            })) {
                until("the end of data", () -> seen.contains("that was all"));
                t.attempt("delete", () -> os.delete("renamed"));
                until("the deletion", () -> seen.contains("renamed deleted"));
            }
            t.say("watched", seen);
            t.attempt("get the deleted one", () -> got(os, "renamed"));
            t.attempt("its info", () -> os.getInfo("renamed", true));
            t.attempt("status", () -> os.getStatus().getBackingStreamInfo());
            t.attempt("seal", () -> os.seal().isSealed());
            t.attempt("put when sealed", () -> os.put("late", new byte[1]));
            t.attempt("names", () -> osm.getBucketNames().stream().sorted().toList());
            t.tried("delete the store", () -> osm.delete("OTHER"));
            t.attempt("status of none", () -> osm.getStatus("OTHER"));
        }
    }

    private static byte[] got(ObjectStore os, String name) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        os.get(name, out);
        return out.toByteArray();
    }
}
