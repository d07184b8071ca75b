package config

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

const hidden = "***"

// Secret is a text that only Reveal gives away; every way of printing it shows
// *** (or nothing when it is empty).
//
// The text is behind a pointer on purpose: fmt may not call the methods of a
// value it reaches through an unexported field, and would print the fields of
// the struct instead. Compare secrets by what they reveal, not with ==.
type Secret struct{ text *string }

// NewSecret hides text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{} // so that every empty secret is the zero value
	}
	return Secret{&text}
}

// Reveal gives the text. Call it where the secret is used, and keep no copy.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero tells whether there is no secret; encoding/json's omitzero asks it.
func (s Secret) IsZero() bool { return s.text == nil }

func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return hidden
}

// Format covers the verbs that String does not: %d of a Stringer prints the
// fields as they are.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

func (s Secret) GoString() string             { return s.String() }
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(s.String()) }
