package pgerr_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bgce/archive/platform/pgerr"
	"github.com/bgce/archive/platform/pgtest"
)

func TestWhatTryingAgainMayHelp(t *testing.T) {
	broken := &net.OpError{Op: "write", Net: "unix", Err: syscall.EPIPE}
	for want, errs := range map[bool][]error{
		true: {
			broken, fmt.Errorf("write failed: %w", broken), context.DeadlineExceeded,
			&pgconn.PgError{Code: "57P01"}, &pgconn.PgError{Code: "40P01"}, &pgconn.PgError{Code: "55P03"}, &pgconn.PgError{Code: "53100"},
		},
		false: {errors.New("no"), &pgconn.PgError{Code: "42P01"}, &pgconn.PgError{Code: "23505"}, &pgconn.PgError{Code: "22021"}},
	} {
		for _, err := range errs {
			if pgerr.Transient(err) != want {
				t.Errorf("%v: transient %v, want %v", err, !want, want)
			}
		}
	}
}

func TestADeadConnectionIsTransient(t *testing.T) {
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := conn.PgConn().Conn().Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, `SELECT 1`); err == nil || !pgerr.Transient(err) {
		t.Errorf("a statement on a dead socket: %v", err)
	}
	if _, err := pgx.Connect(ctx, "host=/nowhere user=nobody"); err == nil || !pgerr.Transient(err) {
		t.Errorf("a server that is not there: %v", err)
	}
}
