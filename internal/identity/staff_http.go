package identity

import (
	"context"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

func (s *service) handleStaff(ctx context.Context, in *listInput) (httpx.List[accountResponse], error) {
	return page(*in, func(after *accountPosition, limit int) (list []account, err error) {
		err = s.db.Read(ctx, func(tx *db.Tx) error {
			list, err = s.store.staff(ctx, tx, after, limit)
			return err
		})
		return list, err
	}, func(a account) accountPosition { return accountPosition{a.CreatedAt, a.ID} }, present)
}

func (s *service) handleGetStaff(ctx context.Context, in *byID) (accountResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return accountResponse{}, err
	}
	var a account
	err = s.db.Read(ctx, func(tx *db.Tx) (err error) {
		a, err = s.store.account(ctx, tx, id)
		return err
	})
	if err == nil && a.Kind != staff {
		err = httpx.ErrNotFound
	}
	return present(a), err
}

type inviteBody struct {
	Email string   `json:"email" minLength:"1" maxLength:"254"`
	Name  string   `json:"name,omitempty" maxLength:"200"`
	Roles []string `json:"roles" minItems:"1" maxItems:"20" doc:"Whose permissions you hold" example:"[\"support\"]"`
}

// Check finds what the schema cannot say.
func (b *inviteBody) Check() []fault.Field {
	fields := append(httpx.Line("/name", b.Name), flawsOfRoles(b.Roles)...)
	if b.Email != "" {
		fields = append(fields, flawsOfEmail(b.Email)...)
	}
	return fields
}

type inviteInput struct{ httpx.JSON[inviteBody] }

// invitedResponse also says where the account is.
type invitedResponse struct{ accountResponse }

// Location of the account.
func (r invitedResponse) Location() string { return "/v1/staff/" + r.ID }

func (s *service) handleInvite(ctx context.Context, in *inviteInput) (invitedResponse, error) {
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (invitedResponse, error) {
		a, _, err := s.invite(ctx, tx, in.Body.Email, in.Body.Name, in.Body.Roles)
		return invitedResponse{present(a)}, err
	})
}

type updateStaffBody struct {
	Roles  *[]string `json:"roles,omitempty" maxItems:"20" doc:"All that they have from then on"`
	Status *string   `json:"status,omitempty" enum:"active,disabled"`
}

// Check finds what the schema cannot say.
func (b *updateStaffBody) Check() []fault.Field {
	if b.Roles == nil {
		return nil
	}
	return flawsOfRoles(*b.Roles)
}

type updateStaffInput struct {
	httpx.IfMatch
	httpx.JSON[updateStaffBody]
	ID string `path:"id"`
}

func (s *service) handleUpdateStaff(ctx context.Context, in *updateStaffInput) (accountResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return accountResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (accountResponse, error) {
		a, err := s.updateStaff(ctx, tx, id, in.IfMatch, staffChange{in.Body.Roles, (*status)(in.Body.Status)})
		return present(a), err
	})
}

func (s *service) handleRemoveFactor(ctx context.Context, in *byID) (httpx.None, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return httpx.None{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (httpx.None, error) {
		_, err := s.removeFactor(ctx, tx, id)
		return httpx.None{}, err
	})
}
