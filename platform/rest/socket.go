package rest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	osuser "os/user"
	"strconv"
	"syscall"
	"time"
)

// operatorKey finds the unix user of a connection on the operators' socket.
type operatorKey struct{}

// ServeSocket answers operators on a unix socket (mode 0600) until the context ends. Whoever may open it as root or as the user this
// process runs as acts as "operator:<unix user>" with platform rights, without a token and without limits.
func (a *API) ServeSocket(ctx context.Context, path string) error {
	l, err := listenUnix(path)
	if err != nil {
		return err
	}
	return a.serve(ctx, peers{l}, func(ctx context.Context, c net.Conn) context.Context {
		if p, ok := c.(*peer); ok {
			return context.WithValue(ctx, operatorKey{}, p.name)
		}
		return ctx
	})
}

// listenUnix takes over a socket nobody answers on (its process was killed), and leaves one alone that somebody does.
func listenUnix(path string) (*net.UnixListener, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("rest: another process answers on %s", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// peers accepts connections of root and of our own user only.
type peers struct{ *net.UnixListener }

type peer struct {
	*net.UnixConn
	name string
}

func (l peers) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUID(c); err == nil && (uid == 0 || int(uid) == os.Geteuid()) {
			return &peer{c, userName(uid)}, nil
		}
		c.Close()
	}
}

func peerUID(c *net.UnixConn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *syscall.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, credErr); err != nil {
		return 0, err
	}
	return cred.Uid, nil
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := osuser.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
