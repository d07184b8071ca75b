package httpx

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// ForgetAnswers drops the kept answers of a caller, and those in which, or in whose path, one
// of the texts stands: whoever repeats such a request is answered anew.
func ForgetAnswers(ctx context.Context, tx *db.Tx, actor string, texts ...string) error {
	var wanted []string
	for _, text := range texts {
		var out bytes.Buffer
		enc := json.NewEncoder(&out) // as answers are written
		enc.SetEscapeHTML(false)
		if err := enc.Encode(text); err != nil {
			return fmt.Errorf("forget answers: %w", err)
		}
		if quoted := bytes.TrimSpace(out.Bytes()); len(quoted) > 2 {
			wanted = append(wanted, string(quoted[1:len(quoted)-1]))
		}
	}
	if _, err := tx.Exec(ctx, `
		delete from platform.idempotency
		where $1 <> '' and starts_with(scope, $1 || ' ') or exists (select from unnest($2::text[]) t where position(convert_to(t, 'UTF8') in body) > 0 or position(t in scope) > 0)`,
		actor, db.Array(wanted)); err != nil {
		return fmt.Errorf("forget answers: %w", err)
	}
	return nil
}
