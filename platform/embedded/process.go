package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// settings keep what is acknowledged and keep statements and values out of the log.
var settings = []string{
	"-D", inChild,
	"-c", "listen_addresses=", "-c", "unix_socket_directories=.", "-c", "unix_socket_permissions=0700", "-c", "port=5432",
	"-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "full_page_writes=on",
	"-c", "max_connections=100", "-c", "shared_buffers=256MB", "-c", "max_wal_size=1GB", "-c", "min_wal_size=128MB",
	"-c", "checkpoint_completion_target=0.9", "-c", "random_page_cost=1.1", "-c", "jit=off",
	"-c", "log_destination=stderr", "-c", "logging_collector=off", "-c", "log_line_prefix=", "-c", "lc_messages=C",
	"-c", "log_min_error_statement=panic", "-c", "log_error_verbosity=terse", "-c", "log_min_messages=log",
	"-c", "timezone=UTC", "-c", "log_timezone=UTC",
}

// inChild is the data directory as the child sees it: an inherited open directory, so that no parent of it needs to be readable
// to the user PostgreSQL runs as.
const inChild = "/proc/self/fd/3"

// owner is the user PostgreSQL runs as; the zero value is this process's own.
type owner struct {
	drop     bool // this process is root and must become uid, gid
	adopt    bool // the files are root's (copied, restored): they must change hands first
	uid, gid uint32
}

// ownerOf keeps the user who made the cluster; a new one belongs to postgres or nobody when this process is root.
func ownerOf(pgdata string) (owner, error) {
	var made *syscall.Stat_t
	if info, err := os.Stat(pgdata); err == nil {
		made = info.Sys().(*syscall.Stat_t)
	}
	if os.Geteuid() != 0 {
		if made != nil && int(made.Uid) != os.Geteuid() {
			return owner{}, fmt.Errorf("%s belongs to user %d: run archive as that user or as root, or name another directory with ARCHIVE_DATA", pgdata, made.Uid)
		}
		return owner{}, nil
	}
	if made != nil && made.Uid != 0 {
		return owner{drop: true, uid: made.Uid, gid: made.Gid}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.ParseUint(u.Uid, 10, 32)
			gid, _ := strconv.ParseUint(u.Gid, 10, 32)
			return owner{drop: true, adopt: made != nil, uid: uint32(uid), gid: uint32(gid)}, nil
		}
	}
	return owner{}, fmt.Errorf("PostgreSQL does not run as root and there is no user postgres or nobody: make one (useradd --system postgres), or run archive as another user")
}

// give makes the tree belong to the owner.
func (o owner) give(dir string) error {
	if !o.drop {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(o.uid), int(o.gid))
	})
}

// initialise makes the cluster beside its place and moves it there, so that a half-made one is never taken for whole.
func (s *Server) initialise(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(s.pgdata, "PG_VERSION")); err == nil {
		if s.owner.adopt {
			err = s.owner.give(s.pgdata)
		}
		return errors.Join(err, os.Chmod(s.pgdata, 0o700))
	}
	if left, err := os.ReadDir(s.pgdata); err == nil && len(left) > 0 {
		return fmt.Errorf("%s holds files but no PostgreSQL cluster: move them away, or name another directory with ARCHIVE_DATA", s.pgdata)
	}
	half := s.pgdata + ".new"
	if err := os.RemoveAll(half); err != nil {
		return err
	}
	if err := os.Mkdir(half, 0o700); err != nil {
		return err
	}
	if err := s.owner.give(half); err != nil {
		return err
	}
	dir, err := os.Open(half)
	if err != nil {
		return err
	}
	defer dir.Close()
	s.dir = dir
	c, err := s.spawn("initdb", "-D", inChild, "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--data-checksums", "--no-instructions")
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		c.end(time.Second)
		return ctx.Err()
	case <-c.exited:
	}
	if c.err != nil {
		return fmt.Errorf("initdb failed: %s", c.lastWords())
	}
	if err := os.RemoveAll(s.pgdata); err != nil {
		return err
	}
	return os.Rename(half, s.pgdata)
}

// child is a running process and the last lines it wrote.
type child struct {
	process *os.Process
	exited  chan struct{} // closed when it has ended and its output has been read
	silent  chan struct{} // closed when nobody can write to it any more
	err     error         // valid after exited

	mu    sync.Mutex
	lines []string
}

// spawn starts a PostgreSQL program without privileges. When this process dies, the kernel asks it to stop.
func (s *Server) spawn(program string, args ...string) (*child, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(s.found.bin, program), args...) //nolint:noctx // it is stopped by stop, in its own time, never killed with a context
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC"}
	cmd.Stdout, cmd.Stderr = in, in
	cmd.ExtraFiles = []*os.File{s.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT} // its own group: Ctrl-C is for us alone
	if s.owner.drop {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: s.owner.uid, Gid: s.owner.gid}
	}
	c := &child{exited: make(chan struct{}), silent: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the kernel's promise is about the thread that started the child: keep it until the child has ended
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		in.Close()
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		select { // its own children may hold the pipe longer
		case <-c.silent:
		case <-time.After(100 * time.Millisecond):
		}
		close(c.exited)
	}()
	if err := <-started; err != nil {
		out.Close()
		return nil, fmt.Errorf("%s cannot be started: %w", cmd.Path, err)
	}
	c.process = cmd.Process
	go c.listen(out, s)
	return c, nil
}

// listen keeps the last lines and passes them on for debugging. It ends when every process that may write has.
func (c *child) listen(out io.ReadCloser, s *Server) {
	defer close(c.silent)
	defer out.Close()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		s.opt.Log.Debug("postgres", "line", line)
		c.mu.Lock()
		if c.lines = append(c.lines, line); len(c.lines) > 20 {
			c.lines = c.lines[1:]
		}
		c.mu.Unlock()
	}
}

// lastWords is the most telling of the last lines.
func (c *child) lastWords() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, mark := range append(slices.Clone(noSpace), "PANIC:", "FATAL:", "error:") {
		for _, v := range slices.Backward(c.lines) {
			if line := v; strings.Contains(line, mark) && !strings.Contains(line, "starting up") {
				return strings.Join(strings.Fields(line), " ")
			}
		}
	}
	if c.err != nil {
		return c.err.Error()
	}
	return "it ended without a word"
}

// end stops the process: politely, then at once, then by force.
func (c *child) end(patience time.Duration) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		_ = c.process.Signal(sig)
		select {
		case <-c.exited:
			return
		case <-time.After(patience):
			patience = 5 * time.Second
		}
	}
	<-c.exited
}

// clear ends what an earlier process left running on this cluster (a postmaster still stopping, sessions that outlived it)
// and its lock files, whose pid may be somebody else's by now. We hold the data directory's lock, so nobody else may be at work here.
func (s *Server) clear(ctx context.Context) error {
	began, last := time.Now(), syscall.Signal(0)
	for {
		left := s.orphans()
		if len(left) == 0 {
			for _, lock := range []string{"postmaster.pid", ".s.PGSQL.5432.lock", ".s.PGSQL.5432"} {
				if err := os.Remove(filepath.Join(s.pgdata, lock)); err != nil && !os.IsNotExist(err) {
					return err
				}
			}
			return nil
		}
		sig := syscall.SIGINT
		switch waited := time.Since(began); {
		case waited > 3*time.Second:
			sig = syscall.SIGKILL
		case waited > 1500*time.Millisecond:
			sig = syscall.SIGQUIT
		}
		if sig != last {
			s.opt.Log.Info("waiting for what the last PostgreSQL left running", "processes", len(left))
			for _, pid := range left {
				_ = syscall.Kill(pid, sig)
			}
			last = sig
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// orphans are the postgres processes at home in our data directory.
func (s *Server) orphans() []int {
	home, err := s.dir.Stat()
	if err != nil {
		return nil
	}
	var pids []int
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, entry := range entries {
		at, err := os.Stat(entry + "/cwd")
		if err != nil || !os.SameFile(at, home) {
			continue
		}
		if name, err := os.ReadFile(entry + "/comm"); err != nil || !strings.HasPrefix(string(name), "postgres") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(entry)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
