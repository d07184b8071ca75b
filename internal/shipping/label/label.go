// Package label draws what goes on a parcel and into it: the shipping label, the customs form
// CN22, the packing slip. Each is laid out once, whatever it is printed as.
package label

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/sheet"
)

// ErrTrackingNumber refuses a label that no scanner could read.
var ErrTrackingNumber = errors.New("label: the tracking number does not fit a barcode")

// Size is that of the paper.
type Size string

// Sizes. The zero value is 4×6 inches.
const (
	Inch4x6 Size = "4x6"
	A6      Size = "A6"
)

func (s Size) sheet() *sheet.Sheet {
	if s == A6 {
		return &sheet.Sheet{Width: 105 * sheet.Millimetre, Height: 148 * sheet.Millimetre}
	}
	return &sheet.Sheet{Width: 101600, Height: 152400}
}

// Model is what a label says.
type Model struct {
	Size           Size
	Carrier        string // "USPS"
	Service        string // "Priority Mail"
	From, To       Address
	TrackingNumber string // printable ASCII
	TrackingURL    string // for the QR code; empty: it has the tracking number
	Order          string // the number that people call it
	Parcel         int    // of Parcels; from 1
	Parcels        int
	Grams          int64
	Return         bool
	Date           time.Time
}

// PDF prints the label on a page of its size.
func PDF(w io.Writer, m Model) error {
	s, err := layout(m)
	if err != nil {
		return err
	}
	return sheet.PDF(w, "Label "+m.TrackingNumber, m.Date, s)
}

// ZPL prints the label on a printer of 203 or 300 dpi.
func ZPL(w io.Writer, m Model, dpi int) error {
	s, err := layout(m)
	if err != nil {
		return err
	}
	return sheet.ZPL(w, dpi, s)
}

// PNG prints the label as a picture of 72 to 600 dpi; a screen needs 150 for the barcode.
func PNG(w io.Writer, m Model, dpi int) error {
	s, err := layout(m)
	if err != nil {
		return err
	}
	return sheet.PNG(w, s, dpi)
}

// Unprintable names what has letters for which □ is printed, as in "/to/name": all but Latin,
// Greek, Cyrillic, Armenian and Georgian.
func Unprintable(m Model) (fields []string) {
	check := func(field, text string) {
		if !sheet.Printable(text) {
			fields = append(fields, field)
		}
	}
	check("/carrier", m.Carrier)
	check("/service", m.Service)
	check("/order", m.Order)
	m.From.each("/from", check)
	m.To.each("/to", check)
	return fields
}

// Lengths of the label, in µm.
const (
	edge   = 4 * sheet.Millimetre // that printers leave white
	pad    = 2 * sheet.Millimetre
	hair   = 250
	rule   = 500
	strong = 1000

	headHigh    = 20 * sheet.Millimetre
	returnHigh  = 9 * sheet.Millimetre
	senderHigh  = 22 * sheet.Millimetre
	factsWide   = 30 * sheet.Millimetre
	codeHigh    = 37 * sheet.Millimetre
	footHigh    = 22 * sheet.Millimetre
	captionSize = 2200
	captionHigh = 4 * sheet.Millimetre
)

// page is a sheet while it is laid out from the top.
type page struct {
	*sheet.Sheet
	left, right, top int
}

func layout(m Model) (*sheet.Sheet, error) {
	p := &page{Sheet: m.Size.sheet(), left: edge, top: edge}
	p.right = p.Width - edge
	p.Add(sheet.Box{X: edge, Y: edge, W: p.Width - 2*edge, H: p.Height - 2*edge, Border: rule})
	p.head(m)
	if m.Return {
		p.returns()
	}
	p.sender(m)
	p.recipient(m.To, p.Height-edge-codeHigh-footHigh)
	if err := p.code(m.TrackingNumber); err != nil {
		return nil, err
	}
	return p.Sheet, p.foot(m)
}

func (p *page) wide() int { return p.right - p.left }

// line divides what is above from what is below.
func (p *page) line(thick int) {
	p.Add(sheet.Box{X: p.left, Y: p.top - thick/2, W: p.wide(), H: thick})
}

func (p *page) caption(x, y int, text string) {
	p.Add(sheet.Text{X: x, Y: y + captionSize, Size: captionSize, Bold: true, Text: text})
}

// head is what a sorter looks at first: who carries it, and how fast.
func (p *page) head(m Model) {
	const sign = 14 * sheet.Millimetre
	p.Add(sheet.Box{X: p.left, Y: p.top, W: headHigh, H: headHigh})
	p.Add(sheet.Shrink(sheet.Text{
		X: p.left + headHigh/2, Y: p.top + headHigh/2 + sign*36/100, Size: sign, Bold: true, White: true, Align: sheet.Centre, Text: initial(m.Service),
	}, sign/4, headHigh-pad))
	x, wide := p.left+headHigh+pad+pad/2, p.wide()-headHigh-3*pad
	p.Add(sheet.Shrink(sheet.Text{X: x, Y: p.top + 9*sheet.Millimetre, Size: 7 * sheet.Millimetre, Bold: true, Text: m.Carrier}, 3*sheet.Millimetre, wide))
	p.Add(sheet.Shrink(sheet.Text{X: x, Y: p.top + 16*sheet.Millimetre, Size: 5 * sheet.Millimetre, Text: m.Service}, 2500, wide))
	p.top += headHigh
	p.line(strong)
}

func initial(service string) string {
	for _, r := range sheet.Clean(service) {
		return strings.ToUpper(string(r))
	}
	return ""
}

func (p *page) returns() {
	p.Add(sheet.Box{X: p.left, Y: p.top, W: p.wide(), H: returnHigh})
	p.Add(sheet.Text{X: p.left + p.wide()/2, Y: p.top + 6800, Size: 6500, Bold: true, White: true, Align: sheet.Centre, Text: "RETURN"})
	p.top += returnHigh
}

// sender is small: only who cannot deliver reads it. Beside it are the facts of the parcel.
func (p *page) sender(m Model) {
	p.caption(p.left+pad, p.top+pad/2, "FROM")
	middle := p.right - factsWide
	p.block(sheet.Rect{X: p.left + pad, Y: p.top + captionHigh, W: middle - p.left - 2*pad, H: senderHigh - captionHigh - rule}, m.From.lines(m.To.Country), 3200, 1600)
	p.Add(sheet.Box{X: middle, Y: p.top, W: hair, H: senderHigh})
	for i, fact := range [][2]string{{"PARCEL", parcels(m)}, {"WEIGHT", weight(m.Grams)}, {"DATE", m.Date.Format(time.DateOnly)}} {
		high := senderHigh / 3
		y := p.top + i*high
		if i > 0 {
			p.Add(sheet.Box{X: middle, Y: y, W: factsWide, H: hair})
		}
		p.caption(middle+pad, y+pad/4, fact[0])
		p.Add(sheet.Shrink(sheet.Text{X: middle + pad, Y: y + 6250, Size: 3100, Bold: true, Text: fact[1]}, 1600, factsWide-2*pad))
	}
	p.top += senderHigh
	p.line(rule)
}

func parcels(m Model) string {
	return strconv.Itoa(max(m.Parcel, 1)) + " of " + strconv.Itoa(max(m.Parcels, m.Parcel, 1))
}

// weight of nothing is not known.
func weight(grams int64) string {
	switch {
	case grams <= 0:
		return "–"
	case grams < 1000:
		return fmt.Sprintf("%d g", grams)
	default:
		return kilograms(grams) + " kg"
	}
}

func kilograms(grams int64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%d.%03d", grams/1000, grams%1000), "0"), ".")
}

// recipient has whatever place is left.
func (p *page) recipient(to Address, bottom int) {
	p.Add(sheet.Box{X: p.left, Y: p.top, W: 17 * sheet.Millimetre, H: 5 * sheet.Millimetre})
	p.Add(sheet.Text{X: p.left + pad, Y: p.top + 3600, Size: 3000, Bold: true, White: true, Text: "SHIP TO"})
	inset := 3 * pad
	p.block(sheet.Rect{X: p.left + inset, Y: p.top + 6*sheet.Millimetre, W: p.wide() - inset - pad, H: bottom - p.top - 7*sheet.Millimetre}, to.lines(""), 6400, 1800)
	p.top = bottom
	p.line(strong)
}

func (p *page) block(place sheet.Rect, lines []sheet.Line, most, least int) {
	b := sheet.Block{Rect: place, Lines: lines, Max: most, Min: least}
	p.Add(b.Marks()...)
}

func (p *page) code(tracking string) error {
	p.caption(p.left+pad, p.top+pad/2+rule, "TRACKING NUMBER")
	bars, err := sheet.NewCode128(sheet.Rect{X: p.left + pad/2, Y: p.top + 5*sheet.Millimetre, W: p.wide() - pad, H: codeHigh - 14*sheet.Millimetre}, tracking)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTrackingNumber, err)
	}
	p.Add(bars)
	p.Add(sheet.Shrink(sheet.Text{
		X: p.left + p.wide()/2, Y: p.top + codeHigh - 3500, Size: 5200, Bold: true, Align: sheet.Centre, Text: grouped(tracking),
	}, 1600, p.wide()-2*pad))
	p.top += codeHigh
	p.line(strong)
	return nil
}

// postal are the numbers of the posts (UPU S10).
var postal = regexp.MustCompile(`^([A-Z]{2})(\d{3})(\d{3})(\d{3})([A-Z]{2})$`)

// grouped is a number as people read it out.
func grouped(number string) string {
	if m := postal.FindStringSubmatch(number); m != nil {
		return strings.Join(m[1:], " ")
	}
	if len(number) < 10 || strings.Trim(number, "0123456789") != "" {
		return number
	}
	var fours []string
	for four := range slices.Chunk([]byte(number), 4) {
		fours = append(fours, string(four))
	}
	return strings.Join(fours, " ")
}

// longestURL that a QR code of this size holds in modules wide enough.
const longestURL = 200

func (p *page) foot(m Model) error {
	content := m.TrackingURL
	if content == "" || len(content) > longestURL {
		content = m.TrackingNumber
	}
	side := footHigh - rule
	code, err := sheet.NewQR(sheet.Rect{X: p.left + rule, Y: p.top + rule/2 + hair, W: side - pad/2, H: side - pad/2}, content)
	if err != nil {
		return fmt.Errorf("tracking code: %w", err)
	}
	p.Add(code)
	x := p.left + side + pad
	p.caption(x, p.top+pad, "ORDER")
	p.Add(sheet.Shrink(sheet.Text{X: x, Y: p.top + 12*sheet.Millimetre, Size: 7 * sheet.Millimetre, Bold: true, Text: m.Order}, 1600, p.right-x-pad))
	hint := "Scan to follow the parcel"
	if m.TrackingURL == "" {
		hint = "Scan for the tracking number"
	}
	p.Add(sheet.Text{X: x, Y: p.top + 18*sheet.Millimetre, Size: 2800, Text: hint})
	return nil
}
