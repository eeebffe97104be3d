package vault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Key is a 256-bit secret. It does not print itself.
type Key [32]byte

// NewKey makes a random key.
func NewKey() Key {
	var k Key
	rand.Read(k[:]) // never fails: crypto/rand ends the process instead
	return k
}

// ParseKey reads what ARCHIVE_KEY holds: base64 of 32 bytes, or file:PATH of a file that holds it. Errors never show the value.
func ParseKey(text string) (Key, error) {
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		data, err := os.ReadFile(path)
		if err != nil {
			return Key{}, fmt.Errorf("ARCHIVE_KEY names a file that cannot be read: %w", err)
		}
		text = string(data)
	}
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(strings.TrimSpace(text), "="))
	data, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(data) != len(Key{}) {
		return Key{}, errors.New("ARCHIVE_KEY is not base64 of 32 bytes; make one with: archive key new")
	}
	return Key(data), nil
}

// Base64 is the form that ParseKey reads.
func (k Key) Base64() string { return base64.StdEncoding.EncodeToString(k[:]) }

// String and GoString keep the key out of logs.
func (k Key) String() string   { return "[key]" }
func (k Key) GoString() string { return "[key]" }

const format = 1

// box seals with AES-256-GCM under random nonces. What it seals begins with a format byte and the id of its key.
type box struct {
	id   []byte
	aead cipher.AEAD
}

var errOtherKey = errors.New("vault: sealed under another key")

func newBox(k Key) *box {
	sum := sha256.Sum256(append([]byte("archive key id\x00"), k[:]...))
	block, err := aes.NewCipher(k[:])
	if err != nil {
		panic(err) // the length is fixed
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return &box{sum[:4], aead}
}

func (b *box) seal(aad string, plain []byte) []byte {
	head := append([]byte{format}, b.id...)
	return b.aead.Seal(head, nil, plain, []byte(aad)) //nolint:gosec // this GCM makes its own random nonce and takes none
}

func (b *box) open(aad string, sealed []byte) ([]byte, error) {
	if len(sealed) < 5 || sealed[0] != format {
		return nil, errors.New("vault: not something sealed here")
	}
	if !bytes.Equal(sealed[1:5], b.id) {
		return nil, errOtherKey
	}
	plain, err := b.aead.Open(nil, nil, sealed[5:], []byte(aad))
	if err != nil {
		return nil, errors.New("vault: altered, or moved from where it was sealed")
	}
	return plain, nil
}

func (b *box) openKey(aad string, sealed []byte) (Key, error) {
	plain, err := b.open(aad, sealed)
	if err == nil && len(plain) != len(Key{}) {
		err = errors.New("vault: not a key")
	}
	if err != nil {
		return Key{}, err
	}
	return Key(plain), nil
}
