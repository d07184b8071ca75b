package identity

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// invite makes an account of the staff and mails to its address how to open it. Who has not
// answered yet can be invited again.
func (s *service) invite(ctx context.Context, tx *db.Tx, email, name string, roles []string) (a account, token string, err error) {
	if err := s.mayHandle(ctx, tx, roles, nil); err != nil {
		return account{}, "", err
	}
	now, err := s.store.now(ctx, tx)
	if err != nil {
		return account{}, "", err
	}
	a = account{
		ID: clock.NewID(), Kind: staff, Email: strings.TrimSpace(email), EmailKey: keyOf(email), Name: strings.TrimSpace(name),
		Roles: roles, Status: invited, Version: 1, Epoch: 1, CreatedAt: now, UpdatedAt: now,
	}
	made, err := s.store.insert(ctx, tx, a)
	if err != nil {
		return account{}, "", err
	}
	if !made {
		if a, err = s.inviteAgain(ctx, tx, a); err != nil {
			return account{}, "", err
		}
	}
	if token, err = s.newOneTime(ctx, tx, toInvite, a, ""); err != nil {
		return account{}, "", err
	}
	if err := s.write(ctx, tx, a, "invitation", map[string]string{"name": a.Name, "token": token}); err != nil {
		return account{}, "", err
	}
	return a, token, s.events.Publish(ctx, tx, identityapi.AccountInvited{AccountID: a.ID.String(), Roles: a.Roles, Version: a.Version})
}

var (
	emailOfStaff    = errEmailTaken.At("/email", "email_taken", "belongs to another account")
	emailOfCustomer = errEmailTaken.At("/email", "email_taken", "belongs to a customer, who has confirmed it: invite them at another address")
)

// inviteAgain gives who has not answered yet the name and roles of the newer invitation. A
// customer's account whose address nobody has proven gives way.
func (s *service) inviteAgain(ctx context.Context, tx *db.Tx, newer account) (account, error) {
	a, known, err := s.store.byEmail(ctx, tx, newer.EmailKey)
	if err != nil {
		return account{}, err
	}
	if known && a.Kind == customer {
		return newer, s.inviteInPlaceOf(ctx, tx, a, newer)
	}
	if !known || a.Kind != staff || a.Status != invited {
		return account{}, emailOfStaff
	}
	if a, err = s.store.lock(ctx, tx, a.ID); err != nil {
		return account{}, err
	}
	if a.Status != invited {
		return account{}, emailOfStaff
	}
	if err := s.mayHandle(ctx, tx, nil, a.Roles); err != nil {
		return account{}, err
	}
	a.Name, a.Roles = newer.Name, newer.Roles
	a.touch(newer.UpdatedAt)
	return a, s.store.save(ctx, tx, a)
}

// inviteInPlaceOf makes the account of who is invited at an address that a customer signed up
// with.
func (s *service) inviteInPlaceOf(ctx context.Context, tx *db.Tx, old, newer account) error {
	gone, err := s.giveWay(ctx, tx, old)
	if err != nil {
		return err
	}
	if !gone {
		return emailOfCustomer
	}
	made, err := s.store.insert(ctx, tx, newer)
	if err == nil && !made {
		err = emailOfStaff // somebody was faster
	}
	return err
}

// join opens the account of who was invited.
func (s *service) join(ctx context.Context, tx *db.Tx, token []byte, passwordHash string) error {
	a, _, err := s.redeem(ctx, tx, token, toInvite)
	if err != nil {
		return err
	}
	now, err := s.store.now(ctx, tx)
	if err != nil {
		return err
	}
	a.PasswordHash, a.Status, a.VerifiedAt = passwordHash, active, &now
	a.touch(now)
	if err := s.store.save(ctx, tx, a); err != nil {
		return err
	}
	return s.publishUpdated(ctx, tx, a)
}

// staffChange is what is to become of somebody; nil leaves it.
type staffChange struct {
	Roles  *[]string
	Status *status
}

// updateStaff changes what somebody may do, or shuts them out.
func (s *service) updateStaff(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch, c staffChange) (account, error) {
	// Before the account, so that two owners lock in the same order.
	owners, err := s.store.lockOwners(ctx, tx)
	if err != nil {
		return account{}, err
	}
	a, err := s.store.lock(ctx, tx, id)
	if err != nil {
		return account{}, err
	}
	if a.Kind != staff {
		return account{}, httpx.ErrNotFound
	}
	if err := match.Allows(a.Version); err != nil {
		return account{}, err
	}
	before := a
	audit.Before(ctx, present(before))
	c.apply(&a)
	if slices.Equal(before.Roles, a.Roles) && before.Status == a.Status {
		return a, nil
	}
	if err := s.mayHandle(ctx, tx, c.given(), slices.Concat(before.Roles, a.Roles)); err != nil {
		return account{}, err
	}
	if others := slices.ContainsFunc(owners, func(o uuid.UUID) bool { return o != a.ID }); before.isOwner() && !a.isOwner() && !others {
		return account{}, errLastOwner
	}
	return s.saveStaff(ctx, tx, a)
}

// removeFactor takes the second factor of somebody away who has lost it, and ends all
// sessions: the phone may have them.
func (s *service) removeFactor(ctx context.Context, tx *db.Tx, id uuid.UUID) (account, error) {
	who, err := identity.From(ctx)
	if err != nil {
		return account{}, err
	}
	a, err := s.store.lock(ctx, tx, id)
	if err != nil {
		return account{}, err
	}
	if a.Kind != staff {
		return account{}, httpx.ErrNotFound
	}
	if a.ID == who.Account {
		return account{}, errOwnFactor
	}
	audit.Before(ctx, present(a))
	if err := s.mayHandle(ctx, tx, nil, a.Roles); err != nil {
		return account{}, err
	}
	if !a.HasTOTP {
		return account{}, errNoTOTP
	}
	if err := s.store.dropTOTP(ctx, tx, a.ID); err != nil {
		return account{}, err
	}
	if err := s.store.endSessions(ctx, tx, a.ID, uuid.Nil); err != nil {
		return account{}, err
	}
	now, err := s.store.now(ctx, tx)
	if err != nil {
		return account{}, err
	}
	a.HasTOTP = false
	a.endEpoch()
	a.touch(now)
	if err := s.store.save(ctx, tx, a); err != nil {
		return account{}, err
	}
	return a, s.notify(ctx, tx, a, "second-factor-removed")
}

// given are the roles that somebody is to have.
func (c staffChange) given() []string {
	if c.Roles == nil {
		return nil
	}
	return *c.Roles
}

func (c staffChange) apply(a *account) {
	if c.Roles != nil {
		a.Roles = *c.Roles
	}
	switch {
	case c.Status == nil:
	case *c.Status == disabled:
		a.Status = disabled
	case a.PasswordHash == "":
		a.Status = invited // who never had a password is still to choose one
	default:
		a.Status = active
	}
}

func (s *service) saveStaff(ctx context.Context, tx *db.Tx, a account) (account, error) {
	now, err := s.store.now(ctx, tx)
	if err != nil {
		return account{}, err
	}
	a.touch(now)
	if a.Status == disabled {
		a.endEpoch()
		if err := s.store.endSessions(ctx, tx, a.ID, uuid.Nil); err != nil {
			return account{}, err
		}
	}
	if err := s.store.save(ctx, tx, a); err != nil {
		return account{}, err
	}
	return a, s.publishUpdated(ctx, tx, a)
}

func (s *service) publishUpdated(ctx context.Context, tx *db.Tx, a account) error {
	return s.events.Publish(ctx, tx, identityapi.AccountUpdated{AccountID: a.ID.String(), Roles: a.Roles, Status: string(a.Status), Version: a.Version})
}

// InviteStaff invites somebody and returns the token of the invitation as well: the first
// owner of a shop may have no mail yet.
func (m *Module) InviteStaff(ctx context.Context, email, name string, roles []string) (person identityapi.Staff, token string, err error) {
	fields := slices.Concat(flawsOfEmail(email), flawsOfRoles(roles), httpx.Line("/name", name))
	if len(fields) > 0 {
		return person, "", httpx.ErrValidation(fields...)
	}
	err = m.svc.db.InTx(ctx, func(tx *db.Tx) error {
		a, raw, err := m.svc.invite(ctx, tx, email, name, roles)
		if err != nil {
			return err
		}
		person, token = staffOf(a), raw
		return audit.Record(ctx, tx, audit.Entry{Action: "inviteStaff", Entity: "staff", EntityID: person.ID, After: present(a)})
	})
	return person, token, err
}

// Staff lists the people who work for the shop, those first who came first.
func (m *Module) Staff(ctx context.Context) (people []identityapi.Staff, err error) {
	err = m.svc.db.Read(ctx, func(tx *db.Tx) error {
		people = []identityapi.Staff{}
		list, err := m.svc.store.staff(ctx, tx, nil, maxStaff)
		for _, a := range list {
			people = append(people, staffOf(a))
		}
		return err
	})
	return people, err
}

// maxStaff is more than a list on a screen can show.
const maxStaff = 10_000

// DisableStaff shuts somebody out, by e-mail address.
func (m *Module) DisableStaff(ctx context.Context, email string) (identityapi.Staff, error) {
	return m.changeStaff(ctx, email, "updateStaff", func(tx *db.Tx, id uuid.UUID) (account, error) {
		out := disabled
		return m.svc.updateStaff(ctx, tx, id, httpx.IfMatch{}, staffChange{Status: &out})
	})
}

// ResetSecondFactor lets somebody sign in with the password alone, by e-mail address.
func (m *Module) ResetSecondFactor(ctx context.Context, email string) (identityapi.Staff, error) {
	return m.changeStaff(ctx, email, "removeStaffSecondFactor", func(tx *db.Tx, id uuid.UUID) (account, error) {
		return m.svc.removeFactor(ctx, tx, id)
	})
}

func (m *Module) changeStaff(ctx context.Context, email, action string, change func(tx *db.Tx, id uuid.UUID) (account, error)) (identityapi.Staff, error) {
	var a account
	err := m.svc.db.InTx(ctx, func(tx *db.Tx) error {
		found, known, err := m.svc.store.byEmail(ctx, tx, keyOf(email))
		if err != nil {
			return err
		}
		if !known || found.Kind != staff {
			return errNoStaff
		}
		if a, err = change(tx, found.ID); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: action, Entity: "staff", EntityID: a.ID.String(), Before: present(found), After: present(a)})
	})
	if err != nil {
		return identityapi.Staff{}, err
	}
	return staffOf(a), nil
}

func staffOf(a account) identityapi.Staff {
	return identityapi.Staff{ID: a.ID.String(), Email: a.Email, Name: a.Name, Roles: a.Roles, Status: string(a.Status), CreatedAt: a.CreatedAt}
}
