package identity

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
	"github.com/fusioncommerce/fusion/internal/platform/token"
)

const (
	// deviceCookie is 256 random bits that a browser keeps after a successful login. They sign
	// themselves: we know their hash.
	deviceCookie = "fusion_device"
	deviceLife   = 180 * 24 * time.Hour
	// byPassword and byCode are how somebody proves who it is (RFC 8176).
	byPassword = "pwd"
	byCode     = "otp"
)

// attempt is somebody who wants to sign in.
type attempt struct {
	Email, Password    string
	Code, RecoveryCode string
	Device             string // the value of the cookie
	From               httpx.Remote
}

// grant is what somebody who has signed in gets.
type grant struct {
	Account account
	Session session
	Refresh string
	Device  string // the cookie's value, of a new device
	Access  string
	Expires time.Time
	// MustEnrol says that the session is good for setting a second factor only.
	MustEnrol bool
}

// tried is what an attempt is made on.
type tried struct {
	attempt
	account account // zero when the address is nobody's
	subject subject
	failure string // what the audit log calls it when it is wrong
}

// What the audit log calls attempts that were wrong.
const (
	loginFailed = "login.failed"
	proofFailed = "proof.failed" // by who has signed in already
)

// login signs somebody in. The attempt is counted before the password is verified, and a wrong
// one is refused alike, whether there is such an account or not; so is a right one of an
// address that is still to be proven, where the shop asks for that. Of the second factor hears
// only who has shown the password.
func (s *service) login(ctx context.Context, a attempt) (grant, error) {
	t, err := s.try(ctx, a)
	if err != nil {
		return grant{}, err
	}
	right, outdated, err := s.passwords.Verify(ctx, t.hash(), a.Password)
	if err != nil {
		return grant{}, errors.Join(err, s.unverified(ctx, t.subject))
	}
	if !right || t.account.unproven(ctx) {
		return grant{}, s.refuse(ctx, t, errCredentials)
	}
	if t.account.HasTOTP && a.Code == "" && a.RecoveryCode == "" {
		return grant{}, errors.Join(errSecondFactor, s.unverified(ctx, t.subject))
	}
	if outdated {
		if t.account.PasswordHash, err = s.passwords.Hash(ctx, a.Password); err != nil {
			return grant{}, errors.Join(err, s.unverified(ctx, t.subject))
		}
	}
	g, err := s.admit(ctx, t, outdated)
	if errors.Is(err, errWrongCode) {
		return grant{}, s.refuse(ctx, t, errWrongFactor)
	}
	if err != nil {
		return grant{}, err
	}
	return s.issue(ctx, g)
}

// unproven tells of a customer who has to prove the address first, in a shop that asks for it.
func (a account) unproven(ctx context.Context) bool {
	return a.Kind == customer && a.VerifiedAt == nil && tenant.Of(ctx).Settings.RequireVerifiedEmail
}

// hash is what the password is compared with: nobody's where nobody can sign in.
func (t tried) hash() string {
	if t.account.Status != active {
		return ""
	}
	return t.account.PasswordHash
}

// try counts an attempt.
func (s *service) try(ctx context.Context, a attempt) (t tried, err error) {
	var r reservation
	err = s.db.InTx(ctx, func(tx *db.Tx) error {
		key := keyOf(a.Email)
		t = tried{attempt: a, subject: anywhere(key), failure: loginFailed}
		var known bool
		if t.account, known, err = s.store.byEmail(ctx, tx, key); err != nil {
			return err
		}
		device := hashOf(a.Device)
		known = known && a.Device != ""
		if known {
			if known, err = s.store.isDeviceOf(ctx, tx, t.account.ID, device); err != nil {
				return err
			}
		}
		if known {
			t.subject = onDevice(t.account.ID, device)
		} else {
			t.Device = ""
		}
		if r, err = s.store.reserve(ctx, tx, t.subject); err != nil || !r.Locked {
			return err
		}
		return s.locked(ctx, tx, t.account)
	})
	if err == nil && r.Wait > 0 {
		err = r.refusal()
	}
	return t, err
}

// refuse notes that an attempt was wrong, and answers with the refusal.
func (s *service) refuse(ctx context.Context, t tried, refusal *fault.Error) error {
	err := s.db.InTx(ctx, func(tx *db.Tx) error {
		if err := recordFailure(ctx, tx, t, refusal); err != nil {
			return err
		}
		locked, err := s.store.fail(ctx, tx, t.subject)
		if err != nil || !locked {
			return err
		}
		return s.locked(ctx, tx, t.account)
	})
	if err != nil {
		return err
	}
	return refusal
}

// recordFailure leaves an entry for an attempt that was verified and wrong, which the guard
// bounds: those that it turns away leave none. Of an address that is nobody's nothing is kept,
// not even a hash: what people type there may be their password, which can be guessed from its
// hash, and what is in the log cannot be erased.
func recordFailure(ctx context.Context, tx *db.Tx, t tried, refusal *fault.Error) error {
	e := audit.Entry{Action: t.failure, Entity: "account", Status: http.StatusUnauthorized, Reason: refusal.Code}
	if t.account.ID != uuid.Nil {
		e.EntityID = t.account.ID.String()
	}
	return audit.Record(ctx, tx, e)
}

// locked tells the staff and the owner of an account that somebody guesses.
func (s *service) locked(ctx context.Context, tx *db.Tx, a account) error {
	if a.Status != active {
		return nil
	}
	if err := s.notify(ctx, tx, a, "account-locked"); err != nil {
		return err
	}
	if err := audit.Record(ctx, tx, audit.Entry{Action: "login.locked", Entity: "account", EntityID: a.ID.String()}); err != nil {
		return err
	}
	return s.events.Publish(ctx, tx, identityapi.AccountLocked{AccountID: a.ID.String(), Version: a.Version})
}

// unverified takes back an attempt that said nothing of the password.
func (s *service) unverified(ctx context.Context, sub subject) error {
	return s.db.InTx(ctx, func(tx *db.Tx) error { return s.store.refund(ctx, tx, sub) })
}

// admit opens the session of who has shown the right password, if the second factor is
// right as well.
func (s *service) admit(ctx context.Context, t tried, rehashed bool) (grant, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return grant{}, err
	}
	var g grant
	err = s.db.InTx(ctx, func(tx *db.Tx) error {
		g = grant{Account: t.account, Session: session{
			ID: clock.NewID(), Account: t.account.ID, Epoch: t.account.Epoch, IP: t.From.IP.String(), UserAgent: shown(t.From.UserAgent), Methods: []string{byPassword},
		}}
		if t.account.HasTOTP {
			if err := s.consume(ctx, tx, t.account.ID, t.Code, t.RecoveryCode); err != nil {
				return err
			}
			g.Session.Methods = append(g.Session.Methods, byCode)
		}
		if err := s.store.reset(ctx, tx, t.subject); err != nil {
			return err
		}
		if rehashed {
			if err := s.store.rehash(ctx, tx, t.account); err != nil {
				return err
			}
		}
		device := t.Device
		if device == "" {
			device = newDevice()
			g.Device = device
		}
		if err := s.store.keepDevice(ctx, tx, t.account.ID, hashOf(device)); err != nil {
			return err
		}
		var hash []byte
		g.Refresh, hash = newOpaque(refreshPrefix, id.Tenant)
		if err := s.store.insertSession(ctx, tx, g.Session, refreshLife); err != nil {
			return err
		}
		if err := s.store.insertRefresh(ctx, tx, hash, g.Session.ID, refreshLife); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{
			Action: "login", Entity: "account", EntityID: t.account.ID.String(), Status: http.StatusOK, Actor: actorOf(t.account.ID),
		})
	})
	return g, err
}

// actorOf is how an account is named where it acts.
func actorOf(id uuid.UUID) string { return "user:" + id.String() }

// maxUserAgent is more than browsers send.
const maxUserAgent = 255

// shown is what browsers say of themselves, fit for a list.
func shown(userAgent string) string {
	text := []rune(strings.ToValidUTF8(userAgent, ""))
	if len(text) > maxUserAgent {
		text = text[:maxUserAgent]
	}
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, string(text))
}

// issue signs the access token, which takes no transaction, and tells what it is good for.
func (s *service) issue(ctx context.Context, g grant) (grant, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return grant{}, err
	}
	if g.MustEnrol, err = s.auth.lacksSecondFactor(ctx, g.Account.Kind, g.Session.Methods); err != nil {
		return grant{}, fmt.Errorf("ask for the second factor: %w", err)
	}
	g.Access, g.Expires, err = s.tokens.Issue(ctx, token.Claims{
		Tenant: id.Tenant, Account: g.Account.ID, Session: g.Session.ID, Kind: string(g.Account.Kind), Methods: g.Session.Methods,
	})
	if err != nil {
		return grant{}, fmt.Errorf("issue access token: %w", err)
	}
	return g, nil
}

func newDevice() string {
	var random [randomBytes]byte
	_, _ = rand.Read(random[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(random[:])
}

func (store) isDeviceOf(ctx context.Context, tx *db.Tx, id uuid.UUID, hash []byte) (known bool, err error) {
	err = tx.Get(ctx, &known, `
		select exists (select from identity.device where hash = $1 and account_id = $2 and last_seen_at > now() - $3 * interval '1 second')`,
		hash, id, int64(deviceLife.Seconds()))
	if err != nil {
		return false, fmt.Errorf("find device: %w", err)
	}
	return known, nil
}

// keepDevice remembers where somebody signed in, and forgets where that was long ago.
func (store) keepDevice(ctx context.Context, tx *db.Tx, id uuid.UUID, hash []byte) error {
	_, err := tx.Exec(ctx, `
		with old as (delete from identity.device where account_id = $2 and hash <> $1 and last_seen_at < now() - $3 * interval '1 second')
		insert into identity.device (hash, account_id, last_seen_at) values ($1, $2, now())
		on conflict (tenant_id, hash, account_id) do update set last_seen_at = excluded.last_seen_at`, hash, id, int64(deviceLife.Seconds()))
	if err != nil {
		return fmt.Errorf("keep device: %w", err)
	}
	return nil
}

// dropDevices forgets where an account has signed in.
func (store) dropDevices(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, `delete from identity.device where account_id = $1`, id); err != nil {
		return fmt.Errorf("drop devices: %w", err)
	}
	return nil
}

// rehash stores a password that was hashed anew, unless it was changed meanwhile.
func (store) rehash(ctx context.Context, tx *db.Tx, a account) error {
	_, err := tx.Exec(ctx, `update identity.account set password_hash = $2 where id = $1 and epoch = $3`, a.ID, a.PasswordHash, a.Epoch)
	if err != nil {
		return fmt.Errorf("store password: %w", err)
	}
	return nil
}
