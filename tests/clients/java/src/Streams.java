import io.nats.client.Connection;
import io.nats.client.JetStream;
import io.nats.client.JetStreamManagement;
import io.nats.client.JetStreamOptions;
import io.nats.client.PublishOptions;
import io.nats.client.PurgeOptions;
import io.nats.client.api.CompressionOption;
import io.nats.client.api.ConsumerLimits;
import io.nats.client.api.DiscardPolicy;
import io.nats.client.api.MessageGetRequest;
import io.nats.client.api.Mirror;
import io.nats.client.api.PersistMode;
import io.nats.client.api.Placement;
import io.nats.client.api.Republish;
import io.nats.client.api.RetentionPolicy;
import io.nats.client.api.Source;
import io.nats.client.api.StorageType;
import io.nats.client.api.StreamConfiguration;
import io.nats.client.api.StreamInfoOptions;
import io.nats.client.api.SubjectTransform;
import io.nats.client.impl.Headers;
import java.time.Duration;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** Streams: configurations, publishing, reading, purging, mirrors and sources. */
final class Streams extends Scenario {
    private JetStreamManagement jsm;
    private JetStream js;

    @Override
    void run() throws Exception {
        try (Server server = new Server(program, "jetstream { max_mem: 64MB, max_file: 64MB, store_dir: store, domain: hub }\n"); Connection nc = connect(server)) {
            jsm = nc.jetStreamManagement();
            js = nc.jetStream();
            configurations(nc);
            publishing();
            contents();
            copies();
            t.say("account", jsm.getAccountStatistics().getJv().map.get("streams"));
            t.attempt("by domain", () -> nc.jetStreamManagement(JetStreamOptions.builder().domain("hub").build()).getStreamNames());
            t.attempt("another domain", () -> nc.jetStreamManagement(JetStreamOptions.builder().domain("other").requestTimeout(SHORT).build()).getStreamNames());
        }
    }

    private static StreamConfiguration.Builder stream(String name, String... subjects) {
        return StreamConfiguration.builder().name(name).subjects(subjects);
    }

    private void add(StreamConfiguration.Builder builder) {
        StreamConfiguration config = builder.build();
        t.attempt("add " + config.getName(), () -> jsm.addStream(config).getJv().map.get("config"));
    }

    private void configurations(Connection nc) throws Exception {
        t.section("configurations");
        t.attempt("info", () -> jsm.addStream(stream("PLAIN", "plain.>").build()));
        add(stream("PLAIN", "other"));
        add(stream("OVERLAP", "plain.x"));
        add(stream("BAD", "a..b"));
        add(stream("FULL", "full.>").description("all of it").retentionPolicy(RetentionPolicy.Limits).storageType(StorageType.File).maxConsumers(10).maxMessages(100).maxBytes(100_000)
            .maxAge(Duration.ofHours(1)).maxMessagesPerSubject(5).maximumMessageSize(1000).discardPolicy(DiscardPolicy.New).discardNewPerSubject(true)
            .duplicateWindow(Duration.ofSeconds(10)).allowRollup(true).replicas(1).allowDirect(true).republish(new Republish("full.>", "copy.>", true))
            .metadata(Map.of("a", "b")).subjectTransform(new SubjectTransform("full.*", "full.changed.{{wildcard(1)}}")).compressionOption(CompressionOption.S2)
            .consumerLimits(ConsumerLimits.builder().inactiveThreshold(60_000).maxAckPending(10).build()).allowMessageTtl().subjectDeleteMarkerTtl(Duration.ofSeconds(2))
            .firstSequence(100).allowAtomicPublish().allowBatched());
        add(stream("SCHEDULES", "sched.>").allowMessageSchedules().allowMessageTtl());
        add(stream("COUNTER", "count.>").allowMessageCounter());
        add(stream("ASYNC", "async.>").persistMode(PersistMode.Async));
        add(stream("MEMORY", "mem").storageType(StorageType.Memory).noAck(true).retentionPolicy(RetentionPolicy.Interest));
        add(stream("WORK", "work.>").retentionPolicy(RetentionPolicy.WorkQueue).denyDelete(true).denyPurge(true));
        add(stream("REPLICAS", "r").replicas(3));
        add(stream("PLACED", "placed").placement(Placement.builder().cluster("east").tags("ssd").build()));
        t.attempt("update", () -> jsm.updateStream(stream("PLAIN", "plain.>", "plain2").description("changed").build()).getJv().map.get("config"));
        t.attempt("update the storage", () -> jsm.updateStream(stream("PLAIN", "plain.>").storageType(StorageType.Memory).build()));
        t.attempt("update a missing one", () -> jsm.updateStream(stream("MISSING", "y").build()));
        t.attempt("info of a missing one", () -> jsm.getStreamInfo("MISSING"));
        t.attempt("delete", () -> jsm.deleteStream("ASYNC"));
        t.attempt("delete again", () -> jsm.deleteStream("ASYNC"));
        t.attempt("names", () -> jsm.getStreamNames().stream().sorted().toList());
        t.attempt("names of a subject", () -> jsm.getStreamNames("full.>"));
        t.attempt("list of a subject", () -> jsm.getStreams("mem"));
    }

    private void publish(String label, String subject, PublishOptions.Builder options) {
        t.attempt(label, () -> js.publish(subject, bytes("x"), options.build()));
    }

    private void publishing() throws Exception {
        t.section("publishing");
        jsm.addStream(stream("P", "p.>").maximumMessageSize(100).allowMessageTtl().build());
        publish("id", "p.1", PublishOptions.builder().messageId("a"));
        publish("duplicate", "p.1", PublishOptions.builder().messageId("a"));
        publish("last id", "p.1", PublishOptions.builder().expectedLastMsgId("a").messageId("b"));
        publish("wrong last id", "p.1", PublishOptions.builder().expectedLastMsgId("a"));
        publish("last sequence", "p.1", PublishOptions.builder().expectedLastSequence(2));
        publish("wrong last sequence", "p.1", PublishOptions.builder().expectedLastSequence(2));
        publish("first of its subject", "p.2", PublishOptions.builder().expectedLastSubjectSequence(0));
        publish("not the first of its subject", "p.2", PublishOptions.builder().expectedLastSubjectSequence(0));
        publish("last of another subject", "p.3", PublishOptions.builder().expectedLastSubjectSequence(4).expectedLastSubjectSequenceSubject("p.2"));
        publish("stream", "p.1", PublishOptions.builder().expectedStream("P"));
        publish("wrong stream", "p.1", PublishOptions.builder().expectedStream("Q"));
        publish("time to live", "p.ttl", PublishOptions.builder().messageTtlSeconds(100));
        publish("bad time to live", "p.ttl", PublishOptions.builder().messageTtlCustom("x"));
        publish("for ever", "p.ttl", PublishOptions.builder().messageTtlNever());
        publish("no stream", "nowhere", PublishOptions.builder().streamTimeout(SHORT));
        t.attempt("too large", () -> js.publish("p.1", new byte[200]));
        t.attempt("many at once", () -> {
            List<CompletableFuture<io.nats.client.api.PublishAck>> acks = new ArrayList<>();
            for (int i = 0; i < 100; i++) acks.add(js.publishAsync("p.many", bytes("" + i)));
            long last = 0;
            for (var ack : acks) last = Math.max(last, ack.get().getSeqno());
            return last;
        });
        t.attempt("counter", () -> js.publish("count.a", new Headers().add("Nats-Incr", "+7"), new byte[0]).getVal());
        t.attempt("batch", () -> {
            jsm.addStream(stream("B", "batch").allowAtomicPublish().build());
            js.publishAsync("batch", new Headers().add("Nats-Batch-Id", "one").add("Nats-Batch-Sequence", "1"), bytes("1"));
            return js.publish("batch", new Headers().add("Nats-Batch-Id", "one").add("Nats-Batch-Sequence", "2").add("Nats-Batch-Commit", "1"), bytes("2"));
        });
    }

    private void contents() throws Exception {
        t.section("contents");
        for (String name : List.of("PLAINLY", "DIRECT")) {
            String prefix = name.toLowerCase();
            jsm.addStream(stream(name, prefix + ".>").allowDirect(name.equals("DIRECT")).build());
            for (int i = 1; i <= 12; i++) js.publish(prefix + "." + i % 3, new Headers().add("N", "" + i), bytes("message " + i));
            t.attempt("a message", () -> jsm.getMessage(name, 3));
            t.attempt("no message", () -> jsm.getMessage(name, 99));
            t.attempt("last", () -> jsm.getLastMessage(name, prefix + ".1"));
            t.attempt("last of none", () -> jsm.getLastMessage(name, "none"));
            t.attempt("first", () -> jsm.getFirstMessage(name, prefix + ".2"));
            t.attempt("next", () -> jsm.getNextMessage(name, 4, prefix + ".0"));
            t.attempt("from a time", () -> jsm.getFirstMessage(name, ZonedDateTime.of(2020, 1, 1, 0, 0, 0, 0, ZoneOffset.UTC)));
            t.attempt("from a time, of a subject", () -> jsm.getMessage(name, MessageGetRequest.firstForStartTimeAndSubject(ZonedDateTime.of(2020, 1, 1, 0, 0, 0, 0, ZoneOffset.UTC), prefix + ".0")));
            t.attempt("delete", () -> jsm.deleteMessage(name, 5));
            t.attempt("delete again", () -> jsm.deleteMessage(name, 5, false));
            t.attempt("a deleted message", () -> jsm.getMessage(name, 5));
            t.attempt("subjects", () -> jsm.getStreamInfo(name, StreamInfoOptions.allSubjects()).getJv().map.get("state"));
            t.attempt("deleted", () -> jsm.getStreamInfo(name, StreamInfoOptions.deletedDetails()).getJv().map.get("state"));
            t.attempt("purge a subject", () -> jsm.purgeStream(name, PurgeOptions.subject(prefix + ".1")));
            t.attempt("purge but for two", () -> jsm.purgeStream(name, PurgeOptions.builder().keep(2).build()));
            t.attempt("purge below", () -> jsm.purgeStream(name, PurgeOptions.builder().sequence(12).build()));
            t.attempt("purge", () -> jsm.purgeStream(name));
        }
        t.attempt("purge denied", () -> jsm.purgeStream("WORK"));
        t.attempt("delete denied", () -> jsm.deleteMessage("WORK", 1));
        t.attempt("seal", () -> jsm.updateStream(stream("PLAINLY", "plainly.>").seal().build()).getJv().map.get("config"));
        t.attempt("publish when sealed", () -> js.publish("plainly.1", bytes("x")));
    }

    private void copies() throws Exception {
        t.section("mirrors and sources");
        jsm.addStream(stream("ORIGIN", "origin.>").build());
        for (int i = 1; i <= 10; i++) js.publish("origin." + i % 2, bytes("" + i));
        jsm.addStream(StreamConfiguration.builder().name("MIRROR").mirror(Mirror.builder().name("ORIGIN").startSeq(3).build()).build());
        jsm.addStream(stream("SOURCED", "sourced").addSource(Source.builder().name("ORIGIN").subjectTransforms(new SubjectTransform("origin.1", "odd")).build()).build());
        until("the mirror", () -> jsm.getStreamInfo("MIRROR").getStreamState().getMsgCount() == 8);
        until("the source", () -> jsm.getStreamInfo("SOURCED").getStreamState().getMsgCount() == 5);
        t.attempt("mirror", () -> jsm.getStreamInfo("MIRROR"));
        t.attempt("sources", () -> jsm.getStreamInfo("SOURCED").getJv().map.get("sources"));
        t.attempt("a message of the mirror", () -> jsm.getMessage("MIRROR", 4));
        t.attempt("mirror of a mirror with subjects", () -> jsm.addStream(stream("WRONG", "x").mirror(Mirror.builder().name("ORIGIN").build()).build()));
        t.attempt("alternates", () -> jsm.getStreamInfo("ORIGIN").getJv().map.get("alternates"));
    }
}
