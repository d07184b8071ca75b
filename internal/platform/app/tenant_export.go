package app

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
)

const archive = "application/gzip"

func (t *tenants) export(ctx context.Context, in *tenantByID) (httpx.Download, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return httpx.Download{}, err
	}
	var found tenant.Tenant
	if err := t.db.InTx(ctx, func(tx *db.Tx) error {
		if found, err = t.svc.Find(ctx, tx, id); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "exportTenant", Entity: "tenant", EntityID: id.String(), Status: http.StatusOK})
	}); err != nil {
		return httpx.Download{}, err
	}
	return httpx.Download{
		Media: archive,
		Name:  found.Slug + ".tar.gz",
		Write: func(ctx context.Context, to io.Writer) error {
			operator, err := identity.From(ctx)
			if err != nil {
				return err
			}
			operator.Tenant = found.ID
			if _, err := tenant.Export(identity.With(ctx, operator), t.db, to); err != nil {
				return fmt.Errorf("export tenant %s: %w", found.Slug, err)
			}
			return nil
		},
	}, nil
}
