// The oCIS scenario with nats.go, the library that its services use: go run . PROGRAM CERTIFICATES
//
// Starts PROGRAM with JetStream and TLS, publishes events to two groups of two members, kills it in the middle (SIGKILL),
// starts it again, and checks that each group gets every acknowledged event; then a registry with expiry and watch, and a
// store with listing. All of this once more with PROGRAM in the place of oCIS's nats service, without and with TLS.
// CERTIFICATES holds ca.pem, server.pem and server-key.pem.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// within bounds everything that must happen.
const within = 60 * time.Second

// broker is the program under test, on one port over all its lives.
type broker struct {
	name    string
	files   string
	command func(b *broker) *exec.Cmd
	config  *tls.Config // nil without TLS
	port    string
	process *exec.Cmd
}

// asServer starts the program as nats-server is started, with a configuration file.
func asServer(program, certificates string) func(*broker) *exec.Cmd {
	return func(b *broker) *exec.Cmd {
		config := fmt.Sprintf("tls { cert_file: %q, key_file: %q }\n",
			filepath.Join(certificates, "server.pem"), filepath.Join(certificates, "server-key.pem"))
		file := filepath.Join(b.files, "server.conf")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			panic(err)
		}
		return exec.Command(program, "-a", "127.0.0.1", "-p", b.port, "-js", "-sd", filepath.Join(b.files, "store"), "-c", file)
	}
}

// asService starts the program as oCIS's nats service is started, with variables.
func asService(program string, variables ...string) func(*broker) *exec.Cmd {
	return func(b *broker) *exec.Cmd {
		command := exec.Command(program, "ocis", "nats", "server")
		command.Env = append([]string{
			"OCIS_BASE_DATA_PATH=" + b.files, "OCIS_CONFIG_DIR=" + b.files, "NATS_NATS_PORT=" + b.port,
			"NATS_DEBUG_ADDR=127.0.0.1:0", "NATS_LOG_LEVEL=info",
		}, variables...)
		return command
	}
}

var listening = regexp.MustCompile(`Listening for client connections on \S+:(\d+)`)

func (b *broker) start() error {
	b.process = b.command(b)
	stderr, err := b.process.StderrPipe()
	if err != nil {
		return err
	}
	if err := b.process.Start(); err != nil {
		return err
	}
	ready := make(chan string, 1)
	go func() {
		var log strings.Builder
		port, isReady := "", false
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if found := listening.FindStringSubmatch(lines.Text()); found != nil {
				port = found[1]
			}
			fmt.Fprintln(&log, lines.Text())
			if strings.Contains(lines.Text(), "Server is ready") {
				isReady = true
				ready <- port
			}
		}
		if !isReady {
			fmt.Fprint(os.Stderr, log.String())
			ready <- ""
		}
	}()
	select {
	case port := <-ready:
		if port == "" {
			return fmt.Errorf("the server ended before it was ready")
		}
		b.port = port
		return nil
	case <-time.After(within):
		return fmt.Errorf("the server is not ready after %v", within)
	}
}

func (b *broker) kill() error {
	if err := b.process.Process.Kill(); err != nil {
		return err
	}
	_ = b.process.Wait() // "signal: killed" is what it should say
	return nil
}

func (b *broker) connect(name string) (*nats.Conn, error) {
	options := []nats.Option{
		nats.Name(name), nats.ReconnectWait(50 * time.Millisecond), nats.MaxReconnects(-1),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // a killed broker is expected here
	}
	if b.config != nil {
		options = append(options, nats.Secure(b.config))
	}
	return nats.Connect("127.0.0.1:"+b.port, options...)
}

// on runs everything on one broker.
func on(b *broker) error {
	files, err := os.MkdirTemp("", "jetsled-nats-go-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(files)
	b.files, b.port = files, "-1"
	if err := b.start(); err != nil {
		return err
	}
	defer func() {
		if b.process.ProcessState == nil {
			_ = b.kill()
		}
	}()
	for _, part := range []struct {
		name  string
		check func(*broker) error
	}{{"events", events}, {"registry", registry}, {"stores", stores}} {
		if err := part.check(b); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

func run(program, certificates string) error {
	certificates, err := filepath.Abs(certificates)
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(filepath.Join(certificates, "ca.pem"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return fmt.Errorf("ca.pem holds no certificate")
	}
	// The service makes its own certificate, which services are told not to verify (OCIS_INSECURE).
	insecure := &tls.Config{InsecureSkipVerify: true}
	for _, b := range []*broker{
		{name: "server with TLS", command: asServer(program, certificates), config: &tls.Config{RootCAs: roots}},
		{name: "oCIS's service", command: asService(program)},
		{name: "oCIS's service with TLS", config: insecure,
			command: asService(program, "OCIS_EVENTS_ENABLE_TLS=true", "OCIS_INSECURE=true")},
	} {
		fmt.Println(b.name)
		if err := on(b); err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
	}
	return nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: ocis PROGRAM CERTIFICATES")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
