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
	var quoted []string
	for _, value := range values {
		var out bytes.Buffer
		enc := json.NewEncoder(&out) // as answers are written
		enc.SetEscapeHTML(false)
		if err := enc.Encode(value); err != nil {
			return fmt.Errorf("forget answers: %w", err)
		}
		if value != "" {
			quoted = append(quoted, out.String()[:out.Len()-1])
		}
	}
	// Within the text of a JSON string every quotation mark has a backslash before it, so that
	// what stands between two without one is all of it.
	if _, err := tx.Exec(ctx, `
		delete from platform.idempotency
		where $1 <> '' and starts_with(scope, $1 || ' ')
		   or exists (select from unnest($2::text[]) q where position(lower(q) in lower(convert_from(body, 'UTF8'))) > 0)
		   or string_to_array(lower(split_part(scope, ' ', 3)), '/') && $3`,
		actor, db.Array(quoted), db.Array(lowered(values))); err != nil {
		return fmt.Errorf("forget answers: %w", err)
	}
	return nil
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
