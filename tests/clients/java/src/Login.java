import io.nats.client.AuthHandler;
import io.nats.client.Connection;
import io.nats.client.NKey;
import io.nats.client.Nats;
import io.nats.client.Options;
import io.nats.client.Subscription;
import io.nats.client.support.JsonParser;
import io.nats.client.support.JwtUtils;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.function.UnaryOperator;

/** Who may connect, and what they may do then. */
final class Login extends Scenario {
    @Override
    void run() throws Exception {
        users();
        token();
        claims();
    }

    private void tried(String label, Server server, UnaryOperator<Options.Builder> more) {
        tried(label, "nats://" + server.address(), more);
    }

    private void tried(String label, String url, UnaryOperator<Options.Builder> more) {
        t.attempt(label, () -> {
            try (Connection nc = Nats.connect(more.apply(options(url, new Told()).noReconnect()).build())) {
                return JsonParser.parse(nc.request("$SYS.REQ.USER.INFO", new byte[0], LONG).getData()).map.get("data");
            }
        });
    }

    private static AuthHandler key(NKey key) {
        return new AuthHandler() {
            @Override
            public byte[] sign(byte[] nonce) {
                try {
                    return key.sign(nonce);
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            }

            @Override
            public char[] getID() {
                try {
                    return key.getPublicKey();
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            }

            @Override
            public char[] getJWT() {
                return null;
            }
        };
    }

    private void users() throws Exception {
        t.section("users");
        NKey key = NKey.createUser(null);
        String config = """
            accounts { A { users: [
              { user: a, password: p }
              { nkey: %s }
              { user: limited, password: p, permissions: {
                publish: { allow: ["a.>", "$SYS.REQ.USER.INFO"], deny: "a.secret" }, subscribe: { allow: ["a.>", "_INBOX.>"] } } }
            ] } }
            """.replace("%s", new String(key.getPublicKey()));
        try (Server server = new Server(program, config)) {
            tried("user and password", server, o -> o.userInfo("a", "p"));
            tried("in the URL", "nats://a:p@" + server.address(), o -> o);
            tried("wrong password", server, o -> o.userInfo("a", "q"));
            tried("nobody", server, o -> o);
            tried("nkey", server, o -> o.authHandler(key(key)));
            NKey unknown = NKey.createUser(null);
            tried("unknown nkey", server, o -> o.authHandler(key(unknown)));
            Told told = new Told();
            try (Connection nc = Nats.connect(options(server, told).userInfo("limited", "p").build());
                Connection other = Nats.connect(options(server, new Told()).userInfo("a", "p").build())) {
                nc.publish("a.secret", bytes("x"));
                nc.flush(LONG);
                nc.publish("b", bytes("x"));
                nc.flush(LONG);
                nc.subscribe("b");
                nc.flush(LONG);
                Subscription filtered = nc.subscribe("a.*");
                nc.flush(LONG);
                other.publish("a.open", bytes("shown"));
                t.say("allowed", filtered.nextMessage(LONG));
                until("three violations", () -> told.errors().size() == 3);
                t.say("violations", told.errors());
                t.say("last error", nc.getLastError());
            }
        }
    }

    private void token() throws Exception {
        t.section("token");
        try (Server server = new Server(program, "authorization { token: s3cr3t }\n")) {
            tried("token", server, o -> o.token("s3cr3t".toCharArray()));
            tried("in the URL", "nats://s3cr3t@" + server.address(), o -> o);
            tried("wrong", server, o -> o.token("other".toCharArray()));
        }
    }

    private void claims() throws Exception {
        t.section("claims");
        NKey operator = NKey.createOperator(null), system = NKey.createAccount(null), app = NKey.createAccount(null), user = NKey.createUser(null);
        String operatorClaims = issue(operator, operator, "O", "{\"type\":\"operator\",\"version\":2,\"system_account\":\"" + id(system) + "\"}");
        String limits = "\"limits\":{\"subs\":-1,\"data\":-1,\"payload\":-1,\"imports\":-1,\"exports\":-1,\"wildcards\":true,\"conn\":-1,\"leaf\":-1}";
        String account = "{\"type\":\"account\",\"version\":2," + limits + "}";
        String config = """
            operator: %o
            system_account: %s
            resolver: MEMORY
            resolver_preload { %s: %S, %a: %A }
            """.replace("%o", operatorClaims).replace("%S", issue(operator, system, "SYS", account)).replace("%A", issue(operator, app, "APP", account)).replace("%s", id(system)).replace("%a", id(app));
        Path creds = Files.createTempFile("jetsled-java-", ".creds");
        try (Server server = new Server(program, config)) {
            String plain = JwtUtils.issueUserJWT(app, id(app), id(user), "user");
            tried("claims", server, o -> o.authHandler(Nats.staticCredentials(plain.toCharArray(), user.getSeed())));
            Files.writeString(creds, String.format(JwtUtils.NATS_USER_JWT_FORMAT, plain, new String(user.getSeed())));
            tried("a file", server, o -> o.authHandler(Nats.credentials(creds.toString())));
            NKey other = NKey.createUser(null);
            tried("another's signature", server, o -> o.authHandler(Nats.staticCredentials(plain.toCharArray(), other.getSeed())));
            NKey unknown = NKey.createAccount(null);
            String foreign = JwtUtils.issueUserJWT(unknown, id(unknown), id(user), "user");
            tried("unknown account", server, o -> o.authHandler(Nats.staticCredentials(foreign.toCharArray(), user.getSeed())));
            tried("no claims", server, o -> o);
            String ending = JwtUtils.issueUserJWT(app, id(app), id(user), "user", Duration.ofSeconds(2));
            Told told = new Told();
            try (Connection nc = Nats.connect(options(server, told).noReconnect().authHandler(Nats.staticCredentials(ending.toCharArray(), user.getSeed())).build())) {
                until("the end", () -> nc.getStatus() == Connection.Status.CLOSED);
                t.say("the claims end", told.errors());
            }
        } finally {
            Files.delete(creds);
        }
    }

    private static String id(NKey key) throws Exception {
        return new String(key.getPublicKey());
    }

    private static String issue(NKey issuer, NKey subject, String name, String nats) throws Exception {
        return JwtUtils.issueJWT(issuer, id(subject), name, null, JwtUtils.currentTimeSeconds(), id(issuer), () -> nats);
    }
}
