package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// ForgetAnswers drops the kept answers of a caller, and those in which one of the values
// stands, or in whose path: whoever repeats such a request is answered anew. A value is a
// whole one, in any case of letters: the answers of others stay, whose address only ends with
// it, or what they asked for once would be done twice.
func ForgetAnswers(ctx context.Context, tx *db.Tx, actor string, values ...string) error {
	var patterns []string
	for _, value := range values {
		if value == "" {
			continue
		}
		var out bytes.Buffer
		enc := json.NewEncoder(&out) // as answers are written
		enc.SetEscapeHTML(false)
		if err := enc.Encode(value); err != nil {
			return fmt.Errorf("forget answers: %w", err)
		}
		patterns = append(patterns, "%"+literally.Replace(out.String()[:out.Len()-1])+"%")
	}
	for last, rows := (answerKey{}), mostSearched/(len(values)+1)+1; ; {
		var seen []answerKey
		// Within the text of a JSON string every quotation mark has a backslash before it, so that
		// what stands between two without one is all of it.
		if err := tx.Select(ctx, &seen, `
			with piece as materialized (
				select scope, key, $1 <> '' and starts_with(scope, $1 || ' ') or t like any(array(select lower(p) from unnest($2::text[]) p)) or string_to_array(lower(split_part(scope, ' ', 3)), '/') && $3 named
				from (select scope, key, body from platform.idempotency where (scope, key) > ($4, $5) order by scope, key limit $6) a,
				     lateral (select lower(convert_from(body, 'UTF8')) t offset 0) b
			), gone as (
				delete from platform.idempotency i using piece p where p.named and i.scope = p.scope and i.key = p.key
			)
			select scope, key from piece order by scope desc, key desc limit 1`,
			actor, db.Array(patterns), db.Array(lowered(values)), last.Scope, last.Key, rows); err != nil {
			return fmt.Errorf("forget answers: %w", err)
		}
		if len(seen) == 0 {
			return nil
		}
		last = seen[0]
	}
}

// mostSearched bounds how many answers a statement searches for how many values, so that it
// stays within its time however many answers are kept.
const mostSearched = 20_000

// literally writes a text so that a pattern of LIKE means it.
var literally = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// answerKey is where a piece of the kept answers ends.
type answerKey struct {
	Scope string `db:"scope"`
	Key   string `db:"key"`
}

func lowered(values []string) []string {
	list := []string{}
	for _, v := range values {
		if v != "" {
			list = append(list, strings.ToLower(v))
		}
	}
	return list
}
