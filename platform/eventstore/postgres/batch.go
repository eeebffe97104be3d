package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/bgce/archive/platform/eventstore"
)

// statement is log.append as a connection prepares it.
const (
	statement = "append"
	call      = ".append($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19)"
)

// batch is the arguments of log.append in the server's binary form, written here since everything the log stores passes through it;
// schema.sql says how rows lie in them. It keeps its memory from one group to the next.
type batch struct {
	wInt, wCategory, wStream       array
	eInt, eUUID, eText, eAt, eByte array
	cInt, cKey, cText              array
	rInt, rByte, rPosition         array
	hAppend, hHash                 array
	ttl                            [16]byte
	args                           [19][]byte
	events, writes                 int32
	look                           bool // a write needs more than that its stream is not there
}

var (
	binaryArgs    = []int16{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
	binaryResults = []int16{1}
	yes, no       = []byte{1}, []byte{0}
)

// send calls log.append for a group.
func (b *batch) send(conn *pgx.Conn, jobs []*job, ttl time.Duration, resent bool) (*verdict, error) {
	b.pack(jobs, ttl, resent)
	result := conn.PgConn().ExecPrepared(context.Background(), statement, b.args[:], binaryArgs, binaryResults).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	v := &verdict{}
	for i, into := range []any{&v.base, &v.recorded, &v.known, &v.failures} {
		if err := conn.TypeMap().Scan(result.FieldDescriptions[i].DataTypeOID, pgtype.BinaryFormatCode, result.Rows[0][i], into); err != nil {
			return nil, fmt.Errorf("eventstore: the answer of log.append: %w", err)
		}
	}
	return v, nil
}

func (b *batch) pack(jobs []*job, ttl time.Duration, resent bool) {
	for _, a := range []struct {
		*array
		of uint32
	}{
		{&b.wInt, pgtype.Int4OID},
		{&b.wCategory, pgtype.TextOID},
		{&b.wStream, pgtype.UUIDOID},
		{&b.eInt, pgtype.Int4OID},
		{&b.eUUID, pgtype.UUIDOID},
		{&b.eText, pgtype.TextOID},
		{&b.eAt, pgtype.TimestamptzOID},
		{&b.eByte, pgtype.ByteaOID},
		{&b.cInt, pgtype.Int4OID},
		{&b.cKey, pgtype.ByteaOID},
		{&b.cText, pgtype.TextOID},
		{&b.rInt, pgtype.Int4OID},
		{&b.rByte, pgtype.ByteaOID},
		{&b.rPosition, pgtype.Int8OID},
		{&b.hAppend, pgtype.Int4OID},
		{&b.hHash, pgtype.ByteaOID},
	} {
		a.reset(a.of)
	}
	b.events, b.writes, b.look = 0, 0, resent
	for i, j := range jobs {
		n, before := int32(i+1), b.events
		for _, w := range j.Writes {
			b.writes++
			b.look = b.look || w.Expect != eventstore.NoStream || len(w.Events) == 0
			b.wInt.ints(n, int32(w.Expect))
			b.wCategory.text(w.Stream.Category)
			b.wStream.uuids(w.Stream.ID)
			for k := range w.Events {
				b.event(n, int32(k+1), before+int32(j.events)-b.events-1, &w.Events[k])
			}
		}
		for _, c := range j.claims {
			b.cInt.ints(n, int32(c.item), int32(c.need), int32(c.final))
			b.cKey.bytes(c.key[:])
			b.cText.text(c.taker, c.freed, c.holder)
		}
		for k := range j.Receipts {
			b.receipt(n, int32(k), before, &j.Receipts[k])
		}
	}
	binary.BigEndian.PutUint64(b.ttl[:], uint64(ttl.Microseconds()))
	b.args = [...][]byte{
		b.wInt.done(), b.wCategory.done(), b.wStream.done(), b.eInt.done(), b.eUUID.done(), b.eText.done(), b.eAt.done(), b.eByte.done(),
		b.cInt.done(), b.cKey.done(), b.cText.done(), b.rInt.done(), b.rByte.done(), b.rPosition.done(), b.ttl[:],
		b.hAppend.done(), b.hHash.done(), flag(b.look), flag(resent),
	}
}

func (b *batch) event(n, nth, left int32, e *eventstore.Event) {
	b.events++
	b.eInt.ints(n, b.writes, nth, left, int32(e.Schema))
	b.eUUID.uuids(e.ID, e.Tenant, e.Correlation, e.Causation)
	b.eText.text(e.Type, e.Actor)
	b.eAt.time(e.At)
	b.eByte.bytes(e.Data, e.Meta)
	for i := range e.Contents {
		b.hAppend.ints(n)
		b.hHash.bytes(e.Contents[i][:])
	}
}

func (b *batch) receipt(n, item, before int32, r *eventstore.Receipt) {
	event := int32(0)
	if r.After > 0 {
		event = before + int32(r.After)
	}
	position, _ := number(r.Position) // a position of another log stands as 0
	b.rInt.ints(n, item, event)
	b.rPosition.long(position)
	b.rByte.bytes(r.Key[:], r.Fingerprint[:], append([]byte{}, r.Answer...))
}

func flag(is bool) []byte {
	if is {
		return yes
	}
	return no
}

// array is a one-dimensional array in PostgreSQL's binary form: dimensions, whether it has nulls, element type, length, lower bound,
// then each element behind its length.
type array struct {
	buf   []byte
	n     uint32
	nulls bool
}

const arrayHead = 20

func (a *array) reset(of uint32) {
	a.buf, a.n, a.nulls = append(a.buf[:0], make([]byte, arrayHead)...), 0, false
	binary.BigEndian.PutUint32(a.buf[8:], of)
}

func (a *array) done() []byte {
	put := binary.BigEndian.PutUint32
	put(a.buf, 1)
	put(a.buf[4:], 0)
	put(a.buf[12:], a.n)
	put(a.buf[16:], 1)
	if a.nulls {
		put(a.buf[4:], 1)
	}
	if a.n == 0 { // an empty array has no dimension
		put(a.buf, 0)
		return a.buf[:12]
	}
	return a.buf
}

func (a *array) size(n int) {
	a.n++
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(n))
}

func (a *array) ints(vs ...int32) {
	for _, v := range vs {
		a.size(4)
		a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(v))
	}
}

func (a *array) long(v int64) {
	a.size(8)
	a.buf = binary.BigEndian.AppendUint64(a.buf, uint64(v))
}

func (a *array) uuids(vs ...uuid.UUID) {
	for i := range vs {
		a.size(16)
		a.buf = append(a.buf, vs[i][:]...)
	}
}

func (a *array) text(vs ...string) {
	for _, v := range vs {
		a.size(len(v))
		a.buf = append(a.buf, v...)
	}
}

// bytes takes nil for null.
func (a *array) bytes(vs ...[]byte) {
	for _, v := range vs {
		if v == nil {
			a.nulls = true
			a.size(-1)
			continue
		}
		a.size(len(v))
		a.buf = append(a.buf, v...)
	}
}

// time is in microseconds since 2000.
func (a *array) time(t time.Time) { a.long(t.UnixMicro() - 946_684_800_000_000) }
