// The oCIS scenario with nats.go, the library that its services use: go run . PROGRAM CERTIFICATES
//
// Starts PROGRAM with JetStream and TLS, publishes events to two groups of two members, kills it in the middle (SIGKILL),
// starts it again, and checks that each group gets every acknowledged event; then a registry with expiry and watch, and a
// store with listing. CERTIFICATES holds ca.pem, server.pem and server-key.pem.
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
	program, files string
	config         *tls.Config
	port           string
	process        *exec.Cmd
}

var listening = regexp.MustCompile(`Listening for client connections on \S+:(\d+)`)

func (b *broker) start() error {
	b.process = exec.Command(b.program, "-a", "127.0.0.1", "-p", b.port, "-js", "-sd", filepath.Join(b.files, "store"),
		"-c", filepath.Join(b.files, "server.conf"))
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
	return nats.Connect("tls://127.0.0.1:"+b.port, nats.Name(name), nats.Secure(b.config),
		nats.ReconnectWait(50*time.Millisecond), nats.MaxReconnects(-1),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // a killed broker is expected here
}

func run(program, certificates string) error {
	files, err := os.MkdirTemp("", "jetsled-nats-go-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(files)
	certificates, err = filepath.Abs(certificates)
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
	config := fmt.Sprintf("tls { cert_file: %q, key_file: %q }\n",
		filepath.Join(certificates, "server.pem"), filepath.Join(certificates, "server-key.pem"))
	if err := os.WriteFile(filepath.Join(files, "server.conf"), []byte(config), 0o600); err != nil {
		return err
	}
	b := &broker{program: program, files: files, port: "-1", config: &tls.Config{RootCAs: roots}}
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
