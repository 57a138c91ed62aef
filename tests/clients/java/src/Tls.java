import io.nats.client.Connection;
import io.nats.client.Nats;
import io.nats.client.Options;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.function.UnaryOperator;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Encrypted connections: upgraded after INFO, from the first byte, with a client's certificate, over WebSocket. */
final class Tls extends Scenario {
    @Override
    void run() throws Exception {
        String block = "tls { cert_file: \"" + certificates.resolve("server.pem") + "\", key_file: \"" + certificates.resolve("server-key.pem") + "\" %s }\n";
        String ca = ", ca_file: \"" + certificates.resolve("ca.pem") + "\"";
        on("TLS", block.replace("%s", ""), server -> {
            tried("authority", server, o -> o.sslContext(context(false)));
            tried("scheme", "tls://" + server.address(), o -> o.sslContext(context(false)));
            tried("opentls", "opentls://" + server.address(), o -> o);
            tried("unknown authority", "tls://" + server.address(), o -> o);
            tried("plain", server, o -> o);
        });
        on("handshake first", block.replace("%s", ", handshake_first: true"), server -> tried("first", server, o -> o.tlsFirst().sslContext(context(false))));
        on("handshake first or not", block.replace("%s", ", handshake_first: auto"), server -> {
            tried("first", server, o -> o.tlsFirst().sslContext(context(false)));
            tried("after INFO", server, o -> o.sslContext(context(false)));
        });
        on("both ways", block.replace("%s", ", verify: true" + ca), server -> {
            tried("with a certificate", server, o -> o.sslContext(context(true)));
            t.say("without is refused", !connects(server, o -> o.sslContext(context(false)))); // in what words is a matter of timing
        });
        on("the certificate is the login", block.replace("%s", ", verify_and_map: true" + ca) + "authorization { users: [ { user: localhost } ] }\n",
            server -> tried("known", server, o -> o.sslContext(context(true))));
        on("TLS or not", block.replace("%s", "") + "allow_non_tls: true\n", server -> {
            tried("encrypted", server, o -> o.sslContext(context(false)));
            tried("plain", server, o -> o);
        });
        on("no TLS", "", server -> tried("asked for", server, o -> o.sslContext(context(false))));
        on("WebSocket", "websocket { host: 127.0.0.1, port: %w, no_tls: true }\n", server -> tried("plain", "ws://" + server.websocketAddress(), o -> o));
        on("WebSocket with TLS", "websocket { host: 127.0.0.1, port: %w, " + block.replace("%s", "") + " }\n",
            server -> tried("encrypted", "wss://" + server.websocketAddress(), o -> o.sslContext(context(false))));
    }

    private interface Part {
        void play(Server server) throws Exception;
    }

    private void on(String title, String config, Part part) throws Exception {
        t.section(title);
        try (Server server = new Server(program, config)) {
            part.play(server);
        }
    }

    private static Options once(String url, UnaryOperator<Options.Builder> more) {
        return more.apply(options(url, new Told()).noReconnect()).build();
    }

    private static boolean connects(Server server, UnaryOperator<Options.Builder> more) {
        try (Connection nc = Nats.connect(once("nats://" + server.address(), more))) {
            nc.flush(LONG);
            return true;
        } catch (Exception error) {
            return false;
        }
    }

    private void tried(String label, Server server, UnaryOperator<Options.Builder> more) {
        tried(label, "nats://" + server.address(), more);
    }

    private void tried(String label, String url, UnaryOperator<Options.Builder> more) {
        t.attempt(label, () -> {
            try (Connection nc = Nats.connect(once(url, more))) {
                var sub = nc.subscribe("large");
                nc.publish("large", new byte[500_000]);
                var info = nc.getServerInfo();
                return Transcript.map("required", info.isTLSRequired(), "available", info.isTLSAvailable(), "auth", info.isAuthRequired(), "received", sub.nextMessage(LONG).getData().length);
            }
        });
    }

    private SSLContext context(boolean hasCertificate) {
        try {
            KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
            trusted.load(null, null);
            trusted.setCertificateEntry("ca", certificate("ca.pem"));
            TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            trust.init(trusted);
            KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
            KeyStore own = KeyStore.getInstance(KeyStore.getDefaultType());
            own.load(null, null);
            if (hasCertificate) own.setKeyEntry("own", key(), new char[0], new Certificate[] {certificate("server.pem")});
            keys.init(own, new char[0]);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
            return context;
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    private Certificate certificate(String name) throws Exception {
        try (InputStream file = Files.newInputStream(certificates.resolve(name))) {
            return CertificateFactory.getInstance("X.509").generateCertificate(file);
        }
    }

    private PrivateKey key() throws Exception {
        Path file = certificates.resolve("server-key.pem");
        byte[] encoded = Base64.getMimeDecoder().decode(Files.readString(file).replaceAll("-----[A-Z ]+-----", ""));
        return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(encoded));
    }
}
