package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// server is `archive serve` as a child process, killed and started again.
type server struct {
	bin, data, http string
	out             io.Writer

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	killed bool // by us
}

// build gives the program to run: ARCHIVE_BIN, or the tree's own.
func build(ctx context.Context, dir string) (string, error) {
	if bin := os.Getenv("ARCHIVE_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	bin := filepath.Join(dir, "archive")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin, "./cmd/archive")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return bin, cmd.Run()
}

// freeAddress is one nobody listens on just now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *server) start() error {
	cmd := exec.Command(s.bin, "serve")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ARCHIVE_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "ARCHIVE_DATA="+s.data, "ARCHIVE_HTTP="+s.http, "ARCHIVE_ADMIN_PASSWORD=only for this run", "ARCHIVE_LOG_LEVEL=warn")
	cmd.Stdout, cmd.Stderr = s.out, s.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us alone
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	s.mu.Lock()
	s.cmd, s.exited, s.killed = cmd, exited, false
	s.mu.Unlock()
	return nil
}

// gone says that the process ended without us killing it, and why.
func (s *server) gone() error {
	select {
	case <-s.exited:
		return fmt.Errorf("archive serve ended by itself: %s", s.cmd.ProcessState)
	default:
		return nil
	}
}

// kill is kill -9 of the Archive.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// stop ends it politely.
func (s *server) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(time.Minute):
		s.kill()
		return errors.New("archive serve did not stop within a minute of SIGTERM")
	}
	if !s.cmd.ProcessState.Success() {
		return fmt.Errorf("archive serve stopped with %s", s.cmd.ProcessState)
	}
	return nil
}

// killPostgres is kill -9 of the postmaster, or one time in four of one of its sessions, which makes it recover too.
func (s *server) killPostgres() error {
	read, err := os.ReadFile(filepath.Join(s.data, "postgres", "postmaster.pid"))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(read), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return err
	}
	if chance(25) {
		if children := childrenOf(pid); len(children) > 0 {
			pid = children[pick(len(children))]
		}
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

func childrenOf(parent int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// ready waits until everything answers.
func (s *server) ready(ctx context.Context, c *client) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		a, err := c.send(ctx, request{method: http.MethodGet, path: "/health/ready"}, false)
		if err == nil && a.status == http.StatusOK {
			return nil
		}
		if gone := s.gone(); gone != nil {
			return gone
		}
		if ctx.Err() != nil {
			return fmt.Errorf("not ready in time: %d %s %w", a.status, a.body, errors.Join(err))
		}
		pause(ctx, 20*time.Millisecond, 20*time.Millisecond)
	}
}
