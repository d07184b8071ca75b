package config

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// RedactDSN shows a PostgreSQL connection string, as URL or as key=value pairs,
// with *** for its passwords. What it cannot take apart with certainty (say, a
// password with an unescaped slash) it hides altogether.
func RedactDSN(dsn string) string {
	if dsn == "" {
		return ""
	}
	if scheme, rest, ok := strings.Cut(dsn, "://"); ok && isWord(scheme) {
		return scheme + "://" + redactURL(rest)
	}
	pairs, ok := dsnPairs(dsn)
	if !ok {
		return hidden
	}
	shown := make([]string, len(pairs))
	for i, p := range pairs {
		if isPassword(p.key) {
			p.raw = hidden
		}
		shown[i] = p.key + "=" + p.raw
	}
	return strings.Join(shown, " ")
}

// redactURL takes what follows "://". It works on the text, because a parser
// would re-encode what the operator wrote and refuse what is slightly wrong.
func redactURL(rest string) string {
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	user, hosts, named := strings.Cut(authority, "@")
	if !named {
		user, hosts = "", authority
	}
	// A second @ means that a password was not escaped and that we cannot know
	// where it ends; so does text where a port should be.
	if strings.Contains(hosts+tail, "@") || !portsAreNumbers(hosts) {
		return hidden
	}
	if name, _, ok := strings.Cut(user, ":"); ok {
		user = name + ":" + hidden
	}
	if named {
		user += "@"
	}
	return user + hosts + redactQuery(tail)
}

func redactQuery(tail string) string {
	path, query, ok := strings.Cut(tail, "?")
	if !ok {
		return tail
	}
	query, fragment, hasFragment := strings.Cut(query, "#")
	parts := strings.Split(query, "&")
	for i, part := range parts {
		name, _, _ := strings.Cut(part, "=")
		if plain, err := url.QueryUnescape(name); err != nil || isPassword(plain) {
			parts[i] = name + "=" + hidden
		}
	}
	query = strings.Join(parts, "&")
	if hasFragment {
		query += "#" + fragment
	}
	return path + "?" + query
}

// portsAreNumbers looks at one host or a comma list of them.
func portsAreNumbers(hosts string) bool {
	for host := range strings.SplitSeq(hosts, ",") {
		if end := strings.LastIndexByte(host, ']'); end >= 0 { // IPv6
			host = host[end+1:]
		}
		if _, port, ok := strings.Cut(host, ":"); ok && strings.Trim(port, "0123456789") != "" {
			return false
		}
	}
	return true
}

func isPassword(key string) bool {
	return strings.EqualFold(key, "password") || strings.EqualFold(key, "sslpassword")
}

func isWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("+-.", r)
	})
}

type dsnPair struct {
	key, raw string // raw as written, with its quotes
}

// dsnPairs reads libpq's keyword/value form: spaces around = are allowed, a
// value may be quoted with ' and a backslash takes the next character as it is.
func dsnPairs(dsn string) ([]dsnPair, bool) {
	var pairs []dsnPair
	for rest := strings.TrimSpace(dsn); rest != ""; rest = strings.TrimSpace(rest) {
		key, after, ok := strings.Cut(rest, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" || strings.ContainsFunc(key, func(r rune) bool { return r != '_' && r != '.' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			return nil, false
		}
		after = strings.TrimSpace(after)
		length, ok := valueLength(after)
		if !ok {
			return nil, false
		}
		pairs = append(pairs, dsnPair{key, after[:length]})
		rest = after[length:]
	}
	return pairs, len(pairs) > 0
}

// valueLength finds where the value that s begins with ends; false when a quote
// is never closed.
func valueLength(s string) (int, bool) {
	quoted := strings.HasPrefix(s, "'")
	escaped := false
	for i, r := range s {
		switch {
		case escaped:
			escaped = false
		case r == '\\':
			escaped = true
		case quoted && i > 0 && r == '\'':
			return i + 1, true
		case !quoted && unicode.IsSpace(r):
			return i, true
		}
	}
	return len(s), !quoted
}

// isDSN tells whether the PostgreSQL driver can read s.
func isDSN(s string) bool {
	if scheme, _, ok := strings.Cut(s, "://"); ok && isWord(scheme) {
		u, err := url.Parse(s)
		return err == nil && slices.Contains([]string{"postgres", "postgresql"}, u.Scheme) && (u.Host != "" || u.Path != "" || u.RawQuery != "")
	}
	_, ok := dsnPairs(s)
	return ok
}
