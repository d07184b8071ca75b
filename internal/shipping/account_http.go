package shipping

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

type carrierAccountResponse struct {
	ID                string    `json:"id" format:"uuid"`
	Provider          string    `json:"provider" example:"easypost"`
	Name              string    `json:"name" example:"EasyPost, Europe"`
	HasSecretKey      bool      `json:"hasSecretKey" doc:"There is one, which nobody can read back"`
	HasWebhookSecrets bool      `json:"hasWebhookSecrets" doc:"There are some, which nobody can read back"`
	Enabled           bool      `json:"enabled"`
	Preferred         bool      `json:"preferred" doc:"Takes shipments that name no carrier"`
	Format            string    `json:"format" enum:"pdf,zpl" doc:"Of the labels that are bought with it"`
	WebhookPath       string    `json:"webhookPath" doc:"Where the carrier sends its webhooks, behind the shop's address. Where the host does not say which shop it is, add ?shop= and the id of the tenant"`
	CreatedAt         time.Time `json:"createdAt"`
	UpdatedAt         time.Time `json:"updatedAt"`

	version int64
}

// ETag is the account's version.
func (r carrierAccountResponse) ETag() string { return httpx.VersionTag(r.version) }

// madeAccount also says where the account is.
type madeAccount struct{ carrierAccountResponse }

// Location of the account.
func (r madeAccount) Location() string { return "/v1/shipping/carriers/" + r.ID }

func presentAccount(a account) carrierAccountResponse {
	return carrierAccountResponse{
		ID: a.ID.String(), Provider: a.Provider, Name: a.Name, HasSecretKey: a.SecretKey != nil, HasWebhookSecrets: a.WebhookSecrets != nil, Enabled: a.Enabled, Preferred: a.Preferred, Format: a.Format,
		WebhookPath: "/v1/shipping/webhooks/" + a.ID.String(), CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, version: a.Version,
	}
}

type createAccountBody struct {
	Provider       string   `json:"provider" minLength:"1" maxLength:"40" doc:"easypost, shippo, or inhouse: the shop brings its parcels itself" example:"easypost"`
	Name           string   `json:"name,omitempty" maxLength:"100" doc:"For the shop's people; the provider's when it is absent" example:"EasyPost, Europe"`
	SecretKey      string   `json:"secretKey,omitempty" secret:"true" maxLength:"500" doc:"What the carrier knows the shop by"`
	WebhookSecrets []string `json:"webhookSecrets,omitempty" secret:"true" maxItems:"3" doc:"What it signs its webhooks with, the newest first"`
	Enabled        *bool    `json:"enabled,omitempty" default:"true"`
	Preferred      bool     `json:"preferred,omitempty" doc:"Takes shipments that name no carrier"`
	Format         string   `json:"format,omitempty" enum:"pdf,zpl" default:"pdf" doc:"Of the labels that are bought with it"`
}

// Check finds what the schema cannot say.
func (b *createAccountBody) Check() []fault.Field { return httpx.Line("/name", b.Name) }

type createAccountInput struct {
	httpx.JSON[createAccountBody]
}

func (s *service) handleCreateAccount(ctx context.Context, in *createAccountInput) (madeAccount, error) {
	b := in.Body
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (madeAccount, error) {
		a := account{Provider: b.Provider, Name: cmp.Or(b.Name, b.Provider), Enabled: b.Enabled == nil || *b.Enabled, Preferred: b.Preferred, Format: b.Format}
		a, err := s.addAccount(ctx, tx, a, credentials{&b.SecretKey, &b.WebhookSecrets})
		return madeAccount{presentAccount(a)}, err
	})
}

type listAccountsInput struct{ httpx.Page }

type accountPosition struct {
	ID uuid.UUID `json:"id"`
}

func (s *service) handleAccounts(ctx context.Context, in *listAccountsInput) (httpx.List[carrierAccountResponse], error) {
	out := httpx.List[carrierAccountResponse]{Data: []carrierAccountResponse{}}
	var after accountPosition
	if in.Cursor != "" {
		if err := httpx.ReadCursor(in.Cursor, &after); err != nil {
			return out, err
		}
	}
	var list []account
	if err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = s.store.accounts(ctx, tx, `where id > $1 order by id limit $2`, after.ID, in.Limit+1)
		return err
	}); err != nil {
		return out, err
	}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		var err error
		if out.NextCursor, err = httpx.Cursor(accountPosition{list[in.Limit-1].ID}); err != nil {
			return out, err
		}
	}
	for _, a := range list {
		out.Data = append(out.Data, presentAccount(a))
	}
	return out, nil
}

func (s *service) handleAccount(ctx context.Context, in *byID) (carrierAccountResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return carrierAccountResponse{}, err
	}
	var a account
	err = s.db.Read(ctx, func(tx *db.Tx) (err error) {
		a, err = s.store.account(ctx, tx, id)
		return err
	})
	return presentAccount(a), err
}

type updateAccountBody struct {
	Name           *string   `json:"name,omitempty" minLength:"1" maxLength:"100"`
	SecretKey      *string   `json:"secretKey,omitempty" secret:"true" maxLength:"500" doc:"The new one; an empty one takes it away"`
	WebhookSecrets *[]string `json:"webhookSecrets,omitempty" secret:"true" maxItems:"3" doc:"All of them, the newest first"`
	Enabled        *bool     `json:"enabled,omitempty" doc:"A disabled account buys nothing more; what was bought goes on"`
	Preferred      *bool     `json:"preferred,omitempty"`
	Format         string    `json:"format,omitempty" enum:"pdf,zpl"`
}

// Check finds what the schema cannot say.
func (b *updateAccountBody) Check() []fault.Field {
	if b.Name == nil {
		return nil
	}
	return httpx.Line("/name", *b.Name)
}

func (b *updateAccountBody) apply(a *account) {
	if b.Name != nil {
		a.Name = *b.Name
	}
	if b.Enabled != nil {
		a.Enabled = *b.Enabled
	}
	if b.Preferred != nil {
		a.Preferred = *b.Preferred
	}
	a.Format = cmp.Or(b.Format, a.Format)
}

type updateAccountInput struct {
	httpx.IfMatch
	httpx.JSON[updateAccountBody]
	ID string `path:"id"`
}

func (s *service) handleUpdateAccount(ctx context.Context, in *updateAccountInput) (carrierAccountResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return carrierAccountResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (carrierAccountResponse, error) {
		a, err := s.changeAccount(ctx, tx, id, in.IfMatch, credentials{in.Body.SecretKey, in.Body.WebhookSecrets}, in.Body.apply)
		return presentAccount(a), err
	})
}

type deleteAccountInput struct {
	httpx.IfMatch
	ID string `path:"id"`
}

func (s *service) handleDeleteAccount(ctx context.Context, in *deleteAccountInput) (httpx.None, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (httpx.None, error) {
		return httpx.None{}, s.removeAccount(ctx, tx, id, in.IfMatch)
	})
}
