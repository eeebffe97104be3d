package wire_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	html "html/template"
	"reflect"
	"sync/atomic"
	"testing"
	text "text/template"

	"github.com/bgce/archive/platform/rest/wire"
)

// TestEqualNamesDoNotClash stands for two rooms, and for two layers of one room, with types of one name.
func TestEqualNamesDoNotClash(t *testing.T) {
	name := wire.Namer()
	for _, c := range []struct {
		of   reflect.Type
		want string
	}{
		{reflect.TypeFor[rsa.PublicKey](), "RsaPublicKey"},
		{reflect.TypeFor[ecdsa.PublicKey](), "EcdsaPublicKey"},
		{reflect.TypeFor[*rsa.PublicKey](), "RsaPublicKey"},
		{reflect.TypeFor[atomic.Pointer[rsa.PublicKey]](), "AtomicPointerRsaPublicKey"},
		{reflect.TypeFor[atomic.Pointer[ecdsa.PublicKey]](), "AtomicPointerEcdsaPublicKey"},
		{reflect.TypeFor[html.Template](), "Template"},
		{reflect.TypeFor[text.Template](), "TextTemplate"},
		{reflect.TypeFor[html.Template](), "Template"},
	} {
		if got := name(c.of, ""); got != c.want {
			t.Errorf("%s is called %s, want %s", c.of, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{"PublishPost": "publish-post", "ReadJWKS": "read-jwks", "HTTPServer": "http-server", "A": "a"} {
		if got := wire.Kebab(in); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
	if got := wire.Sentence("PublishPost"); got != "Publish post" {
		t.Error(got)
	}
}
