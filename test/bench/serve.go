package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bgce/archive/commands"
	"github.com/bgce/archive/commands/cortex"
	"github.com/bgce/archive/platform/auth"
	"github.com/bgce/archive/platform/directory"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore/postgres"
	"github.com/bgce/archive/platform/project"
	"github.com/bgce/archive/platform/rest"
	"github.com/bgce/archive/platform/vault"
	"github.com/bgce/archive/projections"
	"github.com/bgce/archive/readapi"
	"github.com/bgce/archive/test/bench/baseline"
)

const (
	password = "only for this benchmark"
)

// part is what a child process serves: this program started again, so that client and server share no runtime.
type part struct {
	Ours    bool
	DSN     string
	Pool    int               // of the baseline
	Views   bool              // the articles' views too; the directory's always
	Keys    map[string]string // JWKS for the baseline: kid → x
	Profile string
}

const partVariable = "ARCHIVE_BENCH_PART"

// child is a running part.
type child struct {
	cmd     *exec.Cmd
	address string
}

func (p part) start(ctx context.Context) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), partVariable+"="+string(config))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd}
	line, err := bufio.NewReader(out).ReadString('\n')
	if c.address = strings.TrimSpace(line); err != nil {
		c.stop()
		return nil, fmt.Errorf("a server did not start: %w", err)
	}
	return c, nil
}

func (c *child) stop() {
	_ = c.cmd.Process.Signal(os.Interrupt)
	kill := time.AfterFunc(5*time.Second, func() { _ = c.cmd.Process.Kill() })
	_ = c.cmd.Wait()
	kill.Stop()
}

// serve is the child's main: it says its address and serves until it is killed.
func serve(ctx context.Context, config string) error {
	var p part
	if err := json.Unmarshal([]byte(config), &p); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	stop, err := profiled(p.Profile)
	if err != nil {
		return err
	}
	defer stop()
	if p.Ours {
		return p.ours(ctx, l)
	}
	db, err := pool(ctx, p.DSN, p.Pool)
	if err != nil {
		return err
	}
	if _, err := db.Exec(ctx, baseline.PostsSchema); err != nil {
		return err
	}
	web := &baseline.Web{DB: db, Keys: map[string]ed25519.PublicKey{}}
	for kid, x := range p.Keys {
		if web.Keys[kid], err = baseline.Key(x); err != nil {
			return err
		}
	}
	fmt.Println(l.Addr())
	go func() { <-ctx.Done(); l.Close() }()
	return http.Serve(l, web.Handler())
}

// ours is `archive serve` without its private PostgreSQL, and without limits on how many requests one account may send.
func (p part) ours(ctx context.Context, l net.Listener) error {
	db, err := pool(ctx, p.DSN, max(8, 4*runtime.NumCPU()))
	if err != nil {
		return err
	}
	if err := errors.Join(vault.Migrate(ctx, db), auth.Migrate(ctx, db)); err != nil {
		return err
	}
	keys, err := vault.Open(ctx, db, vault.NewKey())
	if err != nil {
		return err
	}
	store, err := postgres.Open(ctx, p.DSN, postgres.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	service, kernel := auth.New(db, keys), es.New(store, keys, 10_000)
	views := slices.Clone(projections.Rooms["cortex"])
	if p.Views {
		views = append(views, projections.Rooms["postal"]...)
	}
	engine := &project.Engine{Store: store, Vault: keys, DB: db, Views: views}
	if err := engine.Migrate(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() { cancel(engine.Run(ctx)) }()
	if _, err := (cortex.Bootstrap{Domain: "localhost", AdminEmail: "admin@localhost", AdminPassword: password}).Run(ctx, kernel); err != nil {
		return err
	}
	api := rest.New(rest.Config{
		Kernel: kernel, DB: db, Directory: directory.New(db, store.Head), Verifier: service, Waiter: project.Reader{DB: db, Engine: engine}.WaitFor,
		CursorKey: make([]byte, 32), Domain: "localhost", Loopback: true, Limits: rest.Limits{Reads: -1, Writes: -1, Auth: -1},
	})
	write := commands.Rooms(service)
	for _, mount := range []func(*rest.API){write["cortex"], write["postal"], readapi.Rooms["postal"]} {
		mount(api)
	}
	fmt.Println(l.Addr())
	return errors.Join(api.Serve(ctx, l), context.Cause(ctx))
}

// logIn gives a token and the keys it can be checked with.
func logIn(ctx context.Context, address string) (token string, keys map[string]string, err error) {
	for deadline := time.Now().Add(10 * time.Second); ; { // the directory may be a moment behind the first administrator
		if token, keys, err = tryLogIn(ctx, address); err == nil || time.Now().After(deadline) {
			return token, keys, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func tryLogIn(ctx context.Context, address string) (string, map[string]string, error) {
	var login struct {
		Token string `json:"access_token"`
	}
	if err := call(ctx, http.MethodPost, "http://"+address+"/api/v1/auth/login", `{"email":"admin@localhost","password":"`+password+`"}`, &login); err != nil {
		return "", nil, err
	}
	var set struct {
		Keys []struct{ Kid, X string }
	}
	err := call(ctx, http.MethodGet, "http://"+address+"/.well-known/jwks.json", "", &set)
	keys := map[string]string{}
	for _, k := range set.Keys {
		keys[k.Kid] = k.X
	}
	return login.Token, keys, err
}

func call(ctx context.Context, method, url, body string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s %s", method, url, res.Status, text)
	}
	return errors.Join(err, json.Unmarshal(text, into))
}
