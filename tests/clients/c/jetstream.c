// Streams, publishing, consumers, key-value: jetstream URL.
#include "common.h"

static natsConnection *nc;
static jsCtx *js;

static void config_of(const jsStreamConfig *c) {
    printf("  %s retention=%d storage=%d discard=%d max_msgs=%lld max_bytes=%lld max_age=%lld per_subject=%lld size=%d duplicates=%lld replicas=%lld direct=%d rollup=%d subjects=%d\n", c->Name, c->Retention,
           c->Storage, c->Discard, (long long) c->MaxMsgs, (long long) c->MaxBytes, (long long) c->MaxAge, (long long) c->MaxMsgsPerSubject, c->MaxMsgSize, (long long) c->Duplicates,
           (long long) c->Replicas, c->AllowDirect, c->AllowRollup, c->SubjectsLen);
}

static void state_of(const jsStreamState *s) {
    printf("  messages=%llu bytes=%llu first=%llu last=%llu deleted=%llu subjects=%lld consumers=%lld\n", (unsigned long long) s->Msgs, (unsigned long long) s->Bytes, (unsigned long long) s->FirstSeq,
           (unsigned long long) s->LastSeq, (unsigned long long) s->NumDeleted, (long long) s->NumSubjects, (long long) s->Consumers);
}

static void show(const char *label, natsStatus status, jsErrCode code, jsStreamInfo *info) {
    if (tried_js(label, status, code)) {
        config_of(info->Config);
        state_of(&info->State);
    }
    jsStreamInfo_Destroy(info);
}

static jsStreamConfig stream(const char *name, const char **subject) {
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    config.Name = name;
    config.Subjects = subject;
    config.SubjectsLen = 1;
    return config;
}

static void add(const char *label, jsStreamConfig *config) {
    jsStreamInfo *info = NULL;
    jsErrCode code = 0;
    natsStatus status = js_AddStream(&info, js, config, NULL, &code);
    show(label, status, code, info);
}

static void streams(void) {
    puts("\n# streams");
    const char *subject = "s.>";
    jsStreamConfig config = stream("S", &subject);
    add("plain", &config);
    add("the same again", &config);
    config.MaxMsgs = 7;
    add("another of its name", &config);
    jsStreamInfo *info = NULL;
    jsErrCode code = 0;
    natsStatus status = js_UpdateStream(&info, js, &config, NULL, &code);
    show("update", status, code, info);
    config.Storage = js_MemoryStorage;
    info = NULL;
    status = js_UpdateStream(&info, js, &config, NULL, &code);
    show("update the storage", status, code, info);
    const char *other = "s.x";
    config = stream("OVERLAP", &other);
    add("overlap", &config);
    const char *full = "full.>";
    config = stream("FULL", &full);
    config.Description = "all of it";
    config.MaxBytes = 100000, config.MaxAge = 3600 * SECOND, config.MaxMsgsPerSubject = 5, config.MaxMsgSize = 1000, config.Discard = js_DiscardNew, config.DiscardNewPerSubject = true;
    config.MaxMsgs = 100, config.Duplicates = 10 * SECOND, config.AllowRollup = true, config.AllowDirect = true, config.DenyPurge = true, config.DenyDelete = true, config.AllowRollup = false;
    jsRePublish republish = {.Source = "full.>", .Destination = "copy.>", .HeadersOnly = true};
    config.RePublish = &republish;
    add("full", &config);
    tried_js("purge denied", js_PurgeStream(js, "FULL", NULL, &code), code);
    info = NULL;
    status = js_GetStreamInfo(&info, js, "MISSING", NULL, &code);
    show("missing", status, code, info);
    tried_js("delete", js_DeleteStream(js, "FULL", NULL, &code), code);
    code = 0;
    tried_js("delete again", js_DeleteStream(js, "FULL", NULL, &code), code);
}

static void publish(const char *label, const char *subject, jsPubOptions *opts) {
    jsPubAck *ack = NULL;
    jsErrCode code = 0;
    natsStatus status = js_Publish(&ack, js, subject, "x", 1, opts, &code);
    if (tried_js(label, status, code)) printf("  %s %llu%s\n", ack->Stream, (unsigned long long) ack->Sequence, ack->Duplicate ? " duplicate" : "");
    jsPubAck_Destroy(ack);
}

static void publishing(void) {
    puts("\n# publishing");
    publish("plain", "s.1", NULL);
    jsPubOptions id = {.MsgId = "a"}, last_id = {.ExpectLastMsgId = "z"}, wrong_stream = {.ExpectStream = "Q"}, last = {.ExpectLastSeq = 9}, of_subject = {.ExpectLastSubjectSeq = 1}, none = {.ExpectNoMessage = true};
    publish("id", "s.1", &id);
    publish("duplicate", "s.1", &id);
    publish("wrong last id", "s.1", &last_id);
    publish("wrong stream", "s.1", &wrong_stream);
    publish("wrong last sequence", "s.1", &last);
    publish("wrong last of its subject", "s.1", &of_subject);
    publish("first of its subject", "s.2", &none);
    publish("not the first", "s.2", &none);
    publish("no stream", "nowhere", NULL);
    for (int i = 0; i < 10; i++) js_PublishAsync(js, "s.3", "x", 1, NULL);
    tried("many at once", js_PublishAsyncComplete(js, NULL));
    natsMsg *msg = NULL;
    jsErrCode code = 0;
    if (tried_js("get", js_GetMsg(&msg, js, "S", 8, NULL, &code), code)) told("  message", msg);
    if (tried_js("last", js_GetLastMsg(&msg, js, "S", "s.3", NULL, &code), code)) told("  message", msg);
    tried_js("get nothing", js_GetMsg(&msg, js, "S", 99, NULL, &code), code);
    jsStreamInfo *info = NULL;
    jsOptions opts;
    jsOptions_Init(&opts);
    opts.Stream.Info.SubjectsFilter = ">";
    opts.Stream.Purge.Keep = 4;
    natsStatus status = js_GetStreamInfo(&info, js, "S", &opts, &code);
    show("info", status, code, info);
    tried_js("delete a message", js_DeleteMsg(js, "S", 9, NULL, &code), code);
    tried_js("purge", js_PurgeStream(js, "S", &opts, &code), code);
    info = NULL;
    status = js_GetStreamInfo(&info, js, "S", NULL, &code);
    show("info", status, code, info);
}

static void consumer(const char *label, jsConsumerConfig *config) {
    jsConsumerInfo *info = NULL;
    jsErrCode code = 0;
    if (tried_js(label, js_AddConsumer(&info, js, "C", config, NULL, &code), code)) {
        const jsConsumerConfig *c = info->Config;
        printf("  %s ack=%d wait=%lld max_deliver=%lld max_ack_pending=%lld waiting=%lld batch=%lld expires=%lld pending=%llu\n", info->Name, c->AckPolicy, (long long) c->AckWait, (long long) c->MaxDeliver,
               (long long) c->MaxAckPending, (long long) c->MaxWaiting, (long long) c->MaxRequestBatch, (long long) c->MaxRequestExpires, (unsigned long long) info->NumPending);
    }
    jsConsumerInfo_Destroy(info);
}

static void fetch(const char *label, natsSubscription *sub, int batch) {
    natsMsgList list = {0};
    jsErrCode code = 0;
    if (tried_js(label, natsSubscription_Fetch(&list, sub, batch, 1000, &code), code)) {
        for (int i = 0; i < list.Count; i++) {
            natsMsg_Ack(list.Msgs[i], NULL);
            told("  message", list.Msgs[i]);
            list.Msgs[i] = NULL;
        }
    }
    natsMsgList_Destroy(&list);
}

static void consumers(void) {
    puts("\n# consumers");
    const char *subject = "c.>";
    jsStreamConfig config = stream("C", &subject);
    add("stream", &config);
    for (int i = 0; i < 10; i++) publish("publish", i % 2 ? "c.odd" : "c.even", NULL);
    jsConsumerConfig plain, full, wrong;
    jsConsumerConfig_Init(&plain);
    plain.Durable = "PLAIN";
    consumer("plain", &plain);
    consumer("the same again", &plain);
    plain.AckPolicy = js_AckNone;
    consumer("another of its name", &plain);
    jsConsumerConfig_Init(&full);
    int64_t backoff[] = {SECOND, 2 * SECOND};
    full.Durable = "FULL", full.Description = "all of it", full.DeliverPolicy = js_DeliverByStartSequence, full.OptStartSeq = 3, full.AckPolicy = js_AckExplicit, full.MaxDeliver = 5, full.BackOff = backoff;
    full.BackOffLen = 2, full.FilterSubject = "c.odd", full.MaxWaiting = 5, full.MaxAckPending = 20, full.MaxRequestBatch = 8, full.MaxRequestExpires = 20 * SECOND, full.SampleFrequency = "10", full.HeadersOnly = true;
    full.InactiveThreshold = 3600 * SECOND, full.MemoryStorage = true;
    consumer("full", &full);
    jsConsumerConfig_Init(&wrong);
    wrong.Durable = "WRONG", wrong.FilterSubject = "other";
    consumer("filter of another stream", &wrong);

    natsSubscription *sub = NULL;
    natsMsg *msg = NULL;
    jsErrCode code = 0;
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Stream = "C", options.Consumer = "FULL", options.Config.HeadersOnly = true, options.Config.MemoryStorage = true;
    if (tried_js("pull subscription", js_PullSubscribe(&sub, js, "c.odd", "FULL", NULL, &options, &code), code)) {
        fetch("fetch", sub, 2);
        fetch("too many", sub, 20);
        fetch("the rest", sub, 8);
        fetch("nothing", sub, 8);
    }
    natsSubscription_Destroy(sub);
    sub = NULL;
    jsSubOptions_Init(&options);
    options.Stream = "C", options.Config.Durable = "ACKS", options.Config.AckWait = SECOND, options.Config.MaxDeliver = 3;
    if (tried_js("push subscription", js_SubscribeSync(&sub, js, "c.even", NULL, &options, &code), code)) {
        must("next", natsSubscription_NextMsg(&msg, sub, 5000));
        tried_js("ack confirmed", natsMsg_AckSync(msg, NULL, &code), code);
        natsMsg_Destroy(msg);
        for (int i = 0; i < 4; i++) {
            must("next", natsSubscription_NextMsg(&msg, sub, 5000));
            if (i == 0) natsMsg_Nak(msg, NULL);
            if (i == 1) natsMsg_Term(msg, NULL);
            if (i == 2) natsMsg_NakWithDelay(msg, 200, NULL);
            if (i == 3) natsMsg_AckSync(msg, NULL, NULL);
            natsMsg_Destroy(msg);
        }
        for (int i = 0; i < 2; i++) {
            must("next", natsSubscription_NextMsg(&msg, sub, 5000));
            natsMsg_AckSync(msg, NULL, NULL);
            told("again", msg);
        }
        jsConsumerInfo *info = NULL;
        must("info", natsSubscription_GetConsumerInfo(&info, sub, NULL, &code));
        printf("delivered=%llu ack_floor=%llu unacked=%lld redelivered=%lld pending=%llu bound=%d\n", (unsigned long long) info->Delivered.Consumer, (unsigned long long) info->AckFloor.Stream,
               (long long) info->NumAckPending, (long long) info->NumRedelivered, (unsigned long long) info->NumPending, info->PushBound);
        jsConsumerInfo_Destroy(info);
        tried("unsubscribe", natsSubscription_Unsubscribe(sub));
    }
    natsSubscription_Destroy(sub);
    sub = NULL;
    jsSubOptions_Init(&options);
    options.Stream = "C", options.Ordered = true;
    if (tried_js("ordered", js_SubscribeSync(&sub, js, "c.>", NULL, &options, &code), code)) {
        for (int i = 0; i < 10; i++) must("next", natsSubscription_NextMsg(&msg, sub, 5000)), i < 9 ? natsMsg_Destroy(msg) : told("the last", msg);
    }
    natsSubscription_Destroy(sub);
    tried_js("delete", js_DeleteConsumer(js, "C", "FULL", NULL, &code), code);
    tried_js("delete again", js_DeleteConsumer(js, "C", "FULL", NULL, &code), code);
}

static void entry(const char *label, natsStatus status, kvEntry *e) {
    if (tried(label, status) && e != NULL) printf("  %s \"%s\" revision=%llu operation=%d\n", kvEntry_Key(e), kvEntry_ValueString(e), (unsigned long long) kvEntry_Revision(e), kvEntry_Operation(e));
    if (e != NULL) kvEntry_Destroy(e);
}

static void keys(void) {
    puts("\n# keys");
    kvConfig config;
    kvStore *kv = NULL;
    kvEntry *e = NULL;
    uint64_t revision = 0;
    kvConfig_Init(&config);
    config.Bucket = "B", config.History = 3, config.MaxValueSize = 100;
    must("bucket", js_CreateKeyValue(&kv, js, &config));
    tried("put", kvStore_PutString(&revision, kv, "a", "1"));
    tried("create", kvStore_CreateString(&revision, kv, "b", "1"));
    tried("create again", kvStore_CreateString(&revision, kv, "b", "2"));
    tried("update", kvStore_UpdateString(&revision, kv, "b", "2", 2));
    tried("update, too late", kvStore_UpdateString(&revision, kv, "b", "3", 2));
    natsStatus status = kvStore_Get(&e, kv, "b");
    entry("get", status, e);
    e = NULL;
    status = kvStore_GetRevision(&e, kv, "b", 2);
    entry("get a revision", status, e);
    e = NULL;
    status = kvStore_Get(&e, kv, "none");
    entry("none", status, e);
    tried("delete", kvStore_Delete(kv, "a"));
    e = NULL;
    status = kvStore_Get(&e, kv, "a");
    entry("get the deleted one", status, e);
    tried("create after a delete", kvStore_CreateString(&revision, kv, "a", "new"));
    kvEntryList history = {0};
    if (tried("history", kvStore_History(&history, kv, "a", NULL))) {
        for (int i = 0; i < history.Count; i++) printf("  revision=%llu operation=%d\n", (unsigned long long) kvEntry_Revision(history.Entries[i]), kvEntry_Operation(history.Entries[i]));
    }
    kvEntryList_Destroy(&history);
    kvWatcher *watcher = NULL;
    must("watch", kvStore_WatchAll(&watcher, kv, NULL));
    for (int i = 0; i < 3; i++) { // the last says that this was all
        e = NULL;
        status = kvWatcher_Next(&e, watcher, 5000);
        entry("watched", status, e);
    }
    tried("purge", kvStore_Purge(kv, "a", NULL));
    e = NULL;
    status = kvWatcher_Next(&e, watcher, 5000);
    entry("watched", status, e);
    kvWatcher_Destroy(watcher);
    tried("purge deletes", kvStore_PurgeDeletes(kv, NULL));
    kvKeysList list = {0};
    if (tried("keys", kvStore_Keys(&list, kv, NULL))) {
        for (int i = 0; i < list.Count; i++) printf("  %s\n", list.Keys[i]);
    }
    kvKeysList_Destroy(&list);
    kvStore_Destroy(kv);
    tried("delete", js_DeleteKeyValue(js, "B"));
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    must("connect", natsConnection_ConnectTo(&nc, argv[1]));
    must("context", natsConnection_JetStream(&js, nc, NULL));
    streams();
    publishing();
    consumers();
    keys();
    jsAccountInfo *account = NULL;
    jsErrCode code = 0;
    must("account", js_GetAccountInfo(&account, js, NULL, &code));
    printf("\nstreams=%lld consumers=%lld max_streams=%lld\n", (long long) account->Streams, (long long) account->Consumers, (long long) account->Limits.MaxStreams);
    jsAccountInfo_Destroy(account);
    jsCtx_Destroy(js);
    natsConnection_Destroy(nc);
    nats_Close();
    return 0;
}
