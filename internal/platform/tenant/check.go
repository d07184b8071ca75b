package tenant

import (
	"context"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

var (
	slug   = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)
	colour = regexp.MustCompile(`^#[0-9a-f]{6}$`)
)

// reserved are slugs that would read as something of the installation's own.
var reserved = []string{
	"admin", "api", "app", "assets", "auth", "default", "docs", "fusion", "health", "help", "internal", "livez", "localhost", "login", "mail", "metrics",
	"operator", "platform", "readyz", "root", "static", "status", "support", "system", "tenants", "www",
}

// CheckSlug finds what is wrong with the slug of a new tenant.
func CheckSlug(pointer, s string) []fault.Field {
	switch {
	case s == "":
		return nil // that it is missing is said elsewhere
	case !slug.MatchString(s), strings.Contains(s, "--"):
		return []fault.Field{{Pointer: pointer, Code: "pattern", Detail: "must be 1 to 63 lower-case letters and digits, with single hyphens between them"}}
	case slices.Contains(reserved, s):
		return []fault.Field{{Pointer: pointer, Code: "reserved", Detail: "is a name of the installation's own"}}
	}
	return nil
}

// names are looked up as browsers send them, and held to what DNS takes.
var names = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true))

// mostHosts of a tenant.
const mostHosts = 50

// Host is a name as the directory keeps it: in lower case, in ASCII (IDNA), without
// a port. ok is false for what is no name: an address, or a word without a point.
func Host(text string) (host string, ok bool) {
	host, err := names.ToASCII(text)
	if err != nil || !strings.Contains(host, ".") {
		return "", false
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return "", false
	}
	return host, true
}

// ReadHosts makes hosts of what somebody wrote, sorted and each once, and finds what is
// wrong with them. The pointer of each is at, a slash and its position.
func ReadHosts(at string, list []string) (hosts []string, fields []fault.Field) {
	if len(list) > mostHosts {
		return nil, []fault.Field{{Pointer: at, Code: "max_items", Detail: fmt.Sprintf("must have at most %d hosts", mostHosts)}}
	}
	for i, text := range list {
		pointer := fmt.Sprintf("%s/%d", at, i)
		host, ok := Host(text)
		switch {
		case !ok:
			fields = append(fields, fault.Field{Pointer: pointer, Code: "host", Detail: "must be a name such as shop.example.com, without a port"})
		case host == "localhost.localdomain" || strings.HasSuffix(host, ".arpa") || strings.HasSuffix(host, ".invalid"):
			fields = append(fields, fault.Field{Pointer: pointer, Code: "reserved", Detail: "is a name that no shop can have"})
		case !slices.Contains(hosts, host):
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	return hosts, fields
}

// CheckName finds what is wrong with a name for people: it is one line that shows something.
func CheckName(pointer, name string) []fault.Field {
	shows := func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || name != "" && !strings.ContainsFunc(name, shows) {
		return []fault.Field{{Pointer: pointer, Code: "invalid_text", Detail: "must be one line that shows something"}}
	}
	return nil
}

// CheckSettings finds what is wrong with settings whose fields stand at the pointer at.
func CheckSettings(at string, s Settings) (fields []fault.Field) {
	wrong := func(pointer, code, detail string) {
		fields = append(fields, fault.Field{Pointer: at + pointer, Code: code, Detail: detail})
	}
	for _, u := range []struct{ pointer, text string }{{"/logoUrl", s.LogoURL}, {"/storefrontUrl", s.StorefrontURL}} {
		if u.text != "" && !isURL(u.text) {
			wrong(u.pointer, "url", "must be an http or https URL without user and password, of at most 2048 characters")
		}
	}
	for _, c := range []struct{ pointer, text string }{
		{"/colours/primary", s.Colours.Primary}, {"/colours/accent", s.Colours.Accent}, {"/colours/background", s.Colours.Background}, {"/colours/text", s.Colours.Text},
	} {
		if c.text != "" && !colour.MatchString(c.text) {
			wrong(c.pointer, "pattern", "must be a colour such as #114b5f")
		}
	}
	if s.ReplyTo != "" && !isMailbox(s.ReplyTo) {
		wrong("/replyTo", "email", "must be one e-mail address, such as hello@example.com")
	}
	for i, c := range s.Currencies {
		switch {
		case !money.Currency(c).IsEnabled():
			wrong(fmt.Sprintf("/currencies/%d", i), "unknown_currency", "must be one of "+listed(money.Enabled()))
		case slices.Index(s.Currencies, c) < i:
			wrong(fmt.Sprintf("/currencies/%d", i), "duplicate", "is in the list already")
		}
	}
	if c := s.DefaultCurrency; c != "" && !slices.Contains(Currencies(s), money.Currency(c)) {
		wrong("/defaultCurrency", "currency_not_enabled", "must be one of "+listed(Currencies(s)))
	}
	return append(fields, CheckName(at+"/senderName", s.SenderName)...)
}

// isMailbox takes an address alone, in ASCII: it stands in the headers of letters.
func isMailbox(text string) bool {
	a, err := mail.ParseAddress(text)
	return err == nil && a.Name == "" && a.Address == text && len(text) <= 254 && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && len(text) <= 2048 && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil
}

func listed(currencies []money.Currency) string {
	words := make([]string, len(currencies))
	for i, c := range currencies {
		words[i] = string(c)
	}
	return strings.Join(words, ", ")
}

// CheckCurrency refuses a currency that the platform has enabled and the shop that a
// request is for has not.
func CheckCurrency(ctx context.Context, pointer string, c money.Currency) []fault.Field {
	sold := Currencies(Of(ctx).Settings)
	if !c.IsEnabled() || slices.Contains(sold, c) {
		return nil
	}
	return []fault.Field{{Pointer: pointer, Code: "currency_not_enabled", Detail: "must be one of " + listed(sold)}}
}
