package config

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// rule is what a text, or each item of a list, must look like.
type rule struct {
	must  string // completes "must be …"
	holds func(string) bool
}

var moduleName = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

// rules are named by the tag "is".
var rules = map[string]rule{
	"address": {"host:port, such as 127.0.0.1:8080 or :8080", isAddress},
	"dsn": {
		"a PostgreSQL URL such as postgres://user:password@host/database (special characters percent-encoded) or pairs such as host=… user=…", isDSN,
	},
	"module":      {"module names, such as catalog,orders", moduleName.MatchString},
	"master_key":  {"32 bytes in base64, such as from: openssl rand -base64 32", isMasterKey},
	"master_keys": {"32 bytes in base64 each, with commas between", isMasterKeys},
	"smtp":        {"smtp://user:password@host:587 or smtps://user:password@host (special characters percent-encoded)", isSMTP},
	"sender":      {"an e-mail address such as shop@example.com or Shop <shop@example.com>", isSender},
	"origin":      {"origins, such as https://shop.example or http://localhost:3000", isOrigin},
	"store":       {"a URL such as redis://host:6379/0 or rediss://user:password@host:6379/0", isStore},
	"network":     {"addresses or networks, such as 10.0.0.0/8 or fd00::1", isNetwork},
	"amount":      {"amounts, such as 500.00 EUR", isAmount},
	"url":         {"an http or https URL such as http://catalog:8080", isURL},
	"site":        {"an http or https URL without a path, such as https://shop.example.com", isOrigin},
	"path":        {"a path", func(s string) bool { return strings.TrimSpace(s) != "" }},
}

// choices are the words of the tag "oneof"; none means any text.
func choices(tag reflect.StructTag) []string {
	switch oneof := tag.Get("oneof"); oneof {
	case "":
		return nil
	case "BusDrivers":
		return BusDrivers
	default:
		return strings.Split(oneof, "|")
	}
}

func words(all []string) string {
	if len(all) == 1 {
		return all[0]
	}
	return "one of " + strings.Join(all, ", ")
}

// allowed says what a field takes, from the same tags that decode obeys.
func allowed(t reflect.Type, tag reflect.StructTag) string {
	var must string
	switch typeOf(t) {
	case Bool:
		must = "true or false"
	case Int:
		must = fmt.Sprintf("a whole number from %s to %s", tag.Get("min"), tag.Get("max"))
	case Duration:
		must = fmt.Sprintf("a duration from %s to %s, such as %s", tag.Get("min"), tag.Get("max"), tag.Get("default"))
		if means := tag.Get("zero"); means != "" {
			must += ", or 0s for " + means
		}
	default:
		switch all, is := choices(tag), tag.Get("is"); {
		case len(all) > 0:
			must = words(all)
		case is != "":
			must = rules[is].must
		default:
			must = "any text"
		}
	}
	if meaning, ok := tag.Lookup("empty"); ok {
		must += "; empty: " + meaning
	}
	return must
}

// refusal says why a raw value is not acceptable. Part is the item of a list
// that is to blame; hint is an advice to add.
type refusal struct{ part, hint string }

// decode turns a raw value (text from flags, environment and defaults; what
// YAML made of it from a file) into the field's type.
func (e entry) decode(raw any) (any, *refusal) {
	switch e.Type {
	case Bool:
		return e.decodeBool(raw)
	case Int:
		return e.decodeInt(raw)
	case Duration:
		return e.decodeDuration(raw)
	case List:
		return e.decodeList(raw)
	default:
		return e.decodeText(raw)
	}
}

func (e entry) decodeText(raw any) (any, *refusal) {
	text, ok := raw.(string)
	if !ok { // YAML reads 0123 as a number: a secret would silently become another one
		return nil, &refusal{hint: "put the text in quotes"}
	}
	if r := e.refuse(text); r != nil {
		return nil, r
	}
	if e.Type == Hidden {
		return NewSecret(text), nil
	}
	if e.tag.Get("is") == "url" {
		text = strings.TrimRight(text, "/") // so that links are joined with a single slash
	}
	return text, nil
}

// refuse applies the rules for a text, which may also be an item of a list.
func (e entry) refuse(text string) *refusal {
	if text == "" {
		if _, ok := e.tag.Lookup("empty"); ok {
			return nil
		}
	}
	if all := choices(e.tag); len(all) > 0 && !slices.Contains(all, text) {
		if near := nearest(text, all); near != "" {
			return &refusal{hint: "did you mean " + near + "?"}
		}
		return &refusal{}
	}
	if is := e.tag.Get("is"); is != "" && !rules[is].holds(text) {
		return &refusal{}
	}
	return nil
}

func (e entry) decodeBool(raw any) (any, *refusal) {
	switch v := raw.(type) {
	case bool:
		return v, nil
	case string:
		switch strings.ToLower(v) {
		case "true", "yes", "on", "1":
			return true, nil
		case "false", "no", "off", "0":
			return false, nil
		}
	}
	return nil, &refusal{}
}

func (e entry) decodeInt(raw any) (any, *refusal) {
	var n int
	var err error
	switch v := raw.(type) {
	case int:
		n = v
	case string:
		n, err = strconv.Atoi(v)
	default: // 16.5 of a file, and also 16.0: who writes it means something else
		return nil, &refusal{}
	}
	low, lowErr := strconv.Atoi(e.tag.Get("min"))
	high, highErr := strconv.Atoi(e.tag.Get("max"))
	if err != nil || lowErr != nil || highErr != nil || n < low || n > high {
		return nil, &refusal{}
	}
	return n, nil
}

func (e entry) decodeDuration(raw any) (any, *refusal) {
	text, ok := raw.(string)
	if !ok {
		return nil, &refusal{hint: "say the unit, such as s or m"}
	}
	d, err := time.ParseDuration(text)
	low, lowErr := time.ParseDuration(e.tag.Get("min"))
	high, highErr := time.ParseDuration(e.tag.Get("max"))
	if err == nil && d == 0 && e.tag.Get("zero") != "" {
		return d, nil
	}
	if err != nil || lowErr != nil || highErr != nil || d < low || d > high {
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			return nil, &refusal{hint: "say the unit, such as s or m"}
		}
		return nil, &refusal{}
	}
	return d, nil
}

func (e entry) decodeList(raw any) (any, *refusal) {
	items, ok := split(raw)
	if !ok {
		return nil, &refusal{hint: "put each item in quotes"}
	}
	for i, item := range items {
		if r := e.refuse(item); r != nil {
			r.part = item
			return nil, r
		}
		if slices.Contains(items[:i], item) {
			return nil, &refusal{part: item, hint: "it is there twice"}
		}
	}
	return items, nil
}

// split reads "a, b" or a YAML list of texts. Empty items are dropped, so that
// "a," and "" mean what they look like. No items are nil, as in the zero Config.
func split(raw any) ([]string, bool) {
	var parts []string
	switch v := raw.(type) {
	case string:
		parts = strings.Split(v, ",")
	case []any:
		for _, item := range v {
			text, ok := item.(string)
			if !ok {
				return nil, false
			}
			parts = append(parts, text)
		}
	default:
		return nil, false
	}
	var items []string
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			items = append(items, p)
		}
	}
	return items, true
}

// isAddress takes port 0 too: the system chooses, as specs want it. Names of
// ports are refused, because /etc/services differs between machines.
func isAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || strings.ContainsFunc(host, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("/@", r) }) {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// isURL wants what a path can be added to.
func isURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || strings.ContainsAny(s, "?#") {
		return false
	}
	if port := u.Port(); port != "" && !isAddress(net.JoinHostPort(u.Hostname(), port)) {
		return false
	}
	return u.Hostname() != ""
}

// isOrigin takes an origin as browsers send it (WHATWG HTML, 7.1.1).
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || !isURL(s) || s != strings.ToLower(u.Scheme+"://"+u.Host) {
		return false
	}
	usual := map[string]string{"http": "80", "https": "443"}
	return u.Port() != usual[u.Scheme]
}

func isStore(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "redis" || u.Scheme == "rediss") && u.Hostname() != ""
}

func isNetwork(s string) bool {
	_, err := Network(s)
	return err == nil
}

// Network reads what the rule "network" accepts: an address is a network of its own.
func Network(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.Unmap().Prefix(ip.Unmap().BitLen())
	}
	n, err := netip.ParsePrefix(s)
	return n.Masked(), err
}

func isMasterKey(s string) bool {
	const size = 32 // of AES-256
	raw, err := base64.StdEncoding.DecodeString(s)
	return err == nil && len(raw) == size
}

func isMasterKeys(s string) bool {
	for key := range strings.SplitSeq(s, ",") {
		if !isMasterKey(strings.TrimSpace(key)) {
			return false
		}
	}
	return true
}

// isSMTP wants a mail server: a host, perhaps a port and who signs in there.
func isSMTP(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.Fragment != "" {
		return false
	}
	if u.RawQuery != "" && u.RawQuery != "starttls=off" {
		return false
	}
	port := u.Port()
	return port == "" || isAddress(net.JoinHostPort(u.Hostname(), port))
}

func isSender(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && strings.Contains(a.Address, "@") && !strings.ContainsFunc(s, unicode.IsControl)
}

// display shows a decoded value without its secrets.
func (e entry) display(value any) string {
	switch v := value.(type) {
	case Secret:
		if e.tag.Get("is") == "dsn" {
			return RedactDSN(v.Reveal())
		}
		return v.String()
	case time.Duration:
		return compact(v)
	case []string:
		return strings.Join(v, ",")
	}
	return fmt.Sprint(value)
}

// compact writes 10m where time.Duration writes 10m0s.
func compact(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// quote shows a wrong value in an error: short, on one line, and without the
// password of a URL that was put in the wrong place.
func quote(raw any) string {
	const most = 80
	text, ok := raw.(string)
	if !ok {
		switch raw.(type) {
		case map[string]any:
			return "a section"
		case []any:
			return "a list"
		}
		return fmt.Sprint(raw)
	}
	if strings.Contains(text, "://") || strings.Contains(text, "password") {
		text = RedactDSN(text)
	}
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return strconv.Quote(text)
}

func isAmount(s string) bool {
	a, err := money.Read(s)
	return err == nil && a.Minor > 0
}
