package mail

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
)

// look is the shop's, as its letters show it.
type look struct {
	Shop    string
	Logo    string
	Page    template.CSS // around the letter
	Heading template.CSS // on the page
	Text    template.CSS // on the letter, which is white
	Button  template.CSS
	Label   template.CSS // on the button

	sender  string // in whose name it is
	replyTo string // where answers go; empty: to the sender's address
	store   string // where links for customers lead
	desk    string // where links for the staff lead
}

// merchant is what is kept of whom a letter is from.
type merchant struct {
	Shop     string
	Settings []byte
	Host     string // the first one under which the shop answers; empty: none
}

// lookOf is how a shop wants its letters, as far as they stay readable with it. What a shop
// has not said is the installation's, never another shop's.
func (l *letters) lookOf(of uuid.UUID, m merchant) (look, error) {
	var s tenant.Settings
	if err := json.Unmarshal(m.Settings, &s); err != nil {
		return look{}, fmt.Errorf("settings of the shop that mail is from: %w", err)
	}
	name := oneLine(m.Shop)
	v := look{Shop: name, sender: cmp.Or(oneLine(s.SenderName), name), store: l.linkBase, desk: l.linkBase}
	if of == identity.DefaultTenant {
		v.sender = cmp.Or(oneLine(s.SenderName), l.from.Name, name)
	}
	if isAddress(s.ReplyTo) {
		v.replyTo = s.ReplyTo
	}
	if u, ok := page(s.LogoURL); ok {
		v.Logo = u.String()
	}
	if l.publicURL != "" {
		v.desk = l.publicURL + desk
	}
	if m.Host != "" {
		at := tenant.Address(l.publicURL, m.Host)
		v.store, v.desk = at, at+desk
	}
	if u, ok := page(s.StorefrontURL); ok {
		u.RawQuery, u.Fragment = "", ""
		v.store = strings.TrimRight(u.String(), "/")
	}
	v.desk = cmp.Or(l.adminBase, v.desk)
	v.dress(s.Colours)
	return v, nil
}

// desk is the path of the administration, where the program itself has it.
const desk = "/admin"

// page reads a URL that a letter may show.
func page(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	return u, err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil
}

// The colours of letters whose shop has not chosen any, or none that can be read.
var (
	white, black = colour{255, 255, 255}, colour{0, 0, 0}
	paper        = colour{0xf4, 0xf4, 0xf2}
	ink          = colour{0x22, 0x22, 0x22}
	green        = colour{0x1f, 0x4b, 0x3f}
)

// dress chooses colours of the shop where text in them stays readable, whatever it chose.
func (v *look) dress(c tenant.Colours) {
	around, brand, text := colourOf(c.Background, paper), colourOf(c.Primary, green), colourOf(c.Text, ink)
	v.Page = around.css()
	v.Heading = around.readable(brand, text).css()
	v.Text = white.readable(text, ink).css()
	v.Button, v.Label = brand.css(), brand.readable(white).css()
}

// colour has red, green and blue.
type colour [3]uint8

func colourOf(text string, otherwise colour) colour {
	hex, ok := strings.CutPrefix(text, "#")
	n, err := strconv.ParseUint(hex, 16, 24)
	if !ok || len(hex) != 6 || err != nil {
		return otherwise
	}
	return colour{uint8(n >> 16), uint8(n >> 8 & 0xff), uint8(n & 0xff)}
}

func (c colour) css() template.CSS {
	return template.CSS(fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2])) //nolint:gosec // three numbers
}

// enough contrast for text (WCAG 2.2, 1.4.3). On any colour black or white has it.
const enough = 4.5

// readable is the first of the colours in which text can be read on c, or black or white.
func (c colour) readable(wanted ...colour) colour {
	for _, w := range wanted {
		if c.contrast(w) >= enough {
			return w
		}
	}
	if c.contrast(white) >= c.contrast(black) {
		return white
	}
	return black
}

// contrast is from 1 to 21 (WCAG 2.2).
func (c colour) contrast(d colour) float64 {
	one, other := c.luminance(), d.luminance()
	return (max(one, other) + 0.05) / (min(one, other) + 0.05)
}

// luminance is that of sRGB, from 0 to 1 (WCAG 2.2).
func (c colour) luminance() float64 {
	var sum float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		part := float64(c[i]) / 255
		if part <= 0.04045 {
			part /= 12.92
		} else {
			part = math.Pow((part+0.055)/1.055, 2.4)
		}
		sum += weight * part
	}
	return sum
}
