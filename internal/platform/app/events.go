package app

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

type listEvents struct {
	Topic  string `query:"topic" maxLength:"100" doc:"Only facts of this type" example:"order.created"`
	After  string `query:"after" maxLength:"1024" doc:"Id of the last event you have, or a nextCursor: what follows is listed"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"How many at most"`
	Cursor string `query:"cursor" maxLength:"1024" doc:"The nextCursor of the page before"`
}

type position struct {
	Seq int64 `json:"seq"`
}

var errUnknownEvent = fault.New(fault.Invalid, "unknown_event", "There is no event with the id in after.")

// eventRoutes serves the log to integrations that reconcile.
func eventRoutes(api *httpx.API, d *db.DB, log *event.Log) {
	httpx.Handle(api.Group("Events"), httpx.Route{
		Method: http.MethodGet, Path: "/v1/events", ID: "listEvents", Summary: "Read the event log", Permission: "events:read",
		Description: "Every fact of the shop, oldest first. Keep the id of the last event you handled and send it as after: none is missed and none comes twice.",
		Refusals:    []*fault.Error{errUnknownEvent},
	}, func(ctx context.Context, in *listEvents) (httpx.List[event.Envelope], error) {
		page := httpx.List[event.Envelope]{Data: []event.Envelope{}}
		err := d.Read(ctx, func(tx *db.Tx) error {
			after, err := startOf(ctx, tx, log, in)
			if err != nil {
				return err
			}
			facts, err := log.Since(ctx, tx, in.Topic, after, in.Limit+1)
			if err != nil {
				return err
			}
			if len(facts) > in.Limit {
				facts = facts[:in.Limit]
				if page.NextCursor, err = httpx.Cursor(position{facts[in.Limit-1].Seq}); err != nil {
					return err
				}
			}
			for _, f := range facts {
				page.Data = append(page.Data, f.Envelope)
			}
			return nil
		})
		return page, err
	})
}

func startOf(ctx context.Context, tx *db.Tx, log *event.Log, in *listEvents) (int64, error) {
	if id, err := uuid.Parse(in.After); err == nil && in.Cursor == "" {
		seq, found, err := log.Position(ctx, tx, id)
		if err == nil && !found {
			err = errUnknownEvent.At("?after", "unknown_event", "is not the id of an event")
		}
		return seq, err
	}
	cursor := in.Cursor
	if cursor == "" {
		cursor = in.After
	}
	var p position
	if cursor != "" {
		if err := httpx.ReadCursor(cursor, &p); err != nil {
			if in.Cursor == "" {
				f := *fault.From(err)
				f.Fields = []fault.Field{{Pointer: "?after", Code: f.Code, Detail: "is neither the id of an event nor a cursor"}}
				err = &f
			}
			return 0, err
		}
	}
	return p.Seq, nil
}
