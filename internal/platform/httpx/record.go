package httpx

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// seesPersonal is the permission of who is shown personal data of others.
const seesPersonal = "customers:pii"

// changes tells that a route may change something, and has to leave an entry in the audit
// log when it succeeds.
func (r Route) changes() bool { return r.Method != http.MethodGet && !r.Unrecorded }

// entry of the audit log for a call that was answered.
func (c *call) entry(ctx context.Context, ans *answer, out any) audit.Entry {
	e := audit.Entry{Action: c.route.ID, Status: ans.status}
	e.Before, e.Reason = audit.Noted(ctx)
	if len(ans.body) > 0 {
		e.After = audit.Rendered{JSON: ans.body, Of: reflect.TypeOf(out)}
	}
	e.Entity, e.EntityID = about(c.route.Path, c.path)
	if made, ok := ans.header["Location"]; ok {
		words := strings.Split(made, "/")
		n := len(words)
		e.Entity, e.EntityID = singular(words[n-2]), words[n-1]
	}
	if entity, id := audit.Subject(ctx); entity != "" {
		e.Entity, e.EntityID = entity, id
	}
	return e
}

// about says by its path what a call is about: the kind is the word before the last
// parameter, or the last word, in the singular.
func about(pattern, path string) (entity, id string) {
	words, values := strings.Split(pattern, "/"), strings.Split(path, "/")
	kind := len(words) - 1
	for i, w := range words {
		if strings.HasPrefix(w, "{") && i > 0 && i < len(values) {
			kind, id = i-1, values[i]
		}
	}
	return singular(words[kind]), id
}

// singular of a word that stands in a path.
func singular(word string) string {
	if stem, ok := strings.CutSuffix(word, "sses"); ok {
		return stem + "ss"
	}
	return strings.TrimSuffix(word, "s")
}

// read is what the audit log keeps of a call that showed personal data: which, not what.
type read struct {
	Filter map[string]string `json:"filter,omitempty"`
	Count  int               `json:"count"`
}

// counted are results that show several.
type counted interface{ count() int }

// recordRead notes, before the answer is sent, that somebody is shown personal data of
// others. A customer, who sees what is their own, is not noted.
func (c *call) recordRead(ctx context.Context, d *db.DB, in, out any) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if id.Customer != "" || !id.Can(seesPersonal) {
		return nil
	}
	e := audit.Entry{Action: c.route.ID, Status: c.route.Status}
	e.Entity, e.EntityID = about(c.route.Path, c.path)
	shown := read{Filter: c.filter(reflect.TypeOf(in).Elem()), Count: 1}
	if list, ok := out.(counted); ok {
		shown.Count = list.count()
	}
	e.After = shown
	c.cost.Add(1)
	return audit.RecordAlone(ctx, d, e)
}

// filter is the query as it was asked, without what is personal in it.
func (c *call) filter(in reflect.Type) map[string]string {
	f := map[string]string{}
	query, err := url.ParseQuery(c.query)
	if err != nil {
		return nil // refused before it came here
	}
	for name := range query {
		f[name] = unlessSecret(query.Get(name))
		if hidden(in, name) {
			f[name] = "[personal]"
		}
	}
	return f
}

// undecided names a parameter of free text of which nobody has said whether it is personal:
// what the audit log keeps cannot be erased.
func undecided(in reflect.Type) error {
	if in.Kind() != reflect.Struct {
		return nil
	}
	for f := range in.Fields() {
		if f.Anonymous {
			if err := undecided(f.Type); err != nil {
				return err
			}
		}
		t := f.Type
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		tag := f.Tag
		if tag.Get("query") == "" || t.Kind() != reflect.String || tag.Get("enum") != "" || tag.Get("format") == "uuid" {
			continue
		}
		if said := tag.Get("personal"); said != "true" && said != "false" {
			return fmt.Errorf("%s.%s does not say whether it is personal: tag it personal:\"true\" or personal:\"false\"", in, f.Name)
		}
	}
	return nil
}

func hidden(in reflect.Type, parameter string) bool {
	for f := range in.Fields() {
		if f.Anonymous && f.Type.Kind() == reflect.Struct && hidden(f.Type, parameter) {
			return true
		}
		if name, _, _ := strings.Cut(f.Tag.Get("query"), ","); name == parameter && f.Tag.Get("personal") == "true" {
			return true
		}
	}
	return false
}
