// What every scenario needs: calls that say how they went, and messages as text.
#pragma once

#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND 1000000000LL

// Says how a call went, and why it failed; answers whether it worked.
static inline bool tried(const char *label, natsStatus status) {
    if (status == NATS_OK) {
        printf("%s: done\n", label);
        return true;
    }
    const char *why = nats_GetLastError(NULL);
    printf("%s: ! %s%s%s\n", label, natsStatus_GetText(status), why != NULL ? ": " : "", why != NULL ? why : "");
    return false;
}

// As `tried`, with the code of JetStream's API.
static inline bool tried_js(const char *label, natsStatus status, jsErrCode code) {
    bool worked = tried(label, status);
    if (!worked && code != 0) printf("  code %d\n", (int) code);
    return worked;
}

// Ends the scenario where what follows would make no sense.
static inline void must(const char *what, natsStatus status) {
    if (status == NATS_OK) return;
    printf("ended: %s: %s\n", what, natsStatus_GetText(status));
    nats_PrintLastErrorStack(stdout);
    exit(1);
}

// Says what a message is, and destroys it.
static inline void told(const char *label, natsMsg *msg) {
    const char **keys = NULL;
    int count = 0;
    const char *reply = natsMsg_GetReply(msg);
    bool hides_reply = reply == NULL || strncmp(reply, "$JS.ACK", 7) == 0;
    printf("%s: %s%s%s \"%.*s\"", label, natsMsg_GetSubject(msg), hides_reply ? "" : " reply ", hides_reply ? "" : reply, natsMsg_GetDataLength(msg), natsMsg_GetData(msg));
    if (natsMsgHeader_Keys(msg, &keys, &count) == NATS_OK) {
        for (int i = 0; i < count; i++) {
            const char **values = NULL;
            int values_count = 0;
            if (natsMsgHeader_Values(msg, keys[i], &values, &values_count) != NATS_OK) continue;
            for (int j = 0; j < values_count; j++) printf(" %s=%s", keys[i], values[j]);
            free((void *) values);
        }
        free((void *) keys);
    }
    jsMsgMetaData *meta = NULL;
    if (natsMsg_GetMetaData(&meta, msg) == NATS_OK) {
        printf(" stream_seq=%llu consumer_seq=%llu deliveries=%llu pending=%llu", (unsigned long long) meta->Sequence.Stream, (unsigned long long) meta->Sequence.Consumer,
               (unsigned long long) meta->NumDelivered, (unsigned long long) meta->NumPending);
        jsMsgMetaData_Destroy(meta);
    }
    printf("\n");
    natsMsg_Destroy(msg);
}
