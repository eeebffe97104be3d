package es

import (
	"context"
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
)

// Vault keeps the keys of tenants and persons.
type Vault interface {
	// Seal encrypts under the subject's key, made on first use; ErrErased when the subject was erased.
	Seal(ctx context.Context, tenant, subject uuid.UUID, aad string, plain []byte) ([]byte, error)
	// Unseal decrypts; known is false when the key is gone for good.
	Unseal(ctx context.Context, tenant, subject uuid.UUID, aad string, sealed []byte) (plain []byte, known bool, err error)
	// ClaimHash is the HMAC of a personal value under the tenant's claim key.
	ClaimHash(ctx context.Context, tenant uuid.UUID, value string) (eventstore.Hash, error)
}

// UnknownEvent stops a reader that meets a type or schema version this build does not know; it never guesses.
type UnknownEvent struct {
	Type     string
	Schema   int
	Known    int // the newest schema version this build knows, 0 if the type is unknown
	ID       uuid.UUID
	Position eventstore.Position
}

func (e *UnknownEvent) Error() string {
	if e.Known == 0 {
		return fmt.Sprintf("es: event %s at %s has type %s, which this build does not know", e.ID, e.Position, e.Type)
	}
	return fmt.Sprintf("es: event %s at %s is %s schema %d, this build knows up to %d: deploy the newer build", e.ID, e.Position, e.Type, e.Schema, e.Known)
}

// sealedMember holds the personal fields of a payload: field name → base64 of the sealed JSON value.
const sealedMember = "$pii"

var codec = json.JoinOptions(json.Deterministic(true))

func marshal(v any) ([]byte, error)      { return json.Marshal(v, codec) }
func unmarshal(data []byte, v any) error { return json.Unmarshal(data, v, codec) }

// layout says which top-level fields of a payload are personal and which are Texts.
type layout struct {
	personal []field
	texts    []int
}

type field struct {
	index int
	name  string // in JSON
}

func layoutOf(t reflect.Type) layout {
	var l layout
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("es: payload %s is not a struct", t))
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type == reflect.TypeFor[Text]() {
			l.texts = append(l.texts, i)
		}
		if _, ok := f.Tag.Lookup("pii"); ok {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" || !f.IsExported() {
				panic(fmt.Sprintf("es: personal field %s.%s needs a json name and must be exported", t, f.Name))
			}
			l.personal = append(l.personal, field{i, name})
		}
	}
	return l
}

// PersonalFields lists the JSON names of a kind's sealed fields.
func (k Kind) PersonalFields() []string {
	var names []string
	for _, f := range k.layout.personal {
		names = append(names, f.name)
	}
	return names
}

func aad(s eventstore.Stream, typ, field string) string {
	return s.String() + "\x00" + typ + "\x00" + field
}

func subjectOf(event any, stream eventstore.Stream) uuid.UUID {
	if p, ok := event.(Personal); ok {
		return p.Subject()
	}
	return stream.ID
}

// encode turns an event into its payload, sealing personal fields; large texts are returned to be put first.
func (k *Kind) encode(ctx context.Context, v Vault, tenant uuid.UUID, stream eventstore.Stream, event any) (data []byte, large []Text, err error) {
	val := reflect.ValueOf(event)
	for _, i := range k.layout.texts {
		if t := val.Field(i).Interface().(Text); t.large() {
			large = append(large, t)
		}
	}
	if len(k.layout.personal) == 0 {
		data, err = marshal(event)
		return data, large, err
	}
	open := reflect.New(k.Go).Elem()
	open.Set(val)
	sealed := map[string]string{}
	for _, f := range k.layout.personal {
		if val.Field(f.index).IsZero() {
			continue
		}
		plain, err := marshal(val.Field(f.index).Interface())
		if err != nil {
			return nil, nil, err
		}
		secret, err := v.Seal(ctx, tenant, subjectOf(event, stream), aad(stream, k.Type, f.name), plain)
		if err != nil {
			return nil, nil, err
		}
		sealed[f.name] = base64.RawStdEncoding.EncodeToString(secret)
		open.Field(f.index).SetZero()
	}
	if data, err = marshal(open.Interface()); err != nil {
		return nil, nil, err
	}
	data, err = withSealed(data, k.layout.personal, sealed)
	return data, large, err
}

// withSealed takes the personal members out of a payload and adds what they were sealed to.
func withSealed(data []byte, personal []field, sealed map[string]string) ([]byte, error) {
	var members map[string]jsontext.Value
	if err := unmarshal(data, &members); err != nil {
		return nil, err
	}
	for _, f := range personal {
		delete(members, f.name)
	}
	if len(sealed) > 0 {
		box, err := marshal(sealed)
		if err != nil {
			return nil, err
		}
		members[sealedMember] = box
	}
	return marshal(members)
}

// Decode gives the typed event of a recorded one, lifted to the newest schema, personal fields empty and large texts not loaded.
func (k Kind) Decode(rec eventstore.Recorded) (any, error) {
	if rec.Schema > k.Schema || rec.Schema < 1 {
		return nil, &UnknownEvent{Type: rec.Type, Schema: rec.Schema, Known: k.Schema, ID: rec.ID, Position: rec.Position}
	}
	data := rec.Data
	for _, u := range k.upcasts[rec.Schema-1:] {
		lifted, err := u.lift(data)
		if err != nil {
			return nil, fmt.Errorf("es: event %s (%s schema %d) does not lift: %w", rec.ID, rec.Type, rec.Schema, err)
		}
		data = lifted
	}
	event, err := k.decode(data)
	if err != nil {
		return nil, fmt.Errorf("es: event %s (%s schema %d) does not decode: %w", rec.ID, rec.Type, rec.Schema, err)
	}
	return event, nil
}

// Opener completes decoded events: personal fields through the vault, large texts from the store.
type Opener struct {
	Vault Vault
	Store eventstore.Store
}

// Open gives the event with its personal fields opened (empty when the person was erased) and its large texts loaded.
func (o Opener) Open(ctx context.Context, k Kind, rec eventstore.Recorded, event any) (any, error) {
	if len(k.layout.personal) == 0 && len(k.layout.texts) == 0 {
		return event, nil
	}
	val := reflect.New(k.Go).Elem()
	val.Set(reflect.ValueOf(event))
	if err := o.unseal(ctx, k, rec, val); err != nil {
		return nil, err
	}
	for _, i := range k.layout.texts {
		t := val.Field(i).Interface().(Text)
		if t.Loaded() {
			continue
		}
		found, err := o.Store.Contents(ctx, []eventstore.Hash{t.hash})
		if err != nil {
			return nil, err
		}
		text, ok := found[t.hash]
		if !ok {
			return nil, fmt.Errorf("es: event %s: %w", rec.ID, eventstore.ErrContentMissing)
		}
		val.Field(i).Set(reflect.ValueOf(Text{hash: t.hash, size: t.size, text: string(text)}))
	}
	return val.Interface(), nil
}

func (o Opener) unseal(ctx context.Context, k Kind, rec eventstore.Recorded, val reflect.Value) error {
	if len(k.layout.personal) == 0 {
		return nil
	}
	var box struct {
		Sealed map[string]string `json:"$pii"`
	}
	if err := unmarshal(rec.Data, &box); err != nil {
		return err
	}
	for _, f := range k.layout.personal {
		text, ok := box.Sealed[f.name]
		if !ok {
			continue
		}
		secret, err := base64.RawStdEncoding.DecodeString(text)
		if err != nil {
			return fmt.Errorf("es: event %s: sealed field %s: %w", rec.ID, f.name, err)
		}
		plain, known, err := o.Vault.Unseal(ctx, rec.Tenant, subjectOf(val.Interface(), rec.Stream), aad(rec.Stream, rec.Type, f.name), secret)
		if err != nil {
			return fmt.Errorf("es: event %s: sealed field %s: %w", rec.ID, f.name, err)
		}
		if !known {
			continue
		}
		if err := unmarshal(plain, val.Field(f.index).Addr().Interface()); err != nil {
			return fmt.Errorf("es: event %s: sealed field %s: %w", rec.ID, f.name, err)
		}
	}
	return nil
}

// EnvelopeOf is the envelope of a recorded event.
func EnvelopeOf(r eventstore.Recorded) Envelope {
	return Envelope{
		ID: r.ID, Type: r.Type, Schema: r.Schema, Category: r.Stream.Category, Stream: r.Stream.ID, Version: r.Version,
		Tenant: r.Tenant, Actor: Actor(r.Actor), At: r.At, RecordedAt: r.RecordedAt,
		Correlation: r.Correlation, Causation: r.Causation, Position: r.Position,
	}
}
