use crate::Program;

/// What `-h` prints.
pub(crate) fn text(program: Program) -> String {
    let jetstream = match program {
        Program::Jetsled => "on, unless a flag or the file says otherwise",
        Program::NatsServer => "off",
    };
    let store_dir = match program {
        Program::Jetsled => "$XDG_STATE_HOME/jetsled or ~/.local/state/jetsled",
        Program::NatsServer => "nats in the temporary directory",
    };
    let ocis = match program {
        Program::Jetsled => {
            "\n       PROGRAM ocis [command]  stand in for oCIS's nats service; PROGRAM ocis help says more"
        }
        Program::NatsServer => "",
    };
    USAGE
        .replace("ALSO", ocis)
        .replace("PROGRAM", program.name())
        .replace("JETSTREAM", jetstream)
        .replace("STORE_DIR", store_dir)
}

/// What `-help_tls` prints.
pub(crate) fn tls_text(program: Program) -> String {
    TLS_USAGE.replace("PROGRAM", program.name())
}

const USAGE: &str = "
Usage: PROGRAM [flags]ALSO

Every flag can be written -flag or --flag, its value after a blank or a '='. Flags win over the configuration file.

Server:
  -a, -addr, -net HOST          listen on HOST (default 0.0.0.0)
  -p, -port PORT                listen on PORT, -1 for any free one (default 4222)
  -n, -name, -server_name NAME  the server's name (default: its id)
  -cluster_name NAME            the name of the cluster, which has this server alone
  -client_advertise HOST:PORT   announce this address to clients
  -c, -config FILE              read this configuration file
  -t                            check the configuration file and exit
  -P, -pid FILE                 write the process id to FILE
  -ports_file_dir DIR           write the ports in use to DIR/PROGRAM_<pid>.ports
  -m, -http_port PORT           serve monitoring over HTTP
  -ms, -https_port PORT         serve monitoring over HTTPS
  -sl, -signal COMMAND[=PID]    signal a running server: ldm, quit, reload, reopen, stop, term;
                                PID is a process id, its beginning and a '*', or a file that holds it

JetStream:
  -js, -jetstream               keep streams (default: JETSTREAM)
  -sd, -store_dir DIR           keep them below DIR (default: STORE_DIR)

Logging:
  -l, -log FILE                 log to FILE instead of standard error
  -log_size_limit BYTES         rotate FILE when it is longer
  -T, -logtime=BOOL             begin lines with date and time (default true)
  -logtime_utc                  use UTC
  -D, -debug                    log debug messages
  -V, -trace                    log the protocol
  -VV                           log the protocol, the system account's included
  -DV, -DVV                     both
  -max_traced_msg_len BYTES     show at most this much of a payload

Authorization and TLS:
  -user USER, -pass PASSWORD    what clients must present
  -auth TOKEN                   or this token
  -tls                          clients must use TLS; needs -tlscert and -tlskey
  -tlscert FILE, -tlskey FILE   certificate and private key, PEM
  -tlsverify                    clients must present a certificate
  -tlscacert FILE               that this authority signed

  -h, -help                     show this text
  -help_tls                     show what cipher suites and curves can be configured
  -v, -version                  show the version
";

const TLS_USAGE: &str = "
Names for the tls block of PROGRAM's configuration file.

cipher_suites (TLS 1.2; the suites of TLS 1.3 are always on):
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256

curve_preferences:
  X25519
  CurveP256
  CurveP384
";
