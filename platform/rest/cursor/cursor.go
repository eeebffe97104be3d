// Package cursor seals the place a list goes on from, so that it is good for that list only.
package cursor

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/fault"
)

// Err refuses a cursor that is not from the list it is used on.
var Err = fault.New(fault.Invalid, "rest.cursor", "this cursor is not from this list as it is asked for now; start again without it")

const macSize = 16

// Seal writes the order key and id of a page's last item, bound to a scope: tenant, operation, order, filters.
func Seal(key []byte, scope, last string, id uuid.UUID) string {
	plain := append(append(make([]byte, 0, len(id)+len(last)), id[:]...), last...)
	return base64.RawURLEncoding.EncodeToString(append(mac(key, scope, plain), plain...))
}

// Open reads what Seal wrote for the same key and scope; anything else is Err.
func Open(key []byte, scope, sealed string) (last string, id uuid.UUID, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil || len(raw) < macSize+len(id) || !hmac.Equal(raw[:macSize], mac(key, scope, raw[macSize:])) {
		return "", id, Err.WithField("query.cursor", "not from this list")
	}
	raw = raw[macSize:]
	return string(raw[len(id):]), uuid.UUID(raw[:len(id)]), nil
}

func mac(key []byte, scope string, plain []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(scope))
	h.Write([]byte{0, 0})
	h.Write(plain)
	return h.Sum(nil)[:macSize]
}
