use std::{io, path::Path};

use super::*;
use crate::{Command, parse_command_line};

/// Answers as the program with `-t -c FILE` does, from memory.
fn check_file(config: &str) -> String {
    let environment = Environment {
        read_file: &|path| match path {
            path if path == Path::new("FILE") => Ok(config.to_owned()),
            _ => Err(io::Error::from_raw_os_error(2)),
        },
        variable: &|name| (name == "PORTENV").then(|| "4333".to_owned()),
    };
    let answer = match parse_command_line(
        ["nats-server", "-t", "-c", "FILE"].map(Into::into),
        &environment,
    ) {
        Ok(Command::ConfigIsValid { line, .. }) => line,
        Ok(other) => format!("{other:?}"),
        Err(error) => error.to_string(),
    };
    answer
        .trim()
        .replacen("nats-server: ", "", 1)
        .replacen("configuration file FILE is ", "", 1)
}

#[track_caller]
fn check_corpus(corpus: &str) {
    let mut wrong = Vec::new();
    for case in corpus.split("\n>>>\n").skip(1) {
        let (config, expected) = case.split_once("\n<<<\n").expect("a config and its answer");
        let answer = check_file(config);
        if answer != expected.trim_end() {
            wrong.push(format!("{config}\n  wanted {expected}\n  got    {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn files_are_answered_as_nats_server_answers_them() {
    check_corpus(include_str!("same_as_nats_server.txt"));
}

#[test]
fn deliberate_differences_stay_as_they_are() {
    check_corpus(include_str!("unlike_nats_server.txt"));
}

/// Every option of nats-server 2.15.1, by block.
const KNOWN: &[(&str, &str, &str)] = &[
    (
        "",
        "",
        "listen port host net client_advertise server_name server_tags server_metadata feature_flags max_connections \
         max_conn max_subscriptions max_subs max_sub_tokens max_subscription_tokens max_control_line max_payload \
         max_pending write_deadline write_timeout ping_interval ping_max no_fast_producer_stall max_closed_clients \
         lame_duck_duration lame_duck_grace_period disable_sublist_cache no_sublist_cache no_header_support \
         proxy_protocol connect_error_reports reconnect_error_reports default_js_domain tls allow_non_tls ocsp \
         ocsp_cache proxies debug trace trace_verbose trace_headers max_traced_msg_len logtime logtime_utc log_file \
         logfile log_size_limit logfile_size_limit log_max_num logfile_max_num syslog remote_syslog pid_file pidfile \
         ports_file_dir prof_port prof_block_rate http http_port monitor_port https https_port http_base_path \
         authorization no_auth_user system_account system no_system_account no_system no_sys_acc trusted_keys \
         trusted operator operators root roots root_operator root_operators resolver account_resolver \
         accounts_resolver resolver_tls resolver_preload resolver_pinned_accounts default_sentinel accounts mappings \
         maps jetstream store_dir storedir cluster gateway leafnodes leaf websocket ws mqtt",
    ),
    (
        "tls {",
        "}",
        "cert_file key_file certs certificates ca_file verify verify_and_map verify_cert_and_check_known_urls \
         insecure timeout cipher_suites allow_insecure_cipher_suites curve_preferences min_version pinned_certs \
         connection_rate_limit handshake_first first immediate ocsp_peer cert_store cert_match_by cert_match \
         ca_certs_match cert_match_skip_invalid",
    ),
    (
        "websocket {",
        "}",
        "listen port host net advertise no_tls tls same_origin allowed_origins allowed_origin allow_origins allow_origin \
         origins origin handshake_timeout compress compression authorization authentication jwt_cookie user_cookie \
         pass_cookie token_cookie no_auth_user headers ping_interval",
    ),
    (
        "cluster {",
        "}",
        "name listen port host net authorization routes tls cluster_advertise advertise no_advertise connect_retries \
         connect_backoff permissions pool_size accounts compression ping_interval ping_max write_deadline write_timeout",
    ),
    (
        "leafnodes {",
        "}",
        "listen port host net authorization remotes reconnect reconnect_delay reconnect_interval dial_timeout tls \
         leafnode_advertise advertise no_advertise min_version minimum_version compression isolate_leafnode_interest \
         isolate write_deadline write_timeout",
    ),
    (
        "websocket { authorization {",
        "} }",
        "user username pass password token timeout",
    ),
    (
        "authorization {",
        "}",
        "user username pass password token users timeout default_permissions default_permission permissions \
         auth_callout auth_hook proxy_required",
    ),
    (
        "authorization { users: [ {",
        "} ] }",
        "user username pass password nkey permissions permission authorization allowed_connection_types \
         connection_types clients proxy_required",
    ),
    (
        "authorization { permissions {",
        "} }",
        "publish pub import subscribe sub export allow_responses publish_allow_responses",
    ),
    (
        "accounts { A {",
        "} }",
        "users nkey default_permissions mappings maps exports imports jetstream limits msg_trace trace_dest",
    ),
    (
        "accounts { A { jetstream {",
        "} } }",
        "max_memory max_mem mem memory max_store max_file max_disk store disk max_streams streams max_consumers \
         consumers max_bytes_required max_stream_bytes max_bytes mem_max_stream_bytes memory_max_stream_bytes \
         disk_max_stream_bytes store_max_stream_bytes max_ack_pending cluster_traffic",
    ),
    (
        "accounts { A { limits {",
        "} } }",
        "max_connections max_conn max_subscriptions max_subs max_payload max_pay max_leafnodes max_leafs",
    ),
    (
        "jetstream {",
        "}",
        "store_dir store storedir max_memory_store max_mem_store max_mem max_file_store max_file domain enabled \
         enable strict sync_interval sync encryption_key key ek prev_encryption_key prev_key prev_ek cipher \
         extension_hint unique_tag limits tpm max_outstanding_catchup max_buffered_size max_buffered_msgs \
         request_queue_limit info_queue_limit meta_compact meta_compact_size meta_compact_sync max_concurrent_io",
    ),
    (
        "jetstream { limits {",
        "} }",
        "max_ack_pending max_ha_assets max_request_batch duplicate_window batch",
    ),
    (
        "jetstream { limits { batch {",
        "} } }",
        "max_inflight_per_stream max_inflight_total max_msgs timeout",
    ),
];

#[test]
fn every_option_of_nats_server_is_supported_or_refused_by_name() {
    for (before, after, names) in KNOWN {
        for name in names.split_whitespace() {
            let answer = check_file(&format!("{before} {name}: 7.5 {after}"));
            assert!(
                !answer.to_lowercase().contains("unknown field"),
                "{before} {name}: {answer}"
            );
            let unknown = check_file(&format!("{before} {name}x: 7.5 {after}"));
            assert!(
                unknown.to_lowercase().contains("unknown field"),
                "{before} {name}x: {unknown}"
            );
        }
    }
}

#[test]
fn unsupported_options_are_refused_unless_they_are_off() {
    assert_eq!(
        check_file("port: 1\nmqtt { port: 1883 }"),
        "FILE:2:1: field \"mqtt\" is not supported: MQTT comes with a later version"
    );
    assert!(check_file("syslog: true").contains("field \"syslog\" is not supported"));
    for off in [
        "syslog: false",
        "proxy_protocol: no",
        "prof_port: 0",
        "cluster {}",
        "trusted: []",
    ] {
        assert!(
            check_file(off).starts_with("valid"),
            "{off}: {}",
            check_file(off)
        );
    }
}

fn options(config: &str) -> Options {
    let environment = Environment {
        read_file: &|_| Ok(config.to_owned()),
        variable: &|_| None,
    };
    match parse_command_line(["nats-server", "-c", "FILE"].map(Into::into), &environment) {
        Ok(Command::Run { options, .. }) => *options,
        other => panic!("{config}: {other:?}"),
    }
}

#[test]
fn an_empty_file_is_all_defaults() {
    let options = options("");
    let expected = Options {
        config_file: Some("FILE".into()),
        config_digest: options.config_digest.clone(),
        ..Options::default()
    };
    assert_eq!(options, expected);
}

#[test]
fn a_harness_file_is_read_as_meant() {
    use crate::{HandshakeFirst, Port, SyncPolicy};
    use std::time::Duration;

    let options = options(
        r#"
        # as generators write it
        "listen": "127.0.0.1:-1"
        http: -1, server_name = n1
        server_tags: ["Region:EU", "region:eu", az:1]
        max_payload: 64KB; max_pending 10MiB
        ping_interval: "100ms"
        max_subs: 10
        max_connections: 0
        tls {
          cert_file: "./c.pem", key_file: './k.pem'
          ca_file "./ca.pem"
          verify: true
          timeout: 2
          handshake_first: "300ms"
        }
        jetstream {
          enabled: true
          store_dir /tmp/js
          max_mem_store: 64MB
          max_file_store: "10G"
          sync_interval: "10s"
          limits { max_ack_pending: 100, batch { max_msgs: 5 } }
        }
        accounts {
          SYS { users [ { user: admin, password: s3cr3t } ] }
          APP {
            jetstream { max_mem: 32MB, max_file: -1, max_streams: 10 }
            users = [
              {user: a, pass: "b", permissions: {
                publish = "foo"
                subscribe { allow: ["_INBOX.>", "q.* workers"], deny: "x" }
                allow_responses: { max: -1, expires: "1m" }
              }}
              { nkey: UCNGL4W5QX66CFX6A6DCBVDH5VOHMI7B2UZZU7TXAUQQSI2JPHULCKBR }
            ]
          }
        }
        system_account: SYS
        no_auth_user: a
        "#,
    );
    assert_eq!(
        (options.host.as_str(), options.port),
        ("127.0.0.1", Port::Random)
    );
    assert_eq!(options.monitor.http_port, Some(Port::Random));
    assert_eq!(options.server_tags, ["region:eu", "az:1"]);
    assert_eq!(
        (options.max_payload, options.max_pending),
        (65_536, 10 << 20)
    );
    assert_eq!(options.ping_interval, Duration::from_millis(100));
    assert_eq!(
        (options.max_subscriptions, options.max_connections),
        (Some(10), Some(0))
    );
    let tls = options.tls.as_ref().unwrap();
    assert!(tls.verify);
    assert_eq!(
        tls.handshake_first,
        HandshakeFirst::Fallback(Duration::from_millis(300))
    );
    assert_eq!(options.auth_timeout(), Duration::from_secs(3));
    let jetstream = &options.jetstream;
    assert!(jetstream.enabled);
    assert_eq!(jetstream.store_dir(), Path::new("/tmp/js/jetstream"));
    assert_eq!(
        (jetstream.max_memory_store, jetstream.max_file_store),
        (Some(64 << 20), Some(10 << 30))
    );
    assert_eq!(jetstream.sync, SyncPolicy::Every(Duration::from_secs(10)));
    assert_eq!(jetstream.limits.max_batch_size, Some(5));
    let app = &options.accounts[1];
    let limits = app.jetstream.as_ref().unwrap();
    assert_eq!(
        (limits.max_memory, limits.max_store, limits.max_streams),
        (Some(32 << 20), None, Some(10))
    );
    let permissions = app.users[0].permissions.as_ref().unwrap();
    assert_eq!(permissions.publish.as_ref().unwrap().allow, ["foo"]);
    assert_eq!(
        permissions.subscribe.as_ref().unwrap().allow,
        ["_INBOX.>", "q.* workers"]
    );
    assert_eq!(permissions.responses.unwrap().max, None);
    assert_eq!(&*app.users[1].account, "APP");
    assert_eq!(options.system_account.as_deref(), Some("SYS"));
    let shown = format!("{options:?}");
    assert!(!shown.contains("s3cr3t"), "{shown}");
}

#[test]
fn the_monitoring_block_says_who_may_ask() {
    let monitor = options("monitoring { user: me, password: s3cr3t, message_peek: true }").monitor;
    let login = monitor.login.clone().expect("a login");
    assert_eq!((&*login.user, monitor.message_peek), ("me", true));
    assert!(login.password.admits("s3cr3t"));
    assert!(!format!("{monitor:?}").contains("s3cr3t"));
    let open = options("monitoring {}").monitor;
    assert_eq!((open.login, open.message_peek), (None, false));
    for (config, reason) in [
        ("monitoring { user: me }", "needs both"),
        ("monitoring { password: s3cr3t }", "needs both"),
        ("monitoring { user: \"a:b\", password: x }", "colon"),
        ("monitoring { users: me }", "unknown field \"users\""),
        ("monitoring { message_peek: 1 }", "interface conversion"),
        ("monitoring: true", "Expected monitoring to be a map"),
    ] {
        let answer = check_file(config);
        assert!(answer.contains(reason), "{config}: {answer}");
        assert!(!answer.contains("s3cr3t"), "{answer}");
    }
}
