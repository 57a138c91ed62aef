package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const eventCount = 300

var groups = []string{"postprocessing", "search"}

// received is what the members have got.
type received struct {
	sync.Mutex
	byMember map[string]map[int]bool
	more     chan struct{}
}

func (r *received) add(member string, number int) {
	r.Lock()
	defer r.Unlock()
	if r.byMember[member] == nil {
		r.byMember[member] = map[int]bool{}
	}
	r.byMember[member][number] = true
	select {
	case r.more <- struct{}{}:
	default:
	}
}

// missing lists what no member of the group has got.
func (r *received) missing(group string, wanted []int) []int {
	r.Lock()
	defer r.Unlock()
	return slices.DeleteFunc(slices.Clone(wanted), func(number int) bool {
		for member, got := range r.byMember {
			if strings.HasPrefix(member, group) && got[number] {
				return true
			}
		}
		return false
	})
}

// join subscribes one member of a group as the event library does.
func join(b *broker, group, member string, r *received) (*nats.Conn, error) {
	nc, err := b.connect(group)
	if err != nil {
		return nil, err
	}
	js, err := nc.JetStream()
	if err != nil {
		return nil, err
	}
	if _, err := js.StreamInfo("main-queue"); errors.Is(err, nats.ErrStreamNotFound) {
		if _, err := js.AddStream(&nats.StreamConfig{Name: "main-queue"}); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	_, err = js.QueueSubscribe("main-queue", group, func(message *nats.Msg) {
		var event struct{ Number int }
		if err := json.Unmarshal(message.Data, &event); err == nil {
			r.add(member, event.Number)
			_ = message.Ack() // the broker may be down in this moment
		}
	}, nats.Durable(group), nats.DeliverNew(), nats.ManualAck(), nats.AckWait(3*time.Second))
	return nc, err
}

func events(b *broker) error {
	r := &received{byMember: map[string]map[int]bool{}, more: make(chan struct{}, 1)}
	for _, group := range groups {
		for instance := range 2 {
			nc, err := join(b, group, fmt.Sprintf("%s-%d", group, instance), r)
			if err != nil {
				return err
			}
			defer nc.Close()
		}
	}
	publisher, err := b.connect("frontend")
	if err != nil {
		return err
	}
	defer publisher.Close()
	var acknowledged []int
	var lock sync.Mutex
	publish := func(number int) {
		event := fmt.Sprintf(`{"Number":%d,"Payload":%q}`, number, strings.Repeat("e30=", 150+number%300))
		answer, err := publisher.Request("main-queue", []byte(event), 5*time.Second)
		var ack struct {
			Stream string
			Seq    uint64
		}
		if err == nil && json.Unmarshal(answer.Data, &ack) == nil && ack.Stream == "main-queue" && ack.Seq > 0 {
			lock.Lock()
			acknowledged = append(acknowledged, number)
			lock.Unlock()
		}
	}
	for start := 0; start < eventCount; start += 10 {
		var batch sync.WaitGroup
		for number := start; number < start+10; number++ {
			batch.Go(func() { publish(number) })
		}
		if start == eventCount/2 {
			if err := b.kill(); err != nil {
				return err
			}
			if err := b.start(); err != nil {
				return err
			}
		}
		batch.Wait()
	}
	if len(acknowledged) < eventCount-10 {
		return fmt.Errorf("only %d acknowledged", len(acknowledged))
	}
	deadline := time.After(within)
	for _, group := range groups {
		for missing := r.missing(group, acknowledged); len(missing) > 0; missing = r.missing(group, acknowledged) {
			select {
			case <-r.more:
			case <-deadline:
				return fmt.Errorf("%s never got %v", group, missing)
			}
		}
	}
	if len(r.byMember) != 4 {
		return fmt.Errorf("only %d of 4 members got something", len(r.byMember))
	}
	fmt.Printf("events: %d acknowledged, each group has them all\n", len(acknowledged))
	return nil
}

func registry(b *broker) error {
	nc, err := b.connect("nats-js-kv-registry")
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		return err
	}
	kv, err := js.CreateKeyValue(&nats.KeyValueConfig{
		Bucket: "service-registry", TTL: 2 * time.Second, Storage: nats.MemoryStorage,
	})
	if err != nil {
		return err
	}
	watch, err := kv.WatchAll()
	if err != nil {
		return err
	}
	next := func() (nats.KeyValueEntry, error) {
		select {
		case entry := <-watch.Updates():
			return entry, nil
		case <-time.After(within):
			return nil, errors.New("the watch has nothing to say")
		}
	}
	if entry, err := next(); err != nil || entry != nil {
		return fmt.Errorf("a watch of an empty bucket begins with %v, %v", entry, err)
	}
	var keys []string
	for service := range 33 {
		keys = append(keys, fmt.Sprintf("ONSXE5TJMNSS24TFM5UXG5DSPE%02d====", service))
		if _, err := kv.Put(keys[service], []byte(strings.Repeat("{}", 400))); err != nil {
			return err
		}
		if entry, err := next(); err != nil || entry.Key() != keys[service] {
			return fmt.Errorf("the watch has %v, %v", entry, err)
		}
	}
	if listed, err := kv.Keys(); err != nil || !sameKeys(listed, keys) {
		return fmt.Errorf("listed %v, %v", listed, err)
	}
	if err := kv.Delete(keys[0]); err != nil {
		return err
	}
	if entry, err := kv.Get(keys[0]); !errors.Is(err, nats.ErrKeyNotFound) {
		return fmt.Errorf("a deleted key gives %v, %v", entry, err)
	}
	for deadline := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		listed, err := kv.Keys()
		if errors.Is(err, nats.ErrNoKeysFound) {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("still there: %v, %v", listed, err)
		}
	}
	fmt.Println("registry: watched, listed, deleted, expired")
	return nil
}

func stores(b *broker) error {
	const values = 100
	open := func() (*nats.Conn, nats.KeyValue, error) {
		nc, err := b.connect("TODO")
		if err != nil {
			return nil, nil, err
		}
		js, err := nc.JetStream()
		if err != nil {
			return nil, nil, err
		}
		kv, err := js.KeyValue("eventhistory")
		if errors.Is(err, nats.ErrBucketNotFound) {
			kv, err = js.CreateKeyValue(&nats.KeyValueConfig{Bucket: "eventhistory", TTL: 336 * time.Hour})
		}
		return nc, kv, err
	}
	nc, kv, err := open()
	if err != nil {
		return err
	}
	var keys []string
	for number := range values {
		keys = append(keys, fmt.Sprintf("MV3GK3TUONXWMZTFMVWGS43U%03d=", number))
		for _, value := range []string{"first", "second"} {
			if _, err := kv.Put(keys[number], []byte(value)); err != nil {
				return err
			}
		}
	}
	nc.Close()
	if err := b.kill(); err != nil {
		return err
	}
	if err := b.start(); err != nil {
		return err
	}
	nc, kv, err = open()
	if err != nil {
		return err
	}
	defer nc.Close()
	if listed, err := kv.Keys(); err != nil || !sameKeys(listed, keys) {
		return fmt.Errorf("listed %d of %d keys, %v", len(listed), len(keys), err)
	}
	for _, key := range keys {
		if entry, err := kv.Get(key); err != nil || string(entry.Value()) != "second" {
			return fmt.Errorf("%s is %v, %v", key, entry, err)
		}
	}
	fmt.Println("stores: replaced, listed, kept over a kill")
	return nil
}

func sameKeys(one, other []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(one)), slices.Sorted(slices.Values(other)))
}
