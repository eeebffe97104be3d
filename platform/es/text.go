package es

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/bgce/archive/platform/eventstore"
)

// InlineText is the size in bytes up to which a Text stands in its event; beyond it is kept by its hash.
const InlineText = 32 << 10

// Text is a text that may be large. Equality is by hash, so state and decisions need not hold the text itself.
// In a payload it is a string up to InlineText, else {"sha256": hex, "size": bytes}.
type Text struct {
	hash   eventstore.Hash
	size   int
	text   string
	absent bool // only hash and size are known
}

// NewText makes a Text.
func NewText(s string) Text { return Text{hash: sha256.Sum256([]byte(s)), size: len(s), text: s} }

// Same reports whether two texts are equal.
func (t Text) Same(o Text) bool { return t.sum() == o.sum() }

// Size is its length in bytes.
func (t Text) Size() int { return t.size }

// String is the text; empty when it has not been loaded.
func (t Text) String() string { return t.text }

// Loaded reports whether String is the whole text.
func (t Text) Loaded() bool { return !t.absent }

// Light drops the text and keeps what equality needs, for states.
func (t Text) Light() Text { return Text{hash: t.sum(), size: t.size, absent: t.size > 0} }

func (t Text) sum() eventstore.Hash {
	if t.hash == (eventstore.Hash{}) {
		return sha256.Sum256([]byte(t.text))
	}
	return t.hash
}

func (t Text) large() bool { return t.size > InlineText }

type textRef struct {
	SHA256 string `json:"sha256"`
	Size   int    `json:"size"`
}

// MarshalJSON writes the text, or what stands for it when it is large.
func (t Text) MarshalJSON() ([]byte, error) {
	if t.large() {
		sum := t.sum()
		return json.Marshal(textRef{hex.EncodeToString(sum[:]), t.size})
	}
	if t.absent {
		return nil, fmt.Errorf("es: a text of %d bytes was dropped from a state and cannot be stored again", t.size)
	}
	return json.Marshal(t.text)
}

// UnmarshalJSON reads either form.
func (t *Text) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		*t = NewText(s)
		return nil
	}
	var ref textRef
	if err := json.Unmarshal(data, &ref); err != nil {
		return err
	}
	sum, err := hex.DecodeString(ref.SHA256)
	if err != nil || len(sum) != len(t.hash) {
		return fmt.Errorf("es: not a SHA-256: %q", ref.SHA256)
	}
	*t = Text{hash: eventstore.Hash(sum), size: ref.Size, absent: ref.Size > 0}
	return nil
}
