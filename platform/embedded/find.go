package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// oldest is the first PostgreSQL the log's engine works on.
const oldest = 15

// install is a directory with initdb and postgres.
type install struct {
	bin     string
	major   int
	version string // "15.18"
}

var versionOf = regexp.MustCompile(`\(PostgreSQL\) ((\d+)[^ \n]*)`)

// installs lists what is there, newest first; only looks in dir when it is given.
func installs(dir string) []install {
	dirs := []string{dir}
	if dir == "" {
		dirs, _ = filepath.Glob("/usr/lib/postgresql/*/bin")
		dirs = append(dirs, "/usr/local/pgsql/bin")
		if path, err := exec.LookPath("postgres"); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	var found []install
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // of saying its own name
	defer cancel()
	for _, d := range dirs {
		out, err := exec.CommandContext(ctx, filepath.Join(d, "postgres"), "--version").Output()
		if m := versionOf.FindStringSubmatch(string(out)); err == nil && m != nil {
			major, _ := strconv.Atoi(m[2])
			found = append(found, install{d, major, m[1]})
		}
	}
	slices.SortStableFunc(found, func(a, b install) int { return b.major - a.major })
	return found
}

// choose picks the binaries for a data directory: the same major version if it has data, else the newest.
func choose(pgdata, binDir string) (install, error) {
	found := installs(binDir)
	read, err := os.ReadFile(filepath.Join(pgdata, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		if len(found) == 0 || found[0].major < oldest {
			return install{}, fmt.Errorf("no PostgreSQL %d or newer found%s: install one (apt-get install postgresql%s), or name a server with ARCHIVE_DB", oldest, in(binDir), asRoot())
		}
		return found[0], nil
	}
	if err != nil {
		return install{}, fmt.Errorf("%s cannot be read (%w): run archive as the user who made it", pgdata, err)
	}
	made := strings.TrimSpace(string(read))
	var have []string
	for _, i := range found {
		if strconv.Itoa(i.major) == made {
			return i, nil
		}
		have = append(have, strconv.Itoa(i.major))
	}
	if len(have) == 0 {
		have = []string{"none"}
	}
	return install{}, fmt.Errorf("%s was made by PostgreSQL %s, installed%s: %s; install that version (apt-get install postgresql-%s%s), or name another directory with ARCHIVE_DATA",
		pgdata, made, in(binDir), strings.Join(have, ", "), made, asRoot())
}

func in(dir string) string {
	if dir == "" {
		return ""
	}
	return " in " + dir
}

func asRoot() string {
	if os.Geteuid() == 0 {
		return ""
	}
	return ", as root"
}
