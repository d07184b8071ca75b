package audit

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// Head is the end of a merchant's chain. Whoever keeps one elsewhere can tell later whether
// what led to it still stands.
type Head struct {
	Tenant uuid.UUID `db:"tenant_id" json:"tenantId"`
	Seq    int64     `db:"seq" json:"seq"`
	Hash   string    `db:"hash" json:"hash"`
}

func (h Head) hash() []byte {
	sum, err := hex.DecodeString(h.Hash)
	if err != nil {
		return first() // it does not come about: PostgreSQL has made the text
	}
	return sum
}

// String is the line that a head is exported as.
func (h Head) String() string { return fmt.Sprintf("%s %d %s", h.Tenant, h.Seq, h.Hash) }

// ends are the heads of the merchants that a relation t has. Whoever has sealed nothing
// yet has none; whose sealed rows were all dropped goes on from the last of them.
func ends(ctx context.Context, tx *db.Tx, merchants string, args ...any) ([]Head, error) {
	list := []Head{}
	if err := tx.Select(ctx, &list, `
		select t.tenant_id, h.seq, encode(h.hash, 'hex') hash from `+merchants+` cross join lateral (
			(select s.seq, s.hash from platform.audit_seal s where s.tenant_id = t.tenant_id order by s.seq desc limit 1)
			union all
			(select r.seq, r.hash from platform.audit_retired r where r.tenant_id = t.tenant_id)
			order by seq desc limit 1) h`, args...); err != nil {
		return nil, fmt.Errorf("heads of the audit log: %w", err)
	}
	return list, nil
}

// Heads are those of all merchants.
func Heads(ctx context.Context, tx *db.Tx) ([]Head, error) {
	return ends(ctx, tx, `platform.tenant t`)
}

// HeadOf is the merchant's of the transaction: number 0 before anything is sealed.
func HeadOf(ctx context.Context, tx *db.Tx) (Head, error) {
	list, err := ends(ctx, tx, `(select platform.current_tenant() tenant_id) t`)
	if err != nil || len(list) > 0 {
		return append(list, Head{})[0], err
	}
	return Head{Hash: hex.EncodeToString(first())}, nil
}

// Exporter brings the heads to where somebody who can write to the database cannot.
type Exporter struct {
	log  *slog.Logger
	file string // heads are appended to it; empty: only to the log
	told map[uuid.UUID]string
}

// NewExporter exports to the log, and to a file if one is named.
func NewExporter(log *slog.Logger, file string) *Exporter {
	return &Exporter{log: log, file: file, told: map[uuid.UUID]string{}}
}

// Export tells the heads that have moved since they were told.
func (e *Exporter) Export(ctx context.Context, tx *db.Tx) error {
	heads, err := Heads(ctx, tx)
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, h := range heads {
		if e.told[h.Tenant] == h.Hash {
			continue
		}
		fmt.Fprintf(&lines, "%s %s\n", h, tx.Now.UTC().Format(time.RFC3339))
	}
	if e.file != "" && lines.Len() > 0 {
		if err := appendTo(e.file, lines.String()); err != nil {
			return fmt.Errorf("export the heads of the audit log: %w", err)
		}
	}
	for _, h := range heads {
		if e.told[h.Tenant] != h.Hash {
			e.log.InfoContext(ctx, "audit head", "tenant", h.Tenant, "seq", h.Seq, "hash", h.Hash)
			e.told[h.Tenant] = h.Hash
		}
	}
	return nil
}

func appendTo(name, text string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
