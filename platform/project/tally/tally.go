// Package tally counts events so that two countings can be compared, whatever their order.
package tally

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"

	"github.com/google/uuid"
)

// Digest is an order-independent sum of event ids: mod 2^128, of the first 16 bytes of each id's SHA-256.
type Digest [16]byte

// Add puts another digest into the sum.
func (d *Digest) Add(o Digest) {
	low, carry := bits.Add64(binary.BigEndian.Uint64(d[8:]), binary.BigEndian.Uint64(o[8:]), 0)
	high, _ := bits.Add64(binary.BigEndian.Uint64(d[:8]), binary.BigEndian.Uint64(o[:8]), carry)
	binary.BigEndian.PutUint64(d[8:], low)
	binary.BigEndian.PutUint64(d[:8], high)
}

// MarshalText gives 32 hex digits.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

func digestOf(id uuid.UUID) Digest {
	sum := sha256.Sum256(id[:])
	return Digest(sum[:16])
}

// Tally is how many events, and which.
type Tally struct {
	Count  int64  `json:"count"`
	Digest Digest `json:"digest"`
}

// Add counts one more event.
func (t *Tally) Add(id uuid.UUID) { t.Count++; t.Digest.Add(digestOf(id)) }

// Plus adds another tally.
func (t *Tally) Plus(o Tally) { t.Count += o.Count; t.Digest.Add(o.Digest) }
