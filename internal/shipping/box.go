package shipping

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/shipping/pack"
)

type boxBody struct {
	Name     string `json:"name" minLength:"1" maxLength:"100" example:"S"`
	Length   int64  `json:"length" minimum:"1" maximum:"10000" doc:"Inside, in mm" example:"250"`
	Width    int64  `json:"width" minimum:"1" maximum:"10000" doc:"Inside, in mm" example:"175"`
	Height   int64  `json:"height" minimum:"1" maximum:"10000" doc:"Inside, in mm" example:"100"`
	Grams    int64  `json:"grams,omitempty" minimum:"0" maximum:"1000000" doc:"Empty" example:"120"`
	MaxGrams int64  `json:"maxGrams,omitempty" minimum:"0" maximum:"1000000" doc:"With what is in it; whatever it weighs when it is absent or 0" example:"5000"`
}

type boxesBody struct {
	Data []boxBody `json:"data" maxItems:"50" doc:"None: everything goes as it is"`
}

// Check finds what the schema cannot say.
func (b *boxesBody) Check() (fields []fault.Field) {
	for i, box := range b.Data {
		pointer := fmt.Sprintf("/data/%d", i)
		fields = append(fields, httpx.Line(pointer+"/name", box.Name)...)
		if slices.ContainsFunc(b.Data[:i], func(o boxBody) bool { return o.Name == box.Name }) {
			fields = append(fields, fault.Field{Pointer: pointer + "/name", Code: "duplicate", Detail: "is another box already"})
		}
		if box.MaxGrams > 0 && box.MaxGrams <= box.Grams {
			fields = append(fields, fault.Field{Pointer: pointer + "/maxGrams", Code: "minimum", Detail: "must be more than the box weighs itself"})
		}
	}
	return fields
}

type boxesInput struct {
	httpx.IfMatch
	httpx.JSON[boxesBody]
}

type boxesResponse struct {
	Data []boxBody `json:"data"`

	tag string
}

// ETag is of what there is: boxes have no other versions.
func (r boxesResponse) ETag() string { return r.tag }

func presentBoxes(boxes []pack.Box) boxesResponse {
	r := boxesResponse{Data: []boxBody{}}
	hash := sha256.New()
	for _, b := range boxes {
		r.Data = append(r.Data, boxBody{b.Name, b.Length, b.Width, b.Height, b.Own, b.Most})
		fmt.Fprintf(hash, "%q %d %d %d %d %d\n", b.Name, b.Length, b.Width, b.Height, b.Own, b.Most)
	}
	r.tag = `"` + hex.EncodeToString(hash.Sum(nil)[:12]) + `"`
	return r
}

func (s *service) handleBoxes(ctx context.Context, _ *struct{}) (out boxesResponse, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		boxes, err := s.store.boxes(ctx, tx)
		out = presentBoxes(boxes)
		return err
	})
	return out, err
}

func (s *service) handlePutBoxes(ctx context.Context, in *boxesInput) (boxesResponse, error) {
	boxes := make([]pack.Box, len(in.Body.Data))
	for i, b := range in.Body.Data {
		boxes[i] = pack.Box{Name: b.Name, Sides: pack.Sides{Length: b.Length, Width: b.Width, Height: b.Height}, Own: b.Grams, Most: b.MaxGrams}
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (boxesResponse, error) {
		if err := s.changes(ctx, tx); err != nil {
			return boxesResponse{}, err
		}
		if err := s.store.lockBoxes(ctx, tx); err != nil {
			return boxesResponse{}, err
		}
		was, err := s.store.boxes(ctx, tx)
		if err != nil {
			return boxesResponse{}, err
		}
		before := presentBoxes(was)
		audit.Before(ctx, before)
		if err := in.AllowsTag(before.tag); err != nil {
			return boxesResponse{}, err
		}
		return presentBoxes(boxes), s.store.putBoxes(ctx, tx, boxes)
	})
}

// boxRow is a box as the database writes and reads it as JSON.
type boxRow struct {
	Position int    `json:"position"`
	Name     string `json:"name"`
	Length   int64  `json:"length_mm"`
	Width    int64  `json:"width_mm"`
	Height   int64  `json:"height_mm"`
	Grams    int64  `json:"grams"`
	MaxGrams int64  `json:"max_grams"`
}

const boxesJSON = `select coalesce(json_agg(to_jsonb(b) order by b.position), '[]') from shipping.box b`

func boxesOf(body []byte) ([]pack.Box, error) {
	var rows []boxRow
	if err := json.Unmarshal(body, &rows); err != nil {
		return nil, fmt.Errorf("read boxes: %w", err)
	}
	boxes := make([]pack.Box, len(rows))
	for i, r := range rows {
		boxes[i] = pack.Box{Name: r.Name, Sides: pack.Sides{Length: r.Length, Width: r.Width, Height: r.Height}, Own: r.Grams, Most: r.MaxGrams}
	}
	return boxes, nil
}

func (store) boxes(ctx context.Context, tx *db.Tx) ([]pack.Box, error) {
	var body []byte
	if err := tx.Get(ctx, &body, boxesJSON); err != nil {
		return nil, fmt.Errorf("list boxes: %w", err)
	}
	return boxesOf(body)
}

// lockBoxes waits for whoever else is about to replace them.
func (store) lockBoxes(ctx context.Context, tx *db.Tx) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended($1, 0))`, "boxes of "+id.Tenant.String()); err != nil {
		return fmt.Errorf("lock boxes: %w", err)
	}
	return nil
}

// putBoxes puts boxes in place of those that there are, which are locked.
func (store) putBoxes(ctx context.Context, tx *db.Tx, boxes []pack.Box) error {
	rows := make([]boxRow, len(boxes))
	for i, b := range boxes {
		rows[i] = boxRow{i, b.Name, b.Length, b.Width, b.Height, b.Own, b.Most}
	}
	body, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("encode boxes: %w", err)
	}
	if _, err := tx.Exec(ctx, `delete from shipping.box`); err != nil {
		return fmt.Errorf("remove boxes: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		insert into shipping.box (position, name, length_mm, width_mm, height_mm, grams, max_grams)
		select position, name, length_mm, width_mm, height_mm, grams, max_grams
		from json_to_recordset($1::json) b(position smallint, name text, length_mm bigint, width_mm bigint, height_mm bigint, grams bigint, max_grams bigint)`, string(body)); err != nil {
		return fmt.Errorf("save boxes: %w", err)
	}
	return nil
}
