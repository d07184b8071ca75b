// Package mask shows enough of personal data to tell records apart, and too little to
// reach or recognise anybody.
package mask

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const hidden = "***"

// Email leaves the first letters and the top-level domain: "a***@e***.com".
func Email(address string) string {
	if address == "" {
		return ""
	}
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return hidden
	}
	local, domain := address[:at], address[at+1:]
	top := ""
	if dot := strings.LastIndexByte(domain, '.'); dot >= 0 {
		domain, top = domain[:dot], domain[dot:]
	}
	return first(local) + hidden + "@" + first(domain) + hidden + top
}

// Name leaves the initials: "A. L.".
func Name(name string) string {
	var initials []string
	for word := range strings.FieldsFuncSeq(name, func(r rune) bool { return unicode.IsSpace(r) || r == '-' }) {
		initials = append(initials, first(word)+".")
	}
	return strings.Join(initials, " ")
}

// Text leaves nothing but that there is some.
func Text(s string) string {
	if s == "" {
		return ""
	}
	return hidden
}

// Values leaves the names, and of each value that there is one.
func Values(named map[string]string) map[string]string {
	hidden := make(map[string]string, len(named))
	for name, value := range named {
		hidden[name] = Text(value)
	}
	return hidden
}

func first(s string) string {
	_, size := utf8.DecodeRuneInString(s)
	return s[:size]
}
