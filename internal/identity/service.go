package identity

import (
	"context"
	"errors"
	"maps"
	"strconv"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/mail"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

// passwords hashes and compares, a few at a time.
type passwords interface {
	Hash(ctx context.Context, password string) (string, error)
	Verify(ctx context.Context, hash, password string) (ok, outdated bool, err error)
}

// seals keeps what must be read back.
type seals interface {
	Keep(columns ...vault.Sealed)
	Seal(tenant uuid.UUID, purpose string, plain []byte) ([]byte, error)
	Open(tenant uuid.UUID, purpose string, sealed []byte) ([]byte, error)
}

// postbox has letters delivered once their transaction is committed.
type postbox interface {
	Send(ctx context.Context, tx *db.Tx, m mail.Message) error
}

type service struct {
	db        *db.DB
	events    *event.Log
	mail      postbox
	tokens    Tokens
	vault     seals
	passwords passwords
	now       clock.Clock
	auth      *authenticator
	providers providers
	outbound  destinations
	external  *external
	customers *customers
	store     store
}

// write has a letter delivered to the address of an account, once the transaction has come
// true. It calls by name only who is known to read what is sent there: who has registered
// an address has chosen a name for whoever gets the letter.
func (s *service) write(ctx context.Context, tx *db.Tx, a account, template string, data map[string]string) error {
	all := map[string]string{}
	maps.Copy(all, data)
	if a.VerifiedAt != nil {
		all["name"] = a.Name
	}
	return s.mail.Send(ctx, tx, mail.Message{To: a.Email, Template: template, Data: all, Staff: a.Kind == staff})
}

// notify writes to somebody what happened to their account, as often as letters of a kind go
// to an address, and if it is theirs: others may have registered it.
func (s *service) notify(ctx context.Context, tx *db.Tx, a account, template string) error {
	if a.VerifiedAt == nil {
		return nil
	}
	if may, err := s.mayWrite(ctx, tx, template, a.Email); err != nil || !may {
		return err
	}
	return s.write(ctx, tx, a, template, nil)
}

// as is the context in which somebody acts for a tenant before it is known who that is.
func as(ctx context.Context, tenant uuid.UUID) context.Context {
	return identity.With(ctx, identity.Identity{Tenant: tenant, Actor: identity.Anonymous})
}

// enter is the context of what a token asks for that names its tenant. Of a tenant that
// there is not, no token is good, which is for the lookup to say.
func (s *service) enter(ctx context.Context, of uuid.UUID) (context.Context, error) {
	ctx, err := httpx.Enter(ctx, of)
	if errors.Is(err, tenant.ErrNotHere) {
		err = nil
	}
	return ctx, err
}

// signedIn is the account that acts.
func signedIn(ctx context.Context) (identity.Identity, error) {
	id, err := identity.From(ctx)
	if err == nil && id.Account == uuid.Nil {
		err = errNoAccount
	}
	return id, err
}

func itoa(n int) string { return strconv.Itoa(n) }
