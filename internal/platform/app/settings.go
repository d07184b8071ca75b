package app

import (
	"context"
	"net/http"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
)

var errOwnersOnly = fault.New(fault.Forbidden, "owner_required", "Only an owner may turn off the second factor of the staff.")

func settingsRoutes(api *httpx.API, t *tenants) {
	group := api.Group("Settings")
	httpx.Handle(group, httpx.Route{
		Method: http.MethodGet, Path: "/v1/settings", ID: "getSettings", Summary: "Read the shop's settings", Permission: permissionSettingsRead,
	}, t.settings)
	httpx.Handle(group, httpx.Route{
		Method: http.MethodPatch, Path: "/v1/settings", ID: "updateSettings", Summary: "Change the shop's settings", Permission: permissionSettingsWrite,
		Description: "Changes what is sent and leaves the rest; an empty text takes back what was there. It acts everywhere within two seconds.",
		Refusals:    []*fault.Error{errOwnersOnly},
	}, t.updateSettings)
}

type coloursBody struct {
	Primary    *string `json:"primary,omitempty" maxLength:"7" doc:"#rrggbb" example:"#114b5f"`
	Accent     *string `json:"accent,omitempty" maxLength:"7"`
	Background *string `json:"background,omitempty" maxLength:"7"`
	Text       *string `json:"text,omitempty" maxLength:"7"`
}

// SettingsBody is embedded in the body of a request that changes settings.
type SettingsBody struct {
	LogoURL              *string      `json:"logoUrl,omitempty" maxLength:"2048" example:"https://cdn.example.com/logo.png"`
	StorefrontURL        *string      `json:"storefrontUrl,omitempty" maxLength:"2048" example:"https://shop.example.com"`
	SenderName           *string      `json:"senderName,omitempty" maxLength:"100" doc:"In whose name mail is sent"`
	ReplyTo              *string      `json:"replyTo,omitempty" maxLength:"254" doc:"E-mail address to which answers to that mail go; the installation's sender when it is empty" example:"hello@example.com"`
	Colours              *coloursBody `json:"colours,omitempty"`
	Currencies           []string     `json:"currencies,omitempty" minItems:"1" maxItems:"50" doc:"ISO 4217 codes of what the shop sells in"`
	DefaultCurrency      *string      `json:"defaultCurrency,omitempty" maxLength:"3" doc:"One of the currencies; the first when it is empty"`
	SecondFactorForStaff *bool        `json:"secondFactorForStaff,omitempty" doc:"Staff must show a second factor. Only an owner may turn it off"`
	RequireVerifiedEmail *bool        `json:"requireVerifiedEmail,omitempty" doc:"Customers sign in once they have proven their e-mail address"`
}

// onto is s with the changes of the body.
func (b *SettingsBody) onto(s tenant.Settings) tenant.Settings {
	set(&s.LogoURL, b.LogoURL)
	set(&s.StorefrontURL, b.StorefrontURL)
	set(&s.SenderName, b.SenderName)
	set(&s.ReplyTo, b.ReplyTo)
	if b.Colours != nil {
		set(&s.Colours.Primary, b.Colours.Primary)
		set(&s.Colours.Accent, b.Colours.Accent)
		set(&s.Colours.Background, b.Colours.Background)
		set(&s.Colours.Text, b.Colours.Text)
	}
	if b.Currencies != nil {
		s.Currencies = b.Currencies
	}
	set(&s.DefaultCurrency, b.DefaultCurrency)
	set(&s.SecondFactorForStaff, b.SecondFactorForStaff)
	set(&s.RequireVerifiedEmail, b.RequireVerifiedEmail)
	return s
}

func set[T any](field, sent *T) {
	if sent != nil {
		*field = *sent
	}
}

// apply changes the settings of a tenant. What is wrong with them together is found here,
// because not all of them are sent.
func (b *SettingsBody) apply(ctx context.Context, to *tenant.Tenant, at string) error {
	if b == nil {
		return nil
	}
	s := b.onto(to.Settings)
	// Whoever has got hold of a session that may change settings must not weaken all others.
	if to.Settings.SecondFactorForStaff && !s.SecondFactorForStaff && !identity.Can(ctx, identity.Everything) {
		return errOwnersOnly
	}
	if fields := tenant.CheckSettings(at, s); len(fields) > 0 {
		return httpx.ErrValidation(fields...)
	}
	to.Settings = s
	return nil
}

type coloursResponse struct {
	Primary    string `json:"primary,omitempty" example:"#114b5f"`
	Accent     string `json:"accent,omitempty"`
	Background string `json:"background,omitempty"`
	Text       string `json:"text,omitempty"`
}

type settingsResponse struct {
	Name                 string          `json:"name,omitempty" doc:"Of the shop; in its own settings only" example:"Harbour & Pine"`
	LogoURL              string          `json:"logoUrl,omitempty"`
	StorefrontURL        string          `json:"storefrontUrl,omitempty"`
	SenderName           string          `json:"senderName,omitempty"`
	ReplyTo              string          `json:"replyTo,omitempty"`
	Colours              coloursResponse `json:"colours"`
	Currencies           []string        `json:"currencies" doc:"What the shop sells in, the default one first"`
	DefaultCurrency      string          `json:"defaultCurrency" example:"EUR"`
	SecondFactorForStaff bool            `json:"secondFactorForStaff"`
	RequireVerifiedEmail bool            `json:"requireVerifiedEmail"`

	version int64 // 0 where it is shown as a part of the tenant
}

// ETag is the tenant's version.
func (r settingsResponse) ETag() string { return httpx.VersionTag(r.version) }

func presentSettings(s tenant.Settings) settingsResponse {
	r := settingsResponse{
		LogoURL: s.LogoURL, StorefrontURL: s.StorefrontURL, SenderName: s.SenderName, ReplyTo: s.ReplyTo, Colours: coloursResponse(s.Colours),
		SecondFactorForStaff: s.SecondFactorForStaff, RequireVerifiedEmail: s.RequireVerifiedEmail,
	}
	for _, c := range tenant.Currencies(s) {
		r.Currencies = append(r.Currencies, string(c))
	}
	r.DefaultCurrency = r.Currencies[0]
	return r
}

func presentOwn(t tenant.Tenant) settingsResponse {
	r := presentSettings(t.Settings)
	r.Name, r.version = t.Name, t.Version
	return r
}

func (t *tenants) settings(ctx context.Context, _ *struct{}) (settingsResponse, error) {
	own, err := t.svc.Own(ctx)
	return presentOwn(own), err
}

type updateSettingsBody struct {
	Name *string `json:"name,omitempty" minLength:"1" maxLength:"200" doc:"Of the shop"`
	SettingsBody
}

// Check finds what the schema cannot say.
func (b *updateSettingsBody) Check() []fault.Field {
	fields := tenant.CheckSettings("", b.onto(tenant.Settings{}))
	if b.Name != nil {
		fields = append(fields, tenant.CheckName("/name", *b.Name)...)
	}
	return fields
}

type updateSettingsInput struct {
	httpx.IfMatch
	httpx.JSON[updateSettingsBody]
}

func (t *tenants) updateSettings(ctx context.Context, in *updateSettingsInput) (settingsResponse, error) {
	return httpx.Command(ctx, t.db, func(tx *db.Tx) (settingsResponse, error) {
		changed, err := t.svc.ChangeOwn(ctx, tx, func(old *tenant.Tenant) error {
			audit.Before(ctx, presentOwn(*old))
			if err := in.Allows(old.Version); err != nil {
				return err
			}
			set(&old.Name, in.Body.Name)
			return in.Body.apply(ctx, old, "")
		})
		return presentOwn(changed), err
	})
}
