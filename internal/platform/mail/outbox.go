// Package mail sends letters to people: verification, resets, invitations.
//
// A letter is an intent in the transaction that wants it sent, sealed because it carries
// tokens. Once that is committed a worker delivers it, at least once: a program that dies
// between the two sends it again, with the same Message-ID.
package mail

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

// Message is a letter to one person.
type Message struct {
	To       string            `json:"to"` // an address alone: anna@example.com
	Template string            `json:"template"`
	Data     map[string]string `json:"data,omitempty"` // "token" makes the link; "name" is greeted; others by template
	// Staff says that it is for who works for the shop: its link leads to the administration.
	Staff bool `json:"staff,omitempty"`
}

// Options say how letters leave. Without SMTPURL they become files in Dir.
type Options struct {
	SMTPURL string // smtp://user:password@host:587 or smtps://…
	CAFile  string // authorities that sign the server's certificate; empty: the system's
	Dir     string
	From    string // "shop@example.com" or "Shop <shop@example.com>"
	// Links are one of these, a path and the token.
	LinkBase  string // of shops that have no address of their own
	AdminBase string // for the staff of all shops; empty: each at the address of its shop
	PublicURL string // where the program is found; empty: nobody has said
}

// Outbox takes letters and delivers them.
type Outbox struct {
	db       *db.DB
	vault    *vault.Vault
	log      *slog.Logger
	letters  *letters
	delivery transport
	wake     chan struct{}
}

// purpose of sealing.
const purpose = "mail"

// New makes an outbox that works on a pool other than that of the requests. Without
// options it takes letters, and leaves them for another program to deliver.
func New(d *db.DB, v *vault.Vault, log *slog.Logger, o Options) (*Outbox, error) {
	v.Keep(vault.Sealed{Table: "platform.mail", Column: "sealed", Purpose: purpose})
	letters, err := newLetters(o)
	if err != nil {
		return nil, err
	}
	delivery, err := deliveryOf(o)
	if err != nil {
		return nil, err
	}
	return &Outbox{db: d, vault: v, log: log, letters: letters, delivery: delivery, wake: make(chan struct{}, 1)}, nil
}

// deliveryOf is nil without options.
func deliveryOf(o Options) (transport, error) {
	switch {
	case o.SMTPURL != "":
		return newSMTP(o)
	case o.Dir != "":
		return folder{o.Dir}, nil
	}
	return nil, nil //nolint:nilnil // none is an answer
}

var errAddress = fault.New(fault.Invalid, "invalid_email", "This is no e-mail address that mail can be sent to.")

// Send has a letter delivered once the transaction is committed, and never if it is not.
//
// Errors: a fault for an address that cannot be one.
func (o *Outbox) Send(ctx context.Context, tx *db.Tx, m Message) error {
	if !isAddress(m.To) {
		return errAddress
	}
	if err := o.letters.complete(m); err != nil {
		return err
	}
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write %s mail: %w", m.Template, err)
	}
	sealed, err := o.vault.Seal(id.Tenant, purpose, plain)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `insert into platform.mail (id, sealed) values ($1, $2)`, clock.NewID(), sealed); err != nil {
		return fmt.Errorf("send %s mail: %w", m.Template, err)
	}
	tx.AfterCommit(o.alert)
	return nil
}

// Forget drops the letters to an address that have not left yet.
func (o *Outbox) Forget(ctx context.Context, tx *db.Tx, address string) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	var waiting []struct {
		ID     uuid.UUID
		Sealed []byte
	}
	if err := tx.Select(ctx, &waiting, `select id, sealed from platform.mail for update`); err != nil {
		return fmt.Errorf("look for mail: %w", err)
	}
	var drop []string
	for _, w := range waiting {
		// One that cannot be opened can be neither delivered nor judged.
		if m, err := o.open(id.Tenant, w.Sealed); err != nil || strings.EqualFold(m.To, address) {
			drop = append(drop, w.ID.String())
		}
	}
	if _, err := tx.Exec(ctx, `delete from platform.mail where id = any($1)`, db.Array(drop)); err != nil {
		return fmt.Errorf("drop mail: %w", err)
	}
	return nil
}

func (o *Outbox) open(tenant uuid.UUID, sealed []byte) (m Message, err error) {
	plain, err := o.vault.Open(tenant, purpose, sealed)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(plain, &m); err != nil {
		return m, fmt.Errorf("read mail: %w", err)
	}
	return m, nil
}

// Deliverable tells whether mail can be sent to an address that somebody has typed.
func Deliverable(address string) bool { return isAddress(address) }

// isAddress takes an address alone, without a name or a comment. What stands in headers and
// in the words of the protocol holds no line break and no control character.
func isAddress(s string) bool {
	a, err := netmail.ParseAddress(s)
	return err == nil && a.Name == "" && a.Address == s && len(s) <= 254 && !strings.ContainsFunc(s, unicode.IsControl) && !strings.ContainsAny(s, " <>")
}

func (o *Outbox) alert() {
	select {
	case o.wake <- struct{}{}:
	default: // it is going to look anyway
	}
}
