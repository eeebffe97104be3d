package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Lock makes this process the only one that serves the data directory, which is made if it is not there; release ends it.
// The kernel frees it when the process dies, however it dies.
func Lock(data string) (release func(), err error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, diskError(data, fmt.Errorf("the data directory cannot be made: %w; name another with ARCHIVE_DATA", err))
	}
	path := filepath.Join(data, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, diskError(data, fmt.Errorf("the data directory cannot be written: %w; name another with ARCHIVE_DATA", err))
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s cannot be locked: %w; use a local file system", path, err)
		}
		read := make([]byte, 20)
		n, _ := f.Read(read)
		return nil, fmt.Errorf("%s is in use by process %s: stop it (kill %[2]s), or name another directory with ARCHIVE_DATA", data, strings.TrimSpace(string(read[:n])))
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	if err != nil {
		f.Close()
		return nil, diskError(data, err)
	}
	return func() { f.Close() }, nil
}

// noSpace is how the system and PostgreSQL say that the disk is full.
var noSpace = []string{"No space left on device", "Check free disk space", ": wrote only "}

// diskError says what to do when the disk is full; other errors stay as they are.
func diskError(data string, err error) error {
	said := func(words string) bool { return strings.Contains(err.Error(), words) }
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || slices.ContainsFunc(noSpace, said) {
		return fmt.Errorf("the disk of %s is full: free some space (df -h %s), or name another directory with ARCHIVE_DATA", data, data)
	}
	return err
}
