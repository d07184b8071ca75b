package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Row is an entry as it is kept.
type Row struct {
	Tenant     uuid.UUID `db:"tenant_id"`
	Seq        int64     `db:"seq"`
	Micros     int64     `db:"micros"` // since 1970, of when it was recorded
	ID         uuid.UUID `db:"id"`
	Actor      string    `db:"actor"`
	OnBehalfOf string    `db:"on_behalf_of"`
	Action     string    `db:"action"`
	Entity     string    `db:"entity"`
	EntityID   string    `db:"entity_id"`
	Before     *string   `db:"before"`
	After      *string   `db:"after"`
	Reason     string    `db:"reason"`
	Status     int       `db:"status"`
	IP         string    `db:"ip"`
	UserAgent  string    `db:"user_agent"`
	RequestID  string    `db:"request_id"`
}

// rowColumns of platform.audit as a. The time goes by no zone and no format of a session.
const rowColumns = `a.tenant_id, a.seq, (extract(epoch from a.recorded_at) * 1000000)::bigint micros, a.id, a.actor, a.on_behalf_of, a.action,
	a.entity, a.entity_id, a.before::text before, a.after::text after, a.reason, a.status, a.ip, a.user_agent, a.request_id`

// At is when the entry was recorded.
func (r Row) At() time.Time { return time.UnixMicro(r.Micros).UTC() }

// canonical is the one text that a row has: a JSON array of its columns, in their order.
func (r Row) canonical() ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode([]any{
		r.Tenant, r.Seq, r.Micros, r.ID, r.Actor, r.OnBehalfOf, r.Action, r.Entity, r.EntityID, r.Before, r.After,
		r.Reason, r.Status, r.IP, r.UserAgent, r.RequestID,
	}); err != nil {
		return nil, fmt.Errorf("audit row %d: %w", r.Seq, err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// hash ties the row to the one before it.
func (r Row) hash(prev []byte) ([]byte, error) {
	text, err := r.canonical()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append(bytes.Clone(prev), text...))
	return sum[:], nil
}

// first is what the chain begins with.
func first() []byte { return make([]byte, sha256.Size) }
