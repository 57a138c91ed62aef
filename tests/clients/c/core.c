// Publish, subscribe, request, logins, TLS, a restart and a lame duck: core URL TLS_URL CERTIFICATES.
//
// Writes `? ACTION` when the server is to be restarted or told of its end, and waits for a line then.
#include "common.h"

#include <stdatomic.h>

static atomic_int reconnects, disconnects, lame_ducks;

static void on_reconnect(natsConnection *nc, void *closure) { (void) nc, (void) closure, reconnects++; }
static void on_disconnect(natsConnection *nc, void *closure) { (void) nc, (void) closure, disconnects++; }
static void on_lame_duck(natsConnection *nc, void *closure) { (void) nc, (void) closure, lame_ducks++; }

static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus status, void *closure) {
    (void) sub, (void) closure;
    const char *why = NULL;
    natsConnection_GetLastError(nc, &why);
    printf("error: %s: %s\n", natsStatus_GetText(status), why);
}

static void ask(const char *action) {
    char line[16];
    printf("? %s\n", action);
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL) exit(1);
}

static void wait_for(atomic_int *count, const char *what) {
    for (int i = 0; *count == 0; i++, nats_Sleep(5)) {
        if (i > 4000) {
            printf("ended: waited in vain for %s\n", what);
            exit(1);
        }
    }
}

static natsOptions *options(const char *url) {
    natsOptions *opts = NULL;
    must("options", natsOptions_Create(&opts));
    must("options", natsOptions_SetURL(opts, url));
    must("options", natsOptions_SetErrorHandler(opts, on_error, NULL));
    must("options", natsOptions_SetTimeout(opts, 5000));
    return opts;
}

static void answer(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure) {
    (void) sub, (void) closure;
    natsConnection_PublishString(nc, natsMsg_GetReply(msg), "answer");
    natsMsg_Destroy(msg);
}

static void messages(natsConnection *nc) {
    puts("\n# messages");
    natsSubscription *sub = NULL, *service = NULL;
    natsMsg *msg = NULL;
    must("subscribe", natsConnection_SubscribeSync(&sub, nc, "a.>"));
    must("message", natsMsg_Create(&msg, "a.b", "answer.here", "hello", 5));
    natsMsgHeader_Add(msg, "Name", "one");
    natsMsgHeader_Add(msg, "Name", "two");
    must("publish", natsConnection_PublishMsg(nc, msg));
    natsMsg_Destroy(msg);
    must("publish", natsConnection_PublishString(nc, "a.b.c", "plain"));
    for (int i = 0; i < 2; i++) {
        must("next", natsSubscription_NextMsg(&msg, sub, 5000));
        told("received", msg);
    }
    must("service", natsConnection_QueueSubscribe(&service, nc, "service", "q", answer, NULL));
    if (tried("request", natsConnection_RequestString(&msg, nc, "service", "x", 5000))) printf("data %s\n", natsMsg_GetData(msg)), natsMsg_Destroy(msg);
    tried("nobody", natsConnection_RequestString(&msg, nc, "nobody", "x", 5000));
    must("auto", natsSubscription_AutoUnsubscribe(sub, 3));
    natsConnection_PublishString(nc, "a.1", "x");
    natsConnection_PublishString(nc, "a.2", "x");
    must("next", natsSubscription_NextMsg(&msg, sub, 5000));
    told("the last", msg);
    tried("beyond", natsSubscription_NextMsg(&msg, sub, 500));
    tried("drain", natsSubscription_Drain(service));
    tried("drained", natsSubscription_WaitForDrainCompletion(service, 5000));
    char *large = calloc(1, 5000);
    tried("too large", natsConnection_Publish(nc, "a", large, 5000));
    free(large);
    natsSubscription_Destroy(sub);
    natsSubscription_Destroy(service);
}

static void login(const char *label, natsOptions *opts) {
    natsConnection *nc = NULL;
    natsMsg *msg = NULL;
    if (tried(label, natsConnection_Connect(&nc, opts)) && natsConnection_RequestString(&msg, nc, "$SYS.REQ.USER.INFO", "", 5000) == NATS_OK) {
        char *user = strstr(natsMsg_GetData(msg), "\"data\"");
        printf("%s\n", user != NULL ? user : natsMsg_GetData(msg));
        natsMsg_Destroy(msg);
    }
    natsConnection_Destroy(nc);
    natsOptions_Destroy(opts);
}

static void logins(const char *url) {
    puts("\n# logins");
    natsOptions *opts = options(url);
    natsOptions_SetUserInfo(opts, "a", "p");
    login("user and password", opts);
    opts = options(url);
    natsOptions_SetUserInfo(opts, "a", "q");
    login("wrong password", opts);
    login("nobody", options(url));
    opts = options(url);
    natsOptions_SetToken(opts, "t");
    login("token", opts);
    opts = options(url);
    natsOptions_SetNKeyFromSeed(opts, "UA43N76SDYG4ZD3LGHH4I6Q622OWNYIOLIDTQWMVVRENAUNIWZOCR6L6", "user.seed");
    login("nkey", opts);
    puts("\n# permissions");
    natsConnection *nc = NULL;
    natsSubscription *sub = NULL;
    opts = options(url);
    natsOptions_SetUserInfo(opts, "limited", "p");
    must("connect", natsConnection_Connect(&nc, opts));
    natsConnection_PublishString(nc, "b", "x");
    must("flush", natsConnection_Flush(nc));
    nats_Sleep(50);
    natsConnection_SubscribeSync(&sub, nc, "c");
    must("flush", natsConnection_Flush(nc));
    nats_Sleep(50);
    natsSubscription_Destroy(sub);
    natsConnection_Destroy(nc);
    natsOptions_Destroy(opts);
}

static void encrypted(const char *url, const char *certificates) {
    puts("\n# TLS");
    char ca[512], certificate[512], key[512];
    snprintf(ca, sizeof ca, "%s/ca.pem", certificates);
    snprintf(certificate, sizeof certificate, "%s/server.pem", certificates);
    snprintf(key, sizeof key, "%s/server-key.pem", certificates);
    natsOptions *opts = options(url);
    natsOptions_SetSecure(opts, true);
    natsOptions_LoadCATrustedCertificates(opts, ca);
    natsOptions_LoadCertificatesChain(opts, certificate, key);
    login("with a certificate", opts);
    opts = options(url);
    natsOptions_SetSecure(opts, true);
    natsOptions_SkipServerVerification(opts, true);
    natsConnection *nc = NULL;
    natsStatus status = natsConnection_Connect(&nc, opts);
    printf("without is refused: %s\n", status != NATS_OK ? "true" : "false"); // when it is told is a matter of timing
    natsConnection_Destroy(nc);
    natsOptions_Destroy(opts);
}

static void lives(const char *url) {
    puts("\n# a restart, and a lame duck");
    natsConnection *nc = NULL;
    natsSubscription *sub = NULL;
    natsMsg *msg = NULL;
    natsOptions *opts = options(url);
    natsOptions_SetErrorHandler(opts, NULL, NULL);
    natsOptions_SetUserInfo(opts, "a", "p");
    natsOptions_SetReconnectWait(opts, 20);
    natsOptions_SetReconnectJitter(opts, 1, 1);
    natsOptions_SetMaxReconnect(opts, -1);
    natsOptions_SetReconnectedCB(opts, on_reconnect, NULL);
    natsOptions_SetDisconnectedCB(opts, on_disconnect, NULL);
    natsOptions_SetLameDuckModeCB(opts, on_lame_duck, NULL);
    must("connect", natsConnection_Connect(&nc, opts));
    must("subscribe", natsConnection_QueueSubscribeSync(&sub, nc, "kept", "q"));
    must("flush", natsConnection_Flush(nc));
    ask("restart");
    wait_for(&reconnects, "the reconnect");
    natsConnection_PublishString(nc, "kept", "after");
    must("next", natsSubscription_NextMsg(&msg, sub, 5000));
    told("kept", msg);
    disconnects = 0;
    ask("lame duck");
    wait_for(&lame_ducks, "the notice");
    tried("still served", natsConnection_Flush(nc));
    wait_for(&disconnects, "the end");
    puts("disconnected");
    natsSubscription_Destroy(sub);
    natsConnection_Destroy(nc);
    natsOptions_Destroy(opts);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    natsConnection *nc = NULL;
    natsOptions *opts = options(argv[1]);
    natsOptions_SetUserInfo(opts, "a", "p");
    must("connect", natsConnection_Connect(&nc, opts));
    natsOptions_Destroy(opts);
    messages(nc);
    natsConnection_Destroy(nc);
    logins(argv[1]);
    encrypted(argv[2], argv[3]);
    lives(argv[1]);
    nats_Close();
    return 0;
}
