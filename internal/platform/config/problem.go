package config

import (
	"fmt"
	"strings"
)

// Problem is one thing to mend. It never holds the value of a secret.
type Problem struct {
	Key    string `json:"key,omitempty"`    // "http.addr"; empty when no known key is concerned
	Origin string `json:"origin,omitempty"` // as Loaded.Origin has it
	Detail string `json:"detail"`           // a sentence that names key, origin and remedy
}

// Error is what Load answers when the shop must not start: all there is to mend,
// so that an operator does not find it one restart at a time.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return "configuration: " + e.Problems[0].Detail
	}
	var b strings.Builder
	fmt.Fprintf(&b, "configuration: %d problems", len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  - " + p.Detail)
	}
	return b.String()
}
