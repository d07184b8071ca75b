package identity

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

var (
	errCustomerEmail = fault.New(fault.Conflict, "email_taken", "Another customer has this e-mail address.")
	errAccountEmail  = fault.New(fault.Conflict, "email_of_account", "The customer has an account: its e-mail address is theirs to change.")
	errExport        = fault.New(fault.Forbidden, "customer_hidden", "What is held about a customer needs the permission customers:read as well.")
	errHidden        = fault.New(fault.Forbidden, "personal_data_hidden", "Looking for people by name or e-mail address needs the permission customers:pii.")
	errUnseen        = fault.New(fault.Forbidden, "personal_data_hidden", "Writing a name, an e-mail address or a phone number needs the permission customers:pii.")
)

// profile is what the shop knows of a customer, who may have an account or not.
type profile struct {
	ID          uuid.UUID
	Registered  bool
	Email       string
	EmailKey    string
	Name        string
	Phone       string
	Locale      string
	Groups      []string
	Marketing   bool
	MarketingAt *time.Time // when they last said so, yes or no
	Notes       int64
	Version     int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// profileChanges are what is to be different; nil is left as it is.
type profileChanges struct {
	Email, Name, Phone, Locale *string
	Groups                     *[]string
	Marketing                  *bool
}

// allowed refuses what would tell by its outcome whether a guess at personal data is right to
// somebody who may not see it.
func (c profileChanges) allowed(ctx context.Context) error {
	if (c.Email != nil || c.Name != nil || c.Phone != nil) && !identity.Can(ctx, permissionPersonal) {
		return errUnseen
	}
	return nil
}

// change applies changes and reports whether there were any.
func (p *profile) change(c profileChanges, at time.Time) (bool, error) {
	before, groups := *p, p.Groups
	if c.Email != nil && strings.TrimSpace(*c.Email) != p.Email {
		if p.Registered {
			return false, errAccountEmail
		}
		p.Email, p.EmailKey = strings.TrimSpace(*c.Email), keyOf(*c.Email)
	}
	for _, f := range []struct {
		to   *string
		from *string
	}{{&p.Name, c.Name}, {&p.Phone, c.Phone}, {&p.Locale, c.Locale}} {
		if f.from != nil {
			*f.to = strings.TrimSpace(*f.from)
		}
	}
	if c.Groups != nil {
		p.Groups = slices.Compact(slices.Sorted(slices.Values(*c.Groups)))
	}
	if c.Marketing != nil && (*c.Marketing != p.Marketing || p.MarketingAt == nil) {
		p.Marketing, p.MarketingAt = *c.Marketing, &at
	}
	same := before.Email == p.Email && before.Name == p.Name && before.Phone == p.Phone && before.Locale == p.Locale &&
		slices.Equal(groups, p.Groups) && before.MarketingAt == p.MarketingAt
	if !same {
		p.Version++
		p.UpdatedAt = at
	}
	return !same, nil
}

// flawsOfProfile are those that a schema cannot say.
func flawsOfProfile(c profileChanges) (fields []fault.Field) {
	for _, f := range []struct {
		pointer string
		text    *string
	}{{"/name", c.Name}, {"/phone", c.Phone}} {
		if f.text != nil {
			fields = append(fields, httpx.Line(f.pointer, *f.text)...)
		}
	}
	if c.Groups != nil {
		for i, g := range *c.Groups {
			pointer := "/groups/" + itoa(i)
			if strings.TrimSpace(g) != g {
				fields = append(fields, fault.Field{Pointer: pointer, Code: "pattern", Detail: "must not begin or end with blanks"})
				continue
			}
			fields = append(fields, httpx.Line(pointer, g)...)
		}
	}
	return fields
}

// note is what the shop's people write about a customer.
type note struct {
	ID        uuid.UUID `db:"id"`
	Text      string    `db:"text"`
	Author    string    `db:"author"`
	CreatedAt time.Time `db:"created_at"`
}
