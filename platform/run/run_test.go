package run_test

import (
	"testing"

	"github.com/bgce/archive/platform/run"
)

func TestWordsChooseParts(t *testing.T) {
	rooms := []string{"harbour", "billing"}
	for words, want := range map[string]map[[2]string]bool{
		"all":                                  {{"write", "harbour"}: true, {"project", "billing"}: true},
		"write:harbour read:* project:harbour": {{"write", "harbour"}: true, {"write", "billing"}: false, {"read", "billing"}: true, {"project", "billing"}: false},
		"write:harbour,billing":                {{"write", "billing"}: true, {"read", "billing"}: false},
	} {
		parts, err := run.Parse(words, rooms)
		if err != nil {
			t.Errorf("%s: %v", words, err)
		}
		for part, has := range want {
			if parts.Has(part[0], part[1]) != has {
				t.Errorf("%s: %v is %v, want %v", words, part, !has, has)
			}
		}
		if parts.Everything() != (words == "all") {
			t.Errorf("%s: Everything is %v", words, parts.Everything())
		}
	}
	for _, words := range []string{"", "everything", "write", "paint:harbour", "write:nowhere", "write:"} {
		if _, err := run.Parse(words, rooms); err == nil {
			t.Errorf("%q is accepted", words)
		}
	}
}
