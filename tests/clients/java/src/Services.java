import io.nats.client.Connection;
import io.nats.service.Discovery;
import io.nats.service.Group;
import io.nats.service.Service;
import io.nats.service.ServiceEndpoint;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Services that are discovered, asked and counted. */
final class Services extends Scenario {
    @Override
    void run() throws Exception {
        try (Server server = new Server(program, ""); Connection nc = connect(server); Connection client = connect(server)) {
            t.section("services");
            List<Service> services = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                Service service = Service.builder().connection(nc).name("echo").version("1.0.0").description("says it again").metadata(Map.of("a", "b"))
                    .addServiceEndpoint(ServiceEndpoint.builder().endpointName("say").handler(m -> m.respond(nc, m.getData())).endpointMetadata(Map.of("c", "d")).build())
                    .addServiceEndpoint(ServiceEndpoint.builder().group(new Group("group")).endpointName("fail").endpointQueueGroup("own").handler(m -> m.respondStandardError(nc, "not today", 400)).build())
                    .build();
                service.startService();
                services.add(service);
            }
            nc.flush(LONG);
            for (int i = 0; i < 12; i++) client.request("say", bytes("" + i), LONG);
            t.say("answer", client.request("say", bytes("hello"), LONG));
            t.say("refused", client.request("group.fail", bytes("x"), LONG));
            Discovery discovery = new Discovery(client, 500, 3);
            t.say("ping", discovery.ping());
            t.say("ping one", discovery.ping("echo", services.get(0).getId()));
            t.say("info", discovery.info("echo").get(0));
            var stats = discovery.stats("echo");
            t.say("stats", stats.size());
            t.say("requests", stats.stream().flatMap(one -> one.getEndpointStatsList().stream()).filter(one -> one.getName().equals("say")).mapToLong(one -> one.getNumRequests()).sum());
            services.get(0).stop();
            t.say("ping", new Discovery(client, 500, 2).ping("echo").size());
            for (Service service : services) service.stop();
            t.attempt("all stopped", () -> client.requestWithTimeout("say", bytes("x"), LONG).get());
        }
    }
}
