package embedded

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// data is a directory nobody but this user can enter, deeper than a socket's address can name.
func data(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long-", 25), "it's here")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func start(t *testing.T, dir string) *Server {
	t.Helper()
	s, err := Start(t.Context(), Options{Data: dir, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func exec1(t *testing.T, dsn, sql string) (answer string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

func TestWhatIsCommittedSurvivesEverything(t *testing.T) {
	dir := data(t)
	s := start(t, dir)
	exec1(t, s.DSN(), "WITH x AS (SELECT 1) SELECT 'made'")
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes", "data_checksums"} {
		if got := exec1(t, s.DSN(), "SELECT current_setting('"+setting+"')"); got != "on" {
			t.Errorf("%s is %s", setting, got)
		}
	}
	if got := exec1(t, s.DSN(), "SELECT current_setting('listen_addresses') || current_setting('server_encoding')"); got != "UTF8" {
		t.Errorf("it listens on an address, or is not UTF8: %s", got)
	}
	run(t, s.DSN(), "CREATE TABLE kept (n int)")

	// killed while it serves: it comes back by itself
	run(t, s.DSN(), "INSERT INTO kept VALUES (1)")
	kill(t, s)
	within(t, 10*time.Second, func() bool { return ping(t.Context(), s.DSN()) == nil })
	if got := exec1(t, s.DSN(), "SELECT count(*)::text FROM kept"); got != "1" {
		t.Errorf("%s rows after kill -9, want 1", got)
	}

	// stopped and started
	s.Stop()
	if _, found := Running(t.Context(), dir); found {
		t.Error("it still runs after Stop")
	}
	s = start(t, dir)
	if dsn, found := Running(t.Context(), dir); !found || exec1(t, dsn, "SELECT count(*)::text FROM kept") != "1" {
		t.Error("not found running, or the row is lost")
	}
	s.Stop()
}

// The number of a killed postmaster may be another PostgreSQL's by now; its lock files must not be taken for a living owner's.
func TestLocksOfTheDeadAreNobodys(t *testing.T) {
	living := start(t, data(t))
	defer living.Stop()
	dir := data(t)
	s := start(t, dir)
	s.Stop()
	lock := strconv.Itoa(living.child.process.Pid) + "\n" + s.pgdata + "\n1\n5432\n"
	for _, name := range []string{"postmaster.pid", ".s.PGSQL.5432.lock"} {
		path := filepath.Join(s.pgdata, name)
		write(t, path, lock)
		if s.owner.drop {
			if err := os.Chown(path, int(s.owner.uid), int(s.owner.gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	start(t, dir).Stop()
	if err := ping(t.Context(), living.DSN()); err != nil {
		t.Errorf("the other PostgreSQL was harmed: %v", err)
	}
}

// TestMain serves a directory and never stops when it is started as the process that a test kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("ARCHIVE_TEST_SERVE"); dir != "" {
		_, err := Start(context.Background(), Options{Data: dir, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
		os.Stdout.WriteString("started " + strconv.FormatBool(err == nil) + "\n")
		select {}
	}
	os.Exit(m.Run())
}

func TestAKilledParentLeavesNothingInTheWay(t *testing.T) {
	dir := data(t)
	for round := range 2 {
		parent := exec.Command(os.Args[0])
		parent.Env = append(os.Environ(), "ARCHIVE_TEST_SERVE="+dir)
		out, err := parent.StdoutPipe()
		if err != nil || parent.Start() != nil {
			t.Fatal(err)
		}
		said := make([]byte, 64)
		n, _ := out.Read(said)
		if string(said[:n]) != "started true\n" {
			t.Fatalf("round %d: %q", round, said[:n])
		}
		dsn, found := Running(t.Context(), dir)
		if !found {
			t.Fatal("not running")
		}
		if round == 0 {
			run(t, dsn, "CREATE TABLE kept AS SELECT 'x' AS v")
		}
		if err := parent.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = parent.Wait()
	}
	began := time.Now()
	s := start(t, dir)
	defer s.Stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("ready after %s, want within 5 s", took)
	}
	if got := exec1(t, s.DSN(), "SELECT v FROM kept"); got != "x" {
		t.Errorf("lost: %q", got)
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	foreign := data(t)
	write(t, filepath.Join(foreign, "postgres", "PG_VERSION"), "9.6\n")
	stuffed := data(t)
	write(t, filepath.Join(stuffed, "postgres", "notes.txt"), "mine")
	for name, c := range map[string]struct{ dir, bin, says string }{
		"a foreign version": {foreign, "", "was made by PostgreSQL 9.6, installed: "},
		"nothing installed": {data(t), "/nonexistent", "no PostgreSQL 15 or newer found in /nonexistent: install one (apt-get install postgresql"},
		"not a cluster":     {stuffed, "", "holds files but no PostgreSQL cluster: move them away"},
	} {
		_, err := Start(t.Context(), Options{Data: c.dir, Bin: c.bin, Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", name, err, c.says)
		}
	}
}

func TestAFullDiskIsNamed(t *testing.T) {
	for _, lines := range [][]string{
		{`FATAL:  could not write to file "pg_wal/xlogtemp.4": No space left on device`, "LOG:  startup process exited"},
		{`FATAL:  could not extend file "base/1/2691": wrote only 4096 of 8192 bytes at block 3`, "HINT:  Check free disk space.", "PANIC:  cannot abort transaction 1"},
		{`PANIC:  could not extend file "base/1/2691": wrote only 4096 of 8192 bytes at block 3`},
	} {
		err := diskError("./data", errors.New("initdb failed: "+(&child{lines: lines}).lastWords()))
		if want := "the disk of ./data is full: free some space (df -h ./data), or name another directory with ARCHIVE_DATA"; err.Error() != want {
			t.Errorf("%v", err)
		}
	}
}

func TestAHalfMadeClusterIsMadeAgain(t *testing.T) {
	dir := data(t)
	write(t, filepath.Join(dir, "postgres.new", "PG_VERSION"), "15\n")
	s := start(t, dir)
	defer s.Stop()
	if got := exec1(t, s.DSN(), "SELECT 'yes'"); got != "yes" {
		t.Error(got)
	}
}

func TestOneProcessServesADirectory(t *testing.T) {
	dir := data(t)
	release, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Lock(dir)
	if want := "is in use by process " + strconv.Itoa(os.Getpid()) + ": stop it (kill " + strconv.Itoa(os.Getpid()) + ")"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
	release()
	if release, err = Lock(dir); err != nil {
		t.Fatal(err)
	}
	release()
}

func run(t *testing.T, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// kill ends the postmaster the hard way and waits until the kernel has taken it.
func kill(t *testing.T, s *Server) {
	t.Helper()
	gone := s.child.exited
	if err := syscall.Kill(s.child.process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-gone
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func within(t *testing.T, d time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(d); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time")
		}
	}
}
