package identity

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

type meResponse struct {
	Actor       string           `json:"actor" doc:"Who asks: user:<account>, key:<id> or service"`
	TenantID    string           `json:"tenantId" format:"uuid"`
	Permissions []string         `json:"permissions"`
	Account     *accountResponse `json:"account,omitempty" doc:"Of who has signed in"`
	SessionID   string           `json:"sessionId,omitempty" format:"uuid"`

	SecondFactorEnrolmentRequired bool `json:"secondFactorEnrolmentRequired" doc:"The shop asks its staff for a second factor, and you may do nothing before you have set one"`
}

// ETag is the account's version and what it may do, which changes with its roles.
func (r meResponse) ETag() string {
	version := int64(0)
	if r.Account != nil {
		version = r.Account.version
	}
	return fmt.Sprintf(`"%d-%x"`, version, hashOf(append(slices.Clone(r.Permissions), strconv.FormatBool(r.SecondFactorEnrolmentRequired))...)[:4])
}

func presentMe(id identity.Identity, a account) meResponse {
	r := meResponse{Actor: id.Actor, TenantID: id.Tenant.String(), Permissions: append([]string{}, id.Permissions...), SecondFactorEnrolmentRequired: id.MustEnrol}
	if id.Account != uuid.Nil {
		shown := present(a)
		r.Account, r.SessionID = &shown, id.Session.String()
	}
	return r
}

func (s *service) handleMe(ctx context.Context, _ *struct{}) (meResponse, error) {
	id, err := identity.From(ctx)
	if err != nil || id.Account == uuid.Nil {
		return presentMe(id, account{}), err
	}
	var a account
	err = s.db.Read(ctx, func(tx *db.Tx) (err error) {
		a, err = s.store.account(ctx, tx, id.Account)
		return err
	})
	return presentMe(id, a), err
}

type updateMeBody struct {
	Name  *string `json:"name,omitempty" maxLength:"200"`
	Email *string `json:"email,omitempty" minLength:"1" maxLength:"254" doc:"Takes effect when somebody has proven to read what is sent there"`

	CurrentPassword string `json:"currentPassword,omitempty" maxLength:"1024" doc:"For another e-mail address"`
}

// Check finds what the schema cannot say.
func (b *updateMeBody) Check() (fields []fault.Field) {
	if b.Name != nil {
		fields = httpx.Line("/name", *b.Name)
	}
	if b.Email != nil && *b.Email != "" {
		fields = append(fields, flawsOfEmail(*b.Email)...)
	}
	return fields
}

type updateMeInput struct {
	httpx.IfMatch
	httpx.JSON[updateMeBody]
}

func (s *service) handleUpdateMe(ctx context.Context, in *updateMeInput) (meResponse, error) {
	who, err := signedIn(ctx)
	if err != nil {
		return meResponse{}, err
	}
	shown, err := s.proveForAddress(ctx, who, in.Body)
	if err != nil {
		return meResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (meResponse, error) {
		aboutAccount(ctx, who.Account)
		a, err := s.updateMe(ctx, tx, who, in.IfMatch, in.Body, shown)
		return presentMe(who, a), err
	})
}

// proveForAddress has who wants another address show the password: with the address goes
// the account. It returns nobody for who wants none.
func (s *service) proveForAddress(ctx context.Context, who identity.Identity, b updateMeBody) (shown account, err error) {
	if b.Email == nil {
		return account{}, nil
	}
	var a account
	err = s.db.Read(ctx, func(tx *db.Tx) (err error) {
		a, err = s.store.account(ctx, tx, who.Account)
		return err
	})
	switch {
	case err != nil || keyOf(*b.Email) == a.EmailKey:
		return account{}, err
	case a.PasswordHash == "":
		return account{}, errNoPassword
	case b.CurrentPassword == "":
		return account{}, httpx.ErrValidation(fault.Field{Pointer: "/currentPassword", Code: "required", Detail: "is needed for another e-mail address"})
	}
	return s.prove(ctx, who, b.CurrentPassword)
}

// updateMe changes a name at once, and an address once it is proven. Whether the address is
// somebody else's already, only mail tells.
func (s *service) updateMe(ctx context.Context, tx *db.Tx, who identity.Identity, match httpx.IfMatch, b updateMeBody, shown account) (account, error) {
	a, err := s.store.lock(ctx, tx, who.Account)
	if err != nil {
		return account{}, err
	}
	before := presentMe(who, a)
	if err := match.AllowsTag(before.ETag()); err != nil {
		return account{}, err
	}
	audit.Before(ctx, before)
	if b.Email != nil && keyOf(*b.Email) != a.EmailKey {
		if shown.ID != a.ID || shown.Epoch != a.Epoch {
			return account{}, errCredentials // the address or the password was changed meanwhile
		}
		if err := s.askToChange(ctx, tx, a, strings.TrimSpace(*b.Email)); err != nil {
			return account{}, err
		}
	}
	if b.Name == nil || strings.TrimSpace(*b.Name) == a.Name {
		return a, nil
	}
	now, err := s.store.now(ctx, tx)
	if err != nil {
		return account{}, err
	}
	a.Name = strings.TrimSpace(*b.Name)
	a.touch(now)
	if err := s.store.save(ctx, tx, a); err != nil || a.Kind != customer {
		return a, err
	}
	return a, s.customers.renamed(ctx, tx, a.Customer, a.Name)
}

func (s *service) askToChange(ctx context.Context, tx *db.Tx, a account, email string) error {
	_, taken, err := s.store.byEmail(ctx, tx, keyOf(email))
	if err != nil {
		return err
	}
	if err := s.notify(ctx, tx, a, "email-change"); err != nil {
		return err
	}
	if taken {
		return s.tellOfAccount(ctx, tx, email)
	}
	if may, err := s.mayWrite(ctx, tx, toChange, email); err != nil || !may {
		return err
	}
	raw, err := s.newOneTime(ctx, tx, toChange, a, email)
	if err != nil {
		return err
	}
	a.Email, a.VerifiedAt = email, nil // nobody has shown to read what is sent there
	return s.write(ctx, tx, a, "confirm-new-email", map[string]string{"token": raw})
}

type sessionResponse struct {
	ID         string    `json:"id" format:"uuid"`
	Current    bool      `json:"current" doc:"The one that asks"`
	IP         string    `json:"ip" doc:"From where it was opened"`
	UserAgent  string    `json:"userAgent"`
	Methods    []string  `json:"methods" doc:"How its owner proved to be it: pwd, otp"`
	CreatedAt  time.Time `json:"createdAt"`
	LastSeenAt time.Time `json:"lastSeenAt" doc:"When its access token was last renewed"`
}

type listInput struct{ httpx.Page }

// page reads one more than it shows, to know whether there is a next one.
func page[T, R any](in listInput, read func(after *accountPosition, limit int) ([]T, error), position func(T) accountPosition, show func(T) R) (httpx.List[R], error) {
	var after *accountPosition
	if in.Cursor != "" {
		after = &accountPosition{}
		if err := httpx.ReadCursor(in.Cursor, after); err != nil {
			return httpx.List[R]{}, err
		}
	}
	list, err := read(after, in.Limit+1)
	if err != nil {
		return httpx.List[R]{}, err
	}
	return httpx.ListOf(in.Page, list, position, show)
}

func (s *service) handleSessions(ctx context.Context, in *listInput) (httpx.List[sessionResponse], error) {
	who, err := identity.From(ctx)
	if err != nil {
		return httpx.List[sessionResponse]{}, err
	}
	return page(*in, func(after *accountPosition, limit int) (list []session, err error) {
		err = s.db.Read(ctx, func(tx *db.Tx) error {
			list, err = s.store.sessions(ctx, tx, who.Account, after, limit)
			return err
		})
		return list, err
	}, func(one session) accountPosition { return accountPosition{one.CreatedAt, one.ID} }, func(one session) sessionResponse {
		return sessionResponse{
			ID: one.ID.String(), Current: one.ID == who.Session, IP: one.IP, UserAgent: one.UserAgent, Methods: one.Methods,
			CreatedAt: one.CreatedAt, LastSeenAt: one.LastSeenAt,
		}
	})
}

type byID struct {
	ID string `path:"id"`
}

func (s *service) handleEndSession(ctx context.Context, in *byID) (httpx.None, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return httpx.None{}, err
	}
	who, err := identity.From(ctx)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (httpx.None, error) {
		ended, err := s.store.endSession(ctx, tx, who.Account, id)
		if err == nil && !ended {
			err = httpx.ErrNotFound
		}
		tx.AfterCommit(func() { s.auth.forget(id) })
		return httpx.None{}, err
	})
}

type enrolmentResponse struct {
	Secret string `json:"secret" secret:"true" doc:"For authenticator apps, in base32" example:"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"`
	URL    string `json:"url" secret:"true" doc:"The same with its names, for a QR code"`
}

type enrolBody struct {
	CurrentPassword string `json:"currentPassword" minLength:"1" maxLength:"1024"`
}

type enrolInput struct{ httpx.JSON[enrolBody] }

func (s *service) handleEnrol(ctx context.Context, in *enrolInput) (enrolmentResponse, error) {
	who, err := signedIn(ctx)
	if err != nil {
		return enrolmentResponse{}, err
	}
	shown, err := s.prove(ctx, who, in.Body.CurrentPassword)
	if err != nil {
		return enrolmentResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (enrolmentResponse, error) {
		aboutAccount(ctx, who.Account)
		e, err := s.enrol(ctx, tx, who, shown)
		return enrolmentResponse{base32Of(e.Secret), e.URL}, err
	})
}

type codeBody struct {
	Code string `json:"code" minLength:"1" maxLength:"16" doc:"That the authenticator app shows now" example:"287082"`
}

type codeInput struct{ httpx.JSON[codeBody] }

type recoveryResponse struct {
	RecoveryCodes []string `json:"recoveryCodes" secret:"true" doc:"Each takes the place of a code, once. They are not shown again"`
}

func (s *service) handleConfirm(ctx context.Context, in *codeInput) (r recoveryResponse, err error) {
	who, err := signedIn(ctx)
	if err != nil {
		return r, err
	}
	err = s.withCode(ctx, who, func() error {
		r, err = httpx.Command(ctx, s.db, func(tx *db.Tx) (recoveryResponse, error) {
			aboutAccount(ctx, who.Account)
			codes, err := s.confirm(ctx, tx, who, in.Body.Code)
			tx.AfterCommit(func() { s.auth.forget(who.Session) })
			return recoveryResponse{codes}, err
		})
		return err
	})
	return r, err
}

func (s *service) handleDisarm(ctx context.Context, in *codeInput) (httpx.None, error) {
	who, err := signedIn(ctx)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.None{}, s.withCode(ctx, who, func() error {
		_, err := httpx.Command(ctx, s.db, func(tx *db.Tx) (httpx.None, error) {
			aboutAccount(ctx, who.Account)
			return httpx.None{}, s.disarm(ctx, tx, who, in.Body.Code)
		})
		return err
	})
}
