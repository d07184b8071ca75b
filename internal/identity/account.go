package identity

import (
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

type kind string

const (
	staff    kind = "staff"
	customer kind = "customer"
)

type status string

const (
	invited  status = "invited" // has no password yet
	active   status = "active"
	disabled status = "disabled"
)

var (
	errEmailTaken     = fault.New(fault.Conflict, "email_taken", "Another account has this e-mail address.")
	errNoAccount      = fault.New(fault.Conflict, "account_required", "This is for people who have signed in; an API key has no account.")
	errLastOwner      = fault.New(fault.Conflict, "last_owner", "The shop needs an owner: make somebody else one first.")
	errBeyondOneself  = fault.New(fault.Forbidden, "role_not_held", "Nobody gives or takes a role whose permissions they do not hold.")
	errInvalidToken   = fault.New(fault.Malformed, "invalid_token", "The token is not valid, or not any more. Ask for a new one.")
	errTooMany        = fault.New(fault.TooMany, "too_many_attempts", "Too many attempts. Try again later.")
	errCredentials    = fault.New(fault.Unauthenticated, "invalid_credentials", "The e-mail address or the password is not right, or the address is not confirmed yet.")
	errSecondFactor   = fault.New(fault.Unauthenticated, "second_factor_required", "Send the code of your authenticator app as code, or a recoveryCode.")
	errWrongFactor    = fault.New(fault.Unauthenticated, "invalid_second_factor", "The code of the authenticator app, or the recovery code, is not right or was used before.")
	errWrongCode      = fault.New(fault.Invalid, "invalid_code", "The code is not right, or was used before.")
	errRefreshToken   = fault.New(fault.Unauthenticated, "invalid_refresh_token", "The refresh token is not valid, or not any more. Sign in again.")
	errRefreshing     = fault.New(fault.Conflict, "refresh_in_flight", "The refresh token was used a moment ago. Use the one that came with that answer.").After(1)
	errAlreadyHasTOTP = fault.New(fault.Conflict, "second_factor_set", "The account has a second factor. Remove it first.")
	errNoPassword     = fault.New(fault.Conflict, "no_password", "The account has no password to show. Choose one first: ask for the mail for that.")
	errNotProven      = fault.New(fault.Conflict, "email_not_verified", "Prove your e-mail address first: a mail to it brought the token.")
	errOwnFactor      = fault.New(fault.Conflict, "own_second_factor", "Remove your own second factor with a code of it, or have somebody else do it.")
	errNoStaff        = fault.New(fault.NotFound, "staff_not_found", "Nobody who works for the shop has this e-mail address.")
	errNoTOTP         = fault.New(fault.Conflict, "second_factor_not_set", "There is no second factor to confirm or to remove.")
)

type account struct {
	ID           uuid.UUID
	Kind         kind
	Email        string
	EmailKey     string
	Name         string
	PasswordHash string // empty until an invitation is accepted
	Customer     uuid.UUID
	Roles        []string
	Status       status
	VerifiedAt   *time.Time
	Epoch        int64
	Version      int64
	CreatedAt    time.Time
	UpdatedAt    time.Time
	// HasTOTP tells that a second factor has to be shown.
	HasTOTP bool
}

// maxEmail is what SMTP can carry (RFC 5321, 4.5.3.1.3).
const maxEmail = 254

// flawsOfEmail refuses what is no address that mail can be sent to.
func flawsOfEmail(email string) []fault.Field {
	trimmed := strings.TrimSpace(email)
	a, err := mail.ParseAddress(trimmed)
	if err != nil || a.Address != trimmed || a.Name != "" || len(trimmed) > maxEmail || strings.ContainsAny(trimmed, " <>") || looksASCII(trimmed) {
		return []fault.Field{{Pointer: "/email", Code: "email", Detail: "must be an e-mail address"}}
	}
	return nil
}

// keyOf is an address as it is compared.
func keyOf(email string) string {
	trimmed := strings.TrimSpace(email)
	if looksASCII(trimmed) {
		return trimmed // it is nobody else's
	}
	return norm.NFC.String(strings.ToLower(norm.NFC.String(trimmed)))
}

// looksASCII tells of text that has letters which, compared as addresses are, would be ASCII
// ones: the Kelvin sign a k, the dotted capital I an i. Its mailbox is another.
func looksASCII(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		folded, _ := utf8.DecodeRuneInString(norm.NFC.String(strings.ToLower(norm.NFC.String(string(r)))))
		return r >= utf8.RuneSelf && folded < utf8.RuneSelf
	})
}

// endEpoch makes all sessions of the account so far worth nothing.
func (a *account) endEpoch() { a.Epoch++ }

func (a *account) touch(at time.Time) {
	a.Version++
	a.UpdatedAt = at
}

func (a *account) isOwner() bool {
	return a.Kind == staff && a.Status == active && slices.Contains(a.Roles, identity.Owner)
}

// flawsOfRoles refuses roles that staff cannot have, as far as it takes no database to know.
func flawsOfRoles(roles []string) (fields []fault.Field) {
	for i, r := range roles {
		switch {
		case r == identity.Customer:
			fields = append(fields, unknownRole(i))
		case slices.Contains(roles[:i], r):
			fields = append(fields, fault.Field{Pointer: "/roles/" + itoa(i), Code: "duplicate", Detail: "is there already"})
		}
	}
	return fields
}

func unknownRole(i int) fault.Field {
	return fault.Field{Pointer: "/roles/" + itoa(i), Code: "unknown_role", Detail: "is not a role of the shop's staff"}
}
