package apitest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/rest"
)

// satisfies says, independently of the edge, which permission words each caller meets in the tenant it is at home in.
var satisfies = map[string][]string{
	"":          {"public"},
	"user":      {"public", "user"},
	"viewer":    {"public", "user", "viewer"},
	"editor":    {"public", "user", "viewer", "editor"},
	"admin":     {"public", "user", "viewer", "editor", "admin"},
	"employer":  {"public", "user", "employer"},
	"evaluator": {"public", "user", "evaluator"},
	"service":   {"public", "user", "service"},
	"platform":  {"public", "user", "viewer", "editor", "admin", "platform"},
}

var parameter = regexp.MustCompile(`\{[^}]*\}`)

// Sweep calls every operation as nobody and in every role on something that is not there: who may not is refused with 401 or 403
// before anything is read, who may gets past that.
func (s *Server) Sweep(t *testing.T) {
	for _, p := range s.API.Permissions() {
		if strings.HasPrefix(p.Path, "/.well-known/") {
			continue
		}
		t.Run(p.Operation, func(t *testing.T) {
			for caller, words := range satisfies {
				a := s.Do(t, Case{
					Do:     p.Method + " " + parameter.ReplaceAllString(p.Path, uuid.NewString()),
					As:     caller,
					Header: map[string]string{"Accept": "image/png"}, // whoever is let in is told that answers are JSON: nothing happens
				})
				s.expect(t, p, caller, words, a)
			}
		})
	}
}

func (s *Server) expect(t *testing.T, p rest.Permission, caller string, words []string, a Answer) {
	t.Helper()
	may := slices.ContainsFunc(strings.Split(p.Who, "|"), func(w string) bool {
		return slices.Contains(words, w) || (w == "owner" && caller != "") // who owns is known later
	})
	switch {
	case may && (a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden):
		t.Errorf("%q may %s (%s) but got %d: %s", caller, p.Operation, p.Who, a.Status, a.Body)
	case !may && caller == "" && a.Status != http.StatusUnauthorized:
		t.Errorf("nobody logged in calls %s (%s) and gets %d instead of 401: %s", p.Operation, p.Who, a.Status, a.Body)
	case !may && caller != "" && (a.Status != http.StatusForbidden || a.Code() != "rest.forbidden"):
		t.Errorf("%q may not %s (%s) but got %d instead of 403 rest.forbidden: %s", caller, p.Operation, p.Who, a.Status, a.Body)
	}
}

// Uncovered lists what no recorded request has shown yet: a success of every operation, and every given problem code.
func (s *Server) Uncovered(codes []string) []string {
	ok, provoked := map[string]bool{}, map[string]bool{}
	for _, seen := range s.Seen() {
		ok[seen.Operation] = ok[seen.Operation] || seen.Status/100 == 2
		provoked[seen.Code] = true
	}
	var missing []string
	for _, p := range s.API.Permissions() {
		if !ok[p.Operation] {
			missing = append(missing, "no success of "+p.Operation)
		}
	}
	for _, code := range codes {
		if !provoked[code] {
			missing = append(missing, "nothing provokes "+code)
		}
	}
	return missing
}
