package app

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// AuditFilter is what the audit log can be asked for.
type AuditFilter struct {
	Actor    string    `query:"actor" maxLength:"200" doc:"Only what this one did" example:"key:0199c1de-0000-7000-8000-000000000000"`
	Action   string    `query:"action" maxLength:"100" doc:"Only this operation or event" example:"updateProduct"`
	Entity   string    `query:"entity" maxLength:"100" doc:"Only what happened to things of this kind" example:"product"`
	EntityID string    `query:"entityId" maxLength:"200" doc:"Only what happened to this one"`
	From     time.Time `query:"from" doc:"At this time or later"`
	Until    time.Time `query:"until" doc:"Before this time"`
}

func (f AuditFilter) filter() audit.Filter {
	out := audit.Filter{Actor: f.Actor, Action: f.Action, Entity: f.Entity, EntityID: f.EntityID}
	if !f.From.IsZero() {
		out.From = &f.From
	}
	if !f.Until.IsZero() {
		out.Until = &f.Until
	}
	return out
}

type listAudit struct {
	httpx.Page
	AuditFilter
}

type exportAudit struct {
	AuditFilter
	Format string `query:"format" enum:"ndjson,csv" default:"ndjson"`
}

type headResponse struct {
	Seq  int64  `json:"seq" doc:"Of the last entry that is sealed; 0 when there is none"`
	Hash string `json:"hash" doc:"Keep it elsewhere: later it tells whether all that led to it still stands"`
}

// auditDesk shows the audit log.
type auditDesk struct{ db *db.DB }

func auditRoutes(api *httpx.API, d *db.DB) {
	const read = "audit:read"
	desk := auditDesk{d}
	api = api.Group("Audit")
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/audit", ID: "listAudit", Summary: "Read the audit log", Permission: read,
		Description: "Who changed what, newest first: an entry for each call that changed something, for each look at personal data of others, and for each security event.",
	}, desk.list)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/audit/head", ID: "getAuditHead", Summary: "Read the head of the audit log", Permission: read,
		Description: "Each entry is tied to the one before it by a hash. `fusion audit verify --head` tells from one that you have kept whether anything was changed since, or cut off.",
	}, desk.head)
	httpx.File(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/audit/export", ID: "exportAudit", Summary: "Export the audit log", Permission: read,
		Description: "Oldest first, a line for each entry. In CSV a cell that a spreadsheet would take for a formula begins with an apostrophe. The export leaves an entry itself.",
	}, []string{"application/x-ndjson", "text/csv"}, desk.export)
}

type auditPosition struct {
	Seq int64 `json:"seq"`
}

func (a auditDesk) list(ctx context.Context, in *listAudit) (httpx.List[audit.View], error) {
	var before auditPosition
	if err := in.After(&before); err != nil {
		return httpx.List[audit.View]{}, err
	}
	var list []audit.Sealed
	if err := a.db.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = audit.List(ctx, tx, in.filter(), before.Seq, in.Limit+1)
		return err
	}); err != nil {
		return httpx.List[audit.View]{}, err
	}
	return httpx.ListOf(in.Page, list, func(e audit.Sealed) auditPosition { return auditPosition{e.Seq} }, audit.Sealed.View)
}

func (a auditDesk) head(ctx context.Context, _ *struct{}) (out headResponse, err error) {
	err = a.db.Read(ctx, func(tx *db.Tx) error {
		h, err := audit.HeadOf(ctx, tx)
		out = headResponse{h.Seq, h.Hash}
		return err
	})
	return out, err
}

func (a auditDesk) export(ctx context.Context, in *exportAudit) (httpx.Download, error) {
	file := httpx.Download{Media: "application/x-ndjson", Name: "audit." + in.Format}
	if in.Format == "csv" {
		file.Media = "text/csv"
	}
	f := in.filter()
	if err := a.db.InTx(ctx, func(tx *db.Tx) error {
		return audit.Record(ctx, tx, audit.Entry{Action: "exportAudit", Entity: "audit", After: f, Status: http.StatusOK})
	}); err != nil {
		return file, err
	}
	file.Write = func(ctx context.Context, w io.Writer) error {
		lines := bufio.NewWriter(w)
		write, end, err := audit.Exporting(lines, in.Format)
		if err != nil {
			return err
		}
		if err := audit.Each(ctx, a.db, f, write); err != nil {
			return err
		}
		if err := end(); err != nil {
			return err
		}
		return lines.Flush()
	}
	return file, nil
}
