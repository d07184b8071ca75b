package httpx

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

// Page is embedded in the input of a list.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"How many at most"`
	Cursor string `query:"cursor" personal:"false" maxLength:"1024" doc:"The nextCursor of the page before"`
}

// List is what every list answers.
type List[T any] struct {
	Data       []T    `json:"data"`
	NextCursor string `json:"nextCursor,omitempty" doc:"Send it as cursor for the next page; absent at the end"`
}

// ListOf shows a page of what was read, which is one more than it holds where there is
// another. at is the position of an item, which ReadCursor gives back on the next page.
func ListOf[T, P, R any](p Page, read []T, at func(T) P, show func(T) R) (List[R], error) {
	out := List[R]{Data: []R{}}
	if len(read) > p.Limit {
		read = read[:p.Limit]
		var err error
		if out.NextCursor, err = Cursor(at(read[p.Limit-1])); err != nil {
			return out, err
		}
	}
	for _, item := range read {
		out.Data = append(out.Data, show(item))
	}
	return out, nil
}

// After reads the position that a page begins after, unless it is the first one.
func (p Page) After(position any) error {
	if p.Cursor == "" {
		return nil
	}
	return ReadCursor(p.Cursor, position)
}

func (l List[T]) count() int { return len(l.Data) }

var errCursor = fault.New(fault.Invalid, "invalid_cursor", "The cursor is not one of this list. Start again without it.")

const checksum = 6 // bytes

// Cursor makes an opaque cursor of a position. It holds no secret and grants nothing;
// its checksum keeps an edited one from being taken for a position.
func Cursor(position any) (string, error) {
	body, err := json.Marshal(position)
	if err != nil {
		return "", fmt.Errorf("encode cursor: %w", err)
	}
	sum := sha256.Sum256(append([]byte("cursor"), body...))
	return base64.RawURLEncoding.EncodeToString(append(sum[:checksum], body...)), nil
}

// ReadCursor reads the position back.
func ReadCursor(cursor string, position any) error {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err == nil && len(raw) > checksum {
		sum := sha256.Sum256(append([]byte("cursor"), raw[checksum:]...))
		dec := json.NewDecoder(bytes.NewReader(raw[checksum:]))
		dec.DisallowUnknownFields()
		if bytes.Equal(sum[:checksum], raw[:checksum]) && json.Valid(raw[checksum:]) && dec.Decode(position) == nil {
			return nil
		}
	}
	return ErrCursor("it cannot be read")
}

// ErrCursor refuses a cursor that was made for another list, order or filter.
func ErrCursor(why string) error { return errCursor.At("?cursor", "invalid_cursor", why) }

// ID reads an id from a path. What is no id names nothing.
func ID(text string) (uuid.UUID, error) {
	if len(text) != 36 {
		return uuid.Nil, ErrNotFound
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil, ErrNotFound
	}
	return id, nil
}
