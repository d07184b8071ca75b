package password

import (
	_ "embed"
	"strings"
	"unicode/utf8"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

const (
	shortest = 8
	longest  = 128
)

//go:embed common.txt
var common string

// Flaws are what is wrong with a new password: its length, or that everybody tries it
// first. There are no rules of composition (NIST SP 800-63B, 3.1.1.2).
func Flaws(pointer, password string) []fault.Field {
	switch n := utf8.RuneCountInString(password); {
	case n < shortest:
		return []fault.Field{{Pointer: pointer, Code: "min_length", Detail: "must have at least 8 characters"}}
	case n > longest:
		return []fault.Field{{Pointer: pointer, Code: "max_length", Detail: "must have at most 128 characters"}}
	case isCommon(strings.ToLower(password)):
		return []fault.Field{{Pointer: pointer, Code: "common_password", Detail: "is one of those that are tried first"}}
	}
	return nil
}

func isCommon(password string) bool {
	for line := range strings.Lines(common) {
		if strings.TrimSpace(line) == password {
			return true
		}
	}
	return false
}
