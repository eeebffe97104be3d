package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bgce/archive/platform/schemas"
)

// acceptedFile holds the findings people decided to live with, a line each; lines with # say why.
const acceptedFile = "accepted-breaks.txt"

// breaks compares what is generated with what was committed before: every one of the last twenty versions of the event schemas, which are
// for ever, and the last two of the API document, so that a change is seen both before and after it is committed.
func breaks(now map[string][]byte) ([]string, error) {
	events := map[string][]byte{}
	for name, text := range now {
		if file, ok := strings.CutPrefix(name, "events/"); ok {
			events[file] = text
		}
	}
	var found []string
	for _, commit := range commits(20, dir+"/events") {
		before, err := committedEvents(commit)
		if err != nil {
			return nil, err
		}
		breaking, err := schemas.Breaking(before, events)
		if err != nil {
			return nil, err
		}
		found = append(found, breaking...)
	}
	for _, commit := range commits(2, dir+"/openapi.json") {
		before, err := git("show", commit+":"+dir+"/openapi.json")
		if err != nil {
			return nil, err
		}
		breaking, err := breakingAPI(before, now["openapi.json"])
		if err != nil {
			return nil, err
		}
		found = append(found, breaking...)
	}
	slices.Sort(found)
	accepted, err := accepted()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Compact(found), func(finding string) bool { return accepted[finding] }), nil
}

// commits lists the last that changed a path; none in a tree without history.
func commits(n int, path string) []string {
	out, err := git("rev-list", "-n", fmt.Sprint(n), "HEAD", "--", path)
	if err != nil {
		return nil
	}
	return strings.Fields(string(out))
}

func git(args ...string) ([]byte, error) {
	out, err := exec.Command("git", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}

func committedEvents(commit string) (map[string][]byte, error) {
	names, err := git("ls-tree", "--name-only", commit, dir+"/events/")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for path := range strings.FieldsSeq(string(names)) {
		if files[filepath.Base(path)], err = git("show", commit+":"+path); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// breakingAPI asks oasdiff; its findings are one line each.
func breakingAPI(before, now []byte) ([]string, error) {
	tmp, err := os.MkdirTemp("", "archive-api")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	was, is := filepath.Join(tmp, "before.json"), filepath.Join(tmp, "now.json")
	if err := errors.Join(os.WriteFile(was, before, 0o600), os.WriteFile(is, now, 0o600)); err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("go", "tool", "-modfile=tools/go.mod", "oasdiff", "breaking", "--format", "singleline", "--fail-on", "ERR", "--color", "never", was, is)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1 || stdout.Len() == 0) {
		return nil, fmt.Errorf("oasdiff: %w: %s", err, stderr.Bytes())
	}
	var found []string
	for lines := bufio.NewScanner(&stdout); lines.Scan(); {
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, "error") {
			found = append(found, "openapi.json: "+strings.NewReplacer(was, "before", is, "now").Replace(line))
		}
	}
	if err != nil && len(found) == 0 {
		return nil, fmt.Errorf("oasdiff: %s", stdout.Bytes())
	}
	return found, nil
}

func accepted() (map[string]bool, error) {
	text, err := os.ReadFile(filepath.Join(dir, acceptedFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	lines := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		lines[strings.TrimSpace(line)] = true
	}
	return lines, err
}
