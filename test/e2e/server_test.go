// Package e2e starts the real program as a stranger would and does what it says.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var binary string

// TestMain builds the program, unless ARCHIVE_TEST_BINARY names one.
func TestMain(m *testing.M) {
	if binary = os.Getenv("ARCHIVE_TEST_BINARY"); binary != "" {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "archive-e2e")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "archive")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", binary, "./cmd/archive")
	build.Dir, build.Stderr = "../..", os.Stderr
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	code := 1
	if err := build.Run(); err == nil {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// place is a fresh directory with bin/archive in it, as after make build.
type place struct {
	dir  string
	port string
}

func newPlace(t *testing.T) place {
	t.Helper()
	p := place{dir: t.TempDir(), port: freePort(t)}
	if err := os.Mkdir(filepath.Join(p.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(p.dir, "bin", "archive")); err != nil {
		t.Fatal(err)
	}
	return p
}

// freePort has four digits, as the one that is printed.
func freePort(t *testing.T) string {
	t.Helper()
	for port := 8100 + os.Getpid()%1000; port < 10_000; port++ {
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			l.Close()
			return strconv.Itoa(port)
		}
	}
	t.Fatal("no free port")
	return ""
}

// env is a stranger's: nothing of the Archive's is set but the port.
func (p place) env(more ...string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "ARCHIVE_HTTP=127.0.0.1:" + p.port}
	return append(env, more...)
}

// server is a running archive serve.
type server struct {
	place
	cmd    *exec.Cmd
	block  string        // what it printed when it was ready
	took   time.Duration // until then
	exited chan struct{}
	err    error // of the process, after exited

	mu     sync.Mutex
	stderr bytes.Buffer
}

func (s *server) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.Write(text)
}

func (s *server) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.String()
}

// serve starts the server and waits until it says that it is ready.
func (p place) serve(t *testing.T, env ...string) *server {
	t.Helper()
	s := &server{place: p, exited: make(chan struct{})}
	s.cmd = exec.Command(binary, "serve")
	s.cmd.Args[0], s.cmd.Dir, s.cmd.Env, s.cmd.Stderr = "bin/archive", p.dir, p.env(env...), s
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // a test that is cut off leaves nothing running
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() {
		var block strings.Builder
		for lines := bufio.NewScanner(out); lines.Scan(); {
			block.WriteString(lines.Text() + "\n")
			if strings.HasPrefix(lines.Text(), "Ctrl-C stops") {
				ready <- block.String()
			}
		}
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.exited:
		case <-time.After(20 * time.Second):
			_ = s.cmd.Process.Kill()
			<-s.exited
		}
		for line := range strings.Lines(s.log()) {
			if t.Failed() && strings.Contains(line, `"level":"ERROR"`) {
				t.Log(line)
			}
		}
	})
	select {
	case s.block = <-ready:
		s.took = time.Since(began)
	case <-s.exited:
		t.Fatalf("it ended: %v\n%s", s.err, s.log())
	case <-time.After(time.Minute):
		t.Fatalf("not ready after a minute\n%s", s.log())
	}
	return s
}

// ends waits for the process.
func (s *server) ends(t *testing.T, within time.Duration) error {
	t.Helper()
	select {
	case <-s.exited:
		return s.err
	case <-time.After(within):
		t.Fatalf("still running after %s\n%s", within, s.log())
		return nil
	}
}

// run gives standard output, standard error and the exit code of a command in the place.
func (p place) run(t *testing.T, env []string, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, p.env(env...), &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// archive runs the program; it must succeed.
func (p place) archive(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := p.run(t, nil, binary, args...)
	if code != 0 {
		t.Fatalf("archive %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// shell runs a script; it must succeed.
func (p place) shell(t *testing.T, script string) string {
	t.Helper()
	out, errs, code := p.run(t, nil, "bash", "-eu", "-o", "pipefail", "-c", script)
	if code != 0 {
		t.Fatalf("exit code %d\n%s\n%s\n%s", code, script, out, errs)
	}
	return out
}

// postmaster is the process id of the private PostgreSQL.
func (p place) postmaster(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "data", "postgres", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// within polls until ok says "" instead of what is wrong.
func within(t *testing.T, d time.Duration, ok func() string) {
	t.Helper()
	wrong := ok()
	for end := time.Now().Add(d); wrong != "" && time.Now().Before(end); wrong = ok() {
		time.Sleep(50 * time.Millisecond)
	}
	if wrong != "" {
		t.Fatal(fmt.Sprintf("after %s: ", d) + wrong)
	}
}
