package audit

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// View is an entry as it is shown.
type View struct {
	ID         uuid.UUID       `json:"id"`
	Seq        int64           `json:"seq" doc:"Its number; those of a shop have gaps, for other shops have theirs"`
	RecordedAt time.Time       `json:"recordedAt"`
	Actor      string          `json:"actor" doc:"Who did it" example:"key:0199c1de-0000-7000-8000-000000000000"`
	OnBehalfOf string          `json:"onBehalfOf,omitempty" doc:"Whose place the actor took"`
	Action     string          `json:"action" doc:"The operation, or a security event" example:"updateProduct"`
	Entity     string          `json:"entity" doc:"Kind of what it happened to" example:"product"`
	EntityID   string          `json:"entityId,omitempty"`
	Before     json.RawMessage `json:"before,omitempty" doc:"What it happened to, as it was; without what is personal or secret"`
	After      json.RawMessage `json:"after,omitempty" doc:"What was answered; without what is personal or secret"`
	Changes    []string        `json:"changes" doc:"Members in which before and after differ"`
	Reason     string          `json:"reason,omitempty"`
	Status     int             `json:"status,omitempty" doc:"Of the answer"`
	IP         string          `json:"ip,omitempty"`
	UserAgent  string          `json:"userAgent,omitempty"`
	RequestID  string          `json:"requestId,omitempty"`
	Hash       string          `json:"hash,omitempty" doc:"Ties the entry to the one before it; absent for a moment after it was recorded"`
}

// View is how the entry is shown.
func (s Sealed) View() View {
	v := View{
		ID: s.ID, Seq: s.Seq, RecordedAt: s.At(), Actor: s.Actor, OnBehalfOf: s.OnBehalfOf, Action: s.Action, Entity: s.Entity, EntityID: s.EntityID,
		Changes: []string{}, Reason: s.Reason, Status: s.Status, IP: s.IP, UserAgent: s.UserAgent, RequestID: s.RequestID, Hash: s.Hash,
	}
	if s.Before != nil {
		v.Before = json.RawMessage(*s.Before)
	}
	if s.After != nil {
		v.After = json.RawMessage(*s.After)
	}
	v.Changes = append(v.Changes, differing(v.Before, v.After)...)
	return v
}

// differing are the members of two objects that are not the same in both.
func differing(before, after json.RawMessage) (names []string) {
	var b, a map[string]json.RawMessage
	if json.Unmarshal(before, &b) != nil || json.Unmarshal(after, &a) != nil {
		return nil
	}
	for name := range b {
		if _, stays := a[name]; !stays {
			names = append(names, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if !bytes.Equal(a[name], b[name]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ErrFormat refuses to export in a form that there is not.
var ErrFormat = errors.New("the forms of an export are ndjson and csv")

// Exporting returns what writes entries in a form, ndjson or csv, and what ends that.
func Exporting(w io.Writer, format string) (write func(Sealed) error, end func() error, err error) {
	switch format {
	case "ndjson":
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return func(s Sealed) error { return enc.Encode(s.View()) }, func() error { return nil }, nil
	case "csv":
		out := csv.NewWriter(w)
		if err := out.Write(heading); err != nil {
			return nil, nil, err
		}
		end := func() error {
			out.Flush()
			return out.Error()
		}
		return func(s Sealed) error { return out.Write(s.cells()) }, end, nil
	}
	return nil, nil, fmt.Errorf("%w, not %q", ErrFormat, format)
}

var heading = []string{
	"seq", "id", "recordedAt", "actor", "onBehalfOf", "action", "entity", "entityId", "before", "after", "reason", "status", "ip", "userAgent", "requestId", "hash",
}

func (s Sealed) cells() []string {
	text := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	cells := []string{
		strconv.FormatInt(s.Seq, 10), s.ID.String(), s.At().Format(time.RFC3339Nano), s.Actor, s.OnBehalfOf, s.Action, s.Entity, s.EntityID,
		text(s.Before), text(s.After), s.Reason, strconv.Itoa(s.Status), s.IP, s.UserAgent, s.RequestID, s.Hash,
	}
	for i := range cells {
		cells[i] = harmless(cells[i])
	}
	return cells
}

// harmless keeps spreadsheets from taking a cell for a formula.
func harmless(cell string) string {
	if cell == "" {
		return cell
	}
	switch cell[0] {
	case '=', '+', '-', '@', '\t', '\r', '\n':
		return "'" + cell
	}
	return cell
}
