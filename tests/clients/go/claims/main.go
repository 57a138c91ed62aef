// Credentials as nsc makes them, with its own libraries: claims PROGRAM
//
// Makes an operator with a signing key, accounts with plain and scoped signing keys, users of each, exports and imports with and without
// activation tokens, revocations and expiry, writes them as nsc does (a configuration with a full resolver, .creds files), starts PROGRAM
// with them, and checks what each user may do before and after changes pushed by the system account. PROGRAM may be nats-server.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// within bounds everything that must happen.
const within = 20 * time.Second

// must stops at what cannot go wrong with keys and claims of this program's own.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// key is a key pair with its public half.
type key struct {
	pair   nkeys.KeyPair
	public string
}

func newKey(make func() (nkeys.KeyPair, error)) key {
	pair := must(make())
	return key{pair, must(pair.PublicKey())}
}

// tree is everything that nsc would keep in its store.
type tree struct {
	dir                        string
	operator, operatorSigner   key
	system, app, other         key
	appSigner, appScope        key
	systemSigner, otherSigner  key
	appClaims, otherClaims     *jwt.AccountClaims
	operatorToken, systemToken string
}

func newTree(dir string) *tree {
	t := &tree{
		dir:      dir,
		operator: newKey(nkeys.CreateOperator), operatorSigner: newKey(nkeys.CreateOperator),
		system: newKey(nkeys.CreateAccount), app: newKey(nkeys.CreateAccount), other: newKey(nkeys.CreateAccount),
		appSigner: newKey(nkeys.CreateAccount), appScope: newKey(nkeys.CreateAccount),
		systemSigner: newKey(nkeys.CreateAccount), otherSigner: newKey(nkeys.CreateAccount),
	}
	operator := jwt.NewOperatorClaims(t.operator.public)
	operator.Name = "operator"
	operator.SigningKeys.Add(t.operatorSigner.public)
	operator.SystemAccount = t.system.public
	operator.StrictSigningKeyUsage = true
	t.operatorToken = must(operator.Encode(t.operator.pair))

	system := jwt.NewAccountClaims(t.system.public)
	system.Name = "SYS"
	system.SigningKeys.Add(t.systemSigner.public)
	t.systemToken = must(system.Encode(t.operatorSigner.pair))

	t.appClaims = jwt.NewAccountClaims(t.app.public)
	t.appClaims.Name = "APP"
	t.appClaims.SigningKeys.Add(t.appSigner.public)
	scope := jwt.NewUserScope()
	scope.Key, scope.Role = t.appScope.public, "device"
	scope.Template.Pub.Allow.Add("device.{{name()}}.>", "{{tag(site)}}.up")
	scope.Template.Sub.Allow.Add("_INBOX.>", "device.{{name()}}.cmd")
	scope.Template.Resp = &jwt.ResponsePermission{MaxMsgs: 1, Expires: time.Minute}
	scope.Template.Subs = 5
	t.appClaims.SigningKeys.AddScopedSigner(scope)
	t.appClaims.Exports.Add(
		&jwt.Export{Name: "news", Subject: "news.>", Type: jwt.Stream},
		&jwt.Export{Name: "secret", Subject: "secret.*", Type: jwt.Stream, TokenReq: true},
		&jwt.Export{Name: "ask", Subject: "ask.*", Type: jwt.Service, TokenReq: true, ResponseType: jwt.ResponseTypeSingleton},
	)
	t.appClaims.DefaultPermissions.Pub.Deny.Add("nobody.>")
	t.appClaims.Mappings = jwt.Mapping{"old.*": []jwt.WeightedMapping{{Subject: "new.{{wildcard(1)}}", Weight: 100}}}

	t.otherClaims = jwt.NewAccountClaims(t.other.public)
	t.otherClaims.Name = "OTHER"
	t.otherClaims.SigningKeys.Add(t.otherSigner.public)
	t.otherClaims.Imports.Add(
		&jwt.Import{Name: "news", Account: t.app.public, Subject: "news.>", LocalSubject: "app.news.>", Type: jwt.Stream},
		&jwt.Import{Name: "secret", Account: t.app.public, Subject: "secret.one", Type: jwt.Stream, Token: t.activation("secret.one", jwt.Stream)},
		&jwt.Import{Name: "ask", Account: t.app.public, Subject: "ask.me", LocalSubject: "please", Type: jwt.Service, Token: t.activation("ask.me", jwt.Service)},
	)
	return t
}

// activation lets OTHER import a private export of APP.
func (t *tree) activation(subject string, kind jwt.ExportType) string {
	claims := jwt.NewActivationClaims(t.other.public)
	claims.ImportSubject, claims.ImportType = jwt.Subject(subject), kind
	claims.IssuerAccount = t.app.public
	return must(claims.Encode(t.appSigner.pair))
}

// account signs an account as the operator does.
func (t *tree) account(claims *jwt.AccountClaims) string {
	return must(claims.Encode(t.operatorSigner.pair))
}

// user is one that nsc would add: what `change` leaves of it, signed by `signer`, in a .creds file.
type user struct {
	key   key
	creds string
}

func (t *tree) user(name string, account, signer key, change func(*jwt.UserClaims)) user {
	u := user{key: newKey(nkeys.CreateUser), creds: filepath.Join(t.dir, name+".creds")}
	claims := jwt.NewUserClaims(u.key.public)
	claims.Name = name
	if signer.public != account.public {
		claims.IssuerAccount = account.public
	}
	if signer.public == t.appScope.public {
		claims.UserPermissionLimits = jwt.UserPermissionLimits{}
	}
	if change != nil {
		change(claims)
	}
	token := must(claims.Encode(signer.pair))
	decorated := must(jwt.FormatUserConfig(token, must(u.key.pair.Seed())))
	if err := os.WriteFile(u.creds, decorated, 0o600); err != nil {
		panic(err)
	}
	return u
}

// config is what `nsc generate config --nats-resolver` writes.
func (t *tree) config() string {
	return fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver { type: full, dir: %q, allow_delete: true, interval: \"2m\", timeout: \"1.9s\" }\n"+
		"resolver_preload: { %s: %s }\n", t.operatorToken, t.system.public, filepath.Join(t.dir, "jwt"), t.system.public, t.systemToken)
}

var listening = regexp.MustCompile(`Listening for client connections on \S+:(\d+)`)

func start(program, config string) (*exec.Cmd, string, error) {
	command := exec.Command(program, "-a", "127.0.0.1", "-p", "-1", "-c", config)
	// Its streams go where everything else of this run goes, not to the user's own.
	command.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Dir(config))
	stderr, err := command.StderrPipe()
	if err != nil {
		return nil, "", err
	}
	if err := command.Start(); err != nil {
		return nil, "", err
	}
	ready := make(chan string, 1)
	go func() {
		port := ""
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if found := listening.FindStringSubmatch(lines.Text()); found != nil {
				port = found[1]
			}
			if strings.Contains(lines.Text(), "Server is ready") {
				ready <- port
			}
		}
		ready <- ""
	}()
	select {
	case port := <-ready:
		if port == "" {
			return command, "", errors.New("the server ended before it was ready")
		}
		return command, "nats://127.0.0.1:" + port, nil
	case <-time.After(within):
		return command, "", errors.New("the server is not ready")
	}
}

// session is one connection, with what the server has complained of.
type session struct {
	*nats.Conn
	errors chan error
	closed chan struct{}
}

func connect(url, creds string) (*session, error) {
	s := &session{errors: make(chan error, 64), closed: make(chan struct{})}
	conn, err := nats.Connect(url, nats.UserCredentials(creds), nats.NoReconnect(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { s.errors <- err }),
		nats.ClosedHandler(func(*nats.Conn) { close(s.closed) }))
	s.Conn = conn
	return s, err
}

// refused tells whether the server complains of the publish.
func (s *session) refused(subject string) (bool, error) {
	if err := s.Publish(subject, nil); err != nil {
		return false, err
	}
	if err := s.Flush(); err != nil {
		return false, err
	}
	select {
	case err := <-s.errors:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			return false, err
		}
		return true, nil
	case <-time.After(100 * time.Millisecond):
		return false, nil
	}
}

func (s *session) expect(subject string, refused bool) error {
	got, err := s.refused(subject)
	if err != nil || got == refused {
		return err
	}
	return fmt.Errorf("publish to %s: refused %v, wanted %v", subject, got, refused)
}

// gone waits until the server has closed the connection.
func (s *session) gone() error {
	select {
	case <-s.closed:
		return nil
	case <-time.After(within):
		return errors.New("the connection stays open")
	}
}

// push gives an account's claims to the server, as `nsc push` does.
func push(system *session, token string) error {
	answer, err := system.Request("$SYS.REQ.CLAIMS.UPDATE", []byte(token), within)
	if err != nil {
		return err
	}
	var update struct {
		Data  struct{ Code int }
		Error *struct{ Description string }
	}
	if err := json.Unmarshal(answer.Data, &update); err != nil {
		return err
	}
	if update.Error != nil || update.Data.Code != 200 {
		return fmt.Errorf("push: %s", answer.Data)
	}
	return nil
}

func run(program string) error {
	dir, err := os.MkdirTemp("", "jetsled-claims-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t := newTree(dir)
	config := filepath.Join(dir, "resolver.conf")
	if err := os.WriteFile(config, []byte(t.config()), 0o600); err != nil {
		return err
	}
	process, url, err := start(program, config)
	if err != nil {
		return err
	}
	defer func() {
		_ = process.Process.Kill()
		_ = process.Wait() // "signal: killed" is what it should say
	}()
	system, err := connect(url, t.user("sys", t.system, t.systemSigner, nil).creds)
	if err != nil {
		return fmt.Errorf("the system user: %w", err)
	}
	for _, part := range []struct {
		name  string
		check func(*tree, string, *session) error
	}{
		{"push", pushed}, {"users", users}, {"roles", roles}, {"sharing", sharing}, {"revocation", revocation}, {"deletion", deletion},
	} {
		if err := part.check(t, url, system); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// pushed: accounts come by the system account; what the operator's own key has signed does not, as its signing keys must be used.
func pushed(t *tree, url string, system *session) error {
	if _, err := connect(url, t.user("early", t.app, t.appSigner, nil).creds); err == nil {
		return errors.New("a user of an account that nobody has pushed is let in")
	}
	if err := push(system, must(t.appClaims.Encode(t.operator.pair))); err == nil {
		return errors.New("claims that the operator's main key has signed are taken")
	}
	for _, claims := range []*jwt.AccountClaims{t.appClaims, t.otherClaims} {
		if err := push(system, t.account(claims)); err != nil {
			return err
		}
		answer, err := system.Request("$SYS.REQ.ACCOUNT."+claims.Subject+".CLAIMS.LOOKUP", nil, within)
		if err != nil {
			return err
		}
		if decoded := must(jwt.DecodeAccountClaims(string(answer.Data))); decoded.Name != claims.Name {
			return fmt.Errorf("looked up %q", decoded.Name)
		}
	}
	answer, err := system.Request("$SYS.REQ.CLAIMS.LIST", nil, within)
	if err != nil {
		return err
	}
	for _, account := range []key{t.system, t.app, t.other} {
		if !strings.Contains(string(answer.Data), account.public) {
			return fmt.Errorf("%s is not in the list", account.public)
		}
	}
	return nil
}

// users: signed by a signing key, with limits of their own or the account's defaults.
func users(t *tree, url string, _ *session) error {
	plain, err := connect(url, t.user("plain", t.app, t.appSigner, nil).creds)
	if err != nil {
		return err
	}
	defer plain.Close()
	for subject, refused := range map[string]bool{"anything": false, "nobody.x": true} {
		if err := plain.expect(subject, refused); err != nil {
			return err
		}
	}
	own, err := connect(url, t.user("own", t.app, t.appSigner, func(u *jwt.UserClaims) {
		u.Pub.Allow.Add("nobody.>")
		u.Limits.Payload = 10
	}).creds)
	if err != nil {
		return err
	}
	defer own.Close()
	// INFO with the user's own limit comes behind the first PONG.
	for until := time.Now().Add(within); own.MaxPayload() != 10; {
		if time.Now().After(until) {
			return fmt.Errorf("max_payload is %d", own.MaxPayload())
		}
		if err := own.Flush(); err != nil {
			return err
		}
	}
	for subject, refused := range map[string]bool{"anything": true, "nobody.x": false} {
		if err := own.expect(subject, refused); err != nil {
			return err
		}
	}
	stranger := newKey(nkeys.CreateAccount)
	for name, refused := range map[string]user{
		"of the main key": t.user("main", t.app, t.app, nil), // which is not used where an operator is strict
		"of a stranger":   t.user("stranger", t.app, stranger, nil),
		"ended":           t.user("ended", t.app, t.appSigner, func(u *jwt.UserClaims) { u.Expires = time.Now().Add(-time.Minute).Unix() }),
		"not yet":         t.user("later", t.app, t.appSigner, func(u *jwt.UserClaims) { u.NotBefore = time.Now().Add(time.Hour).Unix() }),
		"from elsewhere":  t.user("elsewhere", t.app, t.appSigner, func(u *jwt.UserClaims) { u.Src.Add("192.0.2.0/24") }),
		"over WebSocket": t.user("websocket", t.app, t.appSigner, func(u *jwt.UserClaims) {
			u.AllowedConnectionTypes.Add(jwt.ConnectionTypeWebsocket)
		}),
	} {
		if _, err := connect(url, refused.creds); err == nil {
			return fmt.Errorf("a user %s is let in", name)
		}
	}
	soon, err := connect(url, t.user("soon", t.app, t.appSigner, func(u *jwt.UserClaims) { u.Expires = time.Now().Add(2 * time.Second).Unix() }).creds)
	if err != nil {
		return err
	}
	return soon.gone()
}

// roles: a scoped signing key gives its users what its template says, and they bring nothing of their own.
func roles(t *tree, url string, _ *session) error {
	device, err := connect(url, t.user("d1", t.app, t.appScope, func(u *jwt.UserClaims) { u.Tags.Add("site:berlin") }).creds)
	if err != nil {
		return err
	}
	defer device.Close()
	for subject, refused := range map[string]bool{"device.d1.state": false, "device.d2.state": true, "berlin.up": false, "paris.up": true} {
		if err := device.expect(subject, refused); err != nil {
			return err
		}
	}
	if _, err := device.SubscribeSync("device.d2.cmd"); err != nil {
		return err
	}
	if err := device.Flush(); err != nil {
		return err
	}
	select {
	case err := <-device.errors:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			return err
		}
	case <-time.After(within):
		return errors.New("a device listens to another's commands")
	}
	commands, err := device.SubscribeSync("device.d1.cmd")
	if err != nil {
		return err
	}
	if err := device.Flush(); err != nil {
		return err
	}
	master, err := connect(url, t.user("master", t.app, t.appSigner, nil).creds)
	if err != nil {
		return err
	}
	defer master.Close()
	inbox := master.NewRespInbox()
	answers, err := master.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	if err := master.PublishRequest("device.d1.cmd", inbox, nil); err != nil {
		return err
	}
	if err := master.Flush(); err != nil {
		return err
	}
	command, err := commands.NextMsg(within)
	if err != nil {
		return err
	}
	for _, refused := range []bool{false, true} {
		if err := device.expect(command.Reply, refused); err != nil {
			return fmt.Errorf("an answer: %w", err)
		}
	}
	if _, err := answers.NextMsg(within); err != nil {
		return err
	}
	claimed := t.user("claimed", t.app, t.appScope, func(u *jwt.UserClaims) {
		u.UserPermissionLimits = jwt.UserPermissionLimits{Permissions: jwt.Permissions{Pub: jwt.Permission{Allow: jwt.StringList{">"}}}}
	})
	if _, err := connect(url, claimed.creds); err == nil {
		return errors.New("a user of a role with permissions of its own is let in")
	}
	return nil
}

// sharing: public and private exports, mappings.
func sharing(t *tree, url string, system *session) error {
	app, err := connect(url, t.user("app", t.app, t.appSigner, nil).creds)
	if err != nil {
		return err
	}
	defer app.Close()
	other, err := connect(url, t.user("other", t.other, t.otherSigner, nil).creds)
	if err != nil {
		return err
	}
	defer other.Close()
	all, err := other.SubscribeSync(">")
	if err != nil {
		return err
	}
	if err := other.Flush(); err != nil {
		return err
	}
	// The second is not among those that its token names.
	for _, subject := range []string{"news.one", "secret.two", "secret.one", "private"} {
		if err := app.Publish(subject, []byte(subject)); err != nil {
			return err
		}
	}
	for _, wanted := range []string{"app.news.one", "secret.one"} {
		message, err := all.NextMsg(within)
		if err != nil {
			return fmt.Errorf("%s: %w", wanted, err)
		}
		if message.Subject != wanted {
			return fmt.Errorf("got %s instead of %s", message.Subject, wanted)
		}
	}
	if message, err := all.NextMsg(100 * time.Millisecond); err == nil {
		return fmt.Errorf("got %s", message.Subject)
	}
	if err := all.Unsubscribe(); err != nil {
		return err
	}
	if _, err := app.Subscribe("ask.me", func(request *nats.Msg) { _ = request.Respond([]byte("answer")) }); err != nil {
		return err
	}
	mapped, err := app.SubscribeSync("new.*")
	if err != nil {
		return err
	}
	if err := app.Publish("old.x", nil); err != nil {
		return err
	}
	if message, err := mapped.NextMsg(within); err != nil || message.Subject != "new.x" {
		return fmt.Errorf("a mapping: %v %v", message, err)
	}
	answer, err := other.Request("please", nil, within)
	if err != nil || string(answer.Data) != "answer" {
		return fmt.Errorf("a request: %v %v", answer, err)
	}
	// The token is taken back.
	for _, export := range t.appClaims.Exports {
		if export.Name == "ask" {
			export.Revoke(t.other.public)
		}
	}
	if err := push(system, t.account(t.appClaims)); err != nil {
		return err
	}
	until := time.Now().Add(within)
	for {
		_, err := other.Request("please", nil, 200*time.Millisecond)
		if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrTimeout) {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("a request with a token that was taken back: %v", err)
		}
	}
}

// revocation: users, all users, and signing keys that are gone.
func revocation(t *tree, url string, system *session) error {
	kept := t.user("kept", t.app, t.appSigner, nil)
	revoked := t.user("revoked", t.app, t.appSigner, nil)
	one, err := connect(url, kept.creds)
	if err != nil {
		return err
	}
	two, err := connect(url, revoked.creds)
	if err != nil {
		return err
	}
	t.appClaims.Revoke(revoked.key.public)
	if err := push(system, t.account(t.appClaims)); err != nil {
		return err
	}
	if err := two.gone(); err != nil {
		return fmt.Errorf("a revoked user: %w", err)
	}
	if _, err := connect(url, revoked.creds); err == nil {
		return errors.New("a revoked user is let in again")
	}
	if err := one.expect("anything", false); err != nil {
		return err
	}
	// Its users go with the role.
	device, err := connect(url, t.user("d9", t.app, t.appScope, func(u *jwt.UserClaims) { u.Tags.Add("site:x") }).creds)
	if err != nil {
		return err
	}
	delete(t.appClaims.SigningKeys, t.appScope.public)
	if err := push(system, t.account(t.appClaims)); err != nil {
		return err
	}
	if err := device.gone(); err != nil {
		return fmt.Errorf("a user of a role that is gone: %w", err)
	}
	t.appClaims.RevokeAt(jwt.All, time.Now().Add(time.Second))
	if err := push(system, t.account(t.appClaims)); err != nil {
		return err
	}
	if err := one.gone(); err != nil {
		return fmt.Errorf("one of all: %w", err)
	}
	return nil
}

// deletion: as `nsc delete account` asks for it.
func deletion(t *tree, url string, system *session) error {
	other := t.user("late", t.other, t.otherSigner, nil)
	s, err := connect(url, other.creds)
	if err != nil {
		return err
	}
	remove := func(signer key) (string, error) {
		claims := jwt.NewGenericClaims(signer.public)
		claims.Data["accounts"] = []string{t.other.public}
		answer, err := system.Request("$SYS.REQ.CLAIMS.DELETE", []byte(must(claims.Encode(signer.pair))), within)
		if err != nil {
			return "", err
		}
		return string(answer.Data), nil
	}
	if answer, err := remove(newKey(nkeys.CreateOperator)); err != nil || !strings.Contains(answer, "error") {
		return fmt.Errorf("deletion by a stranger: %s %w", answer, err)
	}
	if answer, err := remove(t.operatorSigner); err != nil || !strings.Contains(answer, `"code":200`) {
		return fmt.Errorf("deletion: %s %w", answer, err)
	}
	if err := s.gone(); err != nil {
		return err
	}
	if _, err := connect(url, other.creds); err == nil {
		return errors.New("a user of a deleted account is let in")
	}
	return nil
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: claims PROGRAM")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
