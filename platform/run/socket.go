package run

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// longestSocket is what a socket's address may take on Linux, less the closing zero.
const longestSocket = 107

// Reach gives an address for a unix socket that fits: a path too long is reached through an open directory, until done is called.
func Reach(path string) (address string, done func(), err error) {
	if len(path) <= longestSocket {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), func() { dir.Close() }, nil
}

// Dial connects to a unix socket however long its path is.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	address, done, err := Reach(path)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "unix", Err: err}
	}
	defer done()
	var d net.Dialer
	return d.DialContext(ctx, "unix", address)
}
