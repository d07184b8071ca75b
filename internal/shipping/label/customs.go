package label

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/sheet"
)

// ErrContents refuses a customs form of nothing, or of what a customs office would send back.
var ErrContents = errors.New("label: a customs form says what is in the parcel, each with its quantity, weight and value")

// Category is why something is sent (UPU Convention, form CN 22).
type Category string

// Categories. The zero value is goods that were sold.
const (
	Sale     Category = "sale_of_goods"
	Returned Category = "returned_goods"
	Gift     Category = "gift"
	Sample   Category = "commercial_sample"
	Papers   Category = "documents"
	Other    Category = "other"
)

// boxes are the categories as the form has them, in English and in French, the language of
// the post.
var boxes = []struct {
	Category
	text string
}{
	{Sale, "Sale of goods / Vente de marchandises"},
	{Returned, "Returned goods / Retour de marchandise"},
	{Gift, "Gift / Cadeau"},
	{Sample, "Commercial sample / Échantillon"},
	{Papers, "Documents"},
	{Other, "Other / Autre"},
}

// CustomsForm is the declaration CN 22 that goes on a parcel to another customs territory. It
// is for contents of up to 300 SDR; what is worth more needs a CN 23.
type CustomsForm struct {
	Size           Size
	Carrier        string
	From, To       Address
	TrackingNumber string
	Category       Category
	Items          []CustomsItem
	Signer         string // who answers for what the form says
	Date           time.Time
}

// CustomsItem is a line of the form.
type CustomsItem struct {
	Description string
	Quantity    int64
	Grams       int64        // of all of them together
	Value       money.Amount // of all of them together
	HSCode      string       // of the Harmonized System, 6 digits at least; empty: not known
	Origin      string       // ISO 3166-1 alpha-2; empty: not known
}

// CustomsPDF prints the form, on as many pages as its items need.
func CustomsPDF(w io.Writer, f CustomsForm) error {
	sheets, err := f.layout()
	if err != nil {
		return err
	}
	return sheet.PDF(w, "CN 22 "+f.TrackingNumber, f.Date, sheets...)
}

// CustomsZPL prints the form on a printer of 203 or 300 dpi.
func CustomsZPL(w io.Writer, f CustomsForm, dpi int) error {
	sheets, err := f.layout()
	if err != nil {
		return err
	}
	return sheet.ZPL(w, dpi, sheets...)
}

// Lengths of the form, in µm.
const (
	titleHigh    = 14 * sheet.Millimetre
	partiesHigh  = 21 * sheet.Millimetre
	boxesHigh    = 15 * sheet.Millimetre
	columnsHigh  = 5 * sheet.Millimetre
	itemHigh     = 7500
	totalHigh    = 6 * sheet.Millimetre
	signHigh     = 25 * sheet.Millimetre
	weightWide   = 15 * sheet.Millimetre
	valueWide    = 25 * sheet.Millimetre
	smallSize    = 2300
	standardSize = 2700
)

// totals are those of all pages, and stand on each.
type totals struct {
	grams int64
	value money.Amount
}

func (f CustomsForm) layout() ([]*sheet.Sheet, error) {
	sum, err := f.totals()
	if err != nil {
		return nil, err
	}
	high := f.Size.sheet().Height - 2*edge
	each := (high - titleHigh - partiesHigh - boxesHigh - columnsHigh - totalHigh - signHigh) / itemHigh
	pages := (len(f.Items) + each - 1) / each
	var sheets []*sheet.Sheet
	for i := range pages {
		p := &page{Sheet: f.Size.sheet(), left: edge, top: edge}
		p.right = p.Width - edge
		p.Add(sheet.Box{X: edge, Y: edge, W: p.wide(), H: high, Border: rule})
		p.title(i+1, pages)
		p.parties(f)
		p.categories(f.Category)
		p.contents(f.Items[i*each:min((i+1)*each, len(f.Items))], p.Height-edge-totalHigh-signHigh)
		p.total(sum)
		p.declaration(f)
		sheets = append(sheets, p.Sheet)
	}
	return sheets, nil
}

func (f CustomsForm) totals() (sum totals, err error) {
	if len(f.Items) == 0 {
		return sum, ErrContents
	}
	values := make([]money.Amount, 0, len(f.Items))
	for i, item := range f.Items {
		if sheet.Clean(item.Description) == "" || item.Quantity < 1 || item.Grams < 1 || item.Value.IsNegative() {
			return sum, fmt.Errorf("%w: item %d", ErrContents, i+1)
		}
		sum.grams += item.Grams
		values = append(values, item.Value)
	}
	if sum.value, err = money.Sum(f.Items[0].Value.Currency, values...); err != nil {
		return sum, fmt.Errorf("value of the contents: %w", err)
	}
	return sum, nil
}

func (p *page) text(x, y, size, width int, bold bool, text string) {
	p.Add(sheet.Shrink(sheet.Text{X: x, Y: y, Size: size, Bold: bold, Text: text}, 1400, width))
}

// number is at the right of its column.
func (p *page) number(x, y, width int, bold bool, text string) {
	p.Add(sheet.Shrink(sheet.Text{X: x, Y: y, Size: standardSize, Bold: bold, Align: sheet.Right, Text: text}, 1400, width))
}

func (p *page) title(n, pages int) {
	const form = 22 * sheet.Millimetre
	p.Add(sheet.Box{X: p.right - form, Y: p.top, W: form, H: titleHigh})
	p.Add(sheet.Text{X: p.right - form/2, Y: p.top + 8500, Size: 6500, Bold: true, White: true, Align: sheet.Centre, Text: "CN 22"})
	if pages > 1 {
		p.Add(sheet.Text{X: p.right - form/2, Y: p.top + 12500, Size: smallSize, White: true, Align: sheet.Centre, Text: strconv.Itoa(n) + "/" + strconv.Itoa(pages)})
	}
	wide := p.wide() - form - 2*pad
	p.text(p.left+pad, p.top+5*sheet.Millimetre, 4*sheet.Millimetre, wide, true, "CUSTOMS DECLARATION")
	p.text(p.left+pad, p.top+8500, standardSize, wide, false, "DÉCLARATION EN DOUANE")
	p.text(p.left+pad, p.top+12*sheet.Millimetre, smallSize, wide, false, "May be opened officially / Peut être ouvert d'office")
	p.top += titleHigh
	p.line(rule)
}

func (p *page) parties(f CustomsForm) {
	half := p.wide() / 2
	p.caption(p.left+pad, p.top+pad/2, "FROM / DE")
	p.caption(p.left+half+pad, p.top+pad/2, "TO / À")
	place := sheet.Rect{X: p.left + pad, Y: p.top + captionHigh, W: half - 2*pad, H: partiesHigh - captionHigh - rule}
	p.block(place, f.From.lines(""), smallSize, 1200)
	place.X += half
	p.block(place, f.To.lines(""), smallSize, 1200)
	p.Add(sheet.Box{X: p.left + half, Y: p.top, W: hair, H: partiesHigh})
	p.top += partiesHigh
	p.line(hair)
}

func (p *page) categories(chosen Category) {
	const side, row = 2800, boxesHigh / 3
	if chosen == "" {
		chosen = Sale
	}
	half := p.wide() / 2
	for i, b := range boxes {
		x, y := p.left+pad+i%2*half, p.top+i/2*row+(row-side)/2
		p.Add(sheet.Box{X: x, Y: y, W: side, H: side, Border: hair})
		if b.Category == chosen {
			p.Add(sheet.Box{X: x + 2*hair, Y: y + 2*hair, W: side - 4*hair, H: side - 4*hair})
		}
		p.text(x+side+pad/2, y+side-600, smallSize, half-side-2*pad, b.Category == chosen, b.text)
	}
	p.top += boxesHigh
	p.line(hair)
}

// contents of the form, down to where its sums begin.
func (p *page) contents(items []CustomsItem, bottom int) {
	value := p.right - valueWide
	grams := value - weightWide
	for _, x := range []int{grams, value} {
		p.Add(sheet.Box{X: x, Y: p.top, W: hair, H: bottom - p.top})
	}
	baseline := p.top + columnsHigh - 1700
	p.text(p.left+pad, baseline, smallSize, grams-p.left-2*pad, true, "Quantity and description (1)")
	p.text(grams+pad/2, baseline, smallSize, weightWide-pad, true, "kg (2)")
	p.text(value+pad/2, baseline, smallSize, valueWide-pad, true, "Value (3)")
	p.top += columnsHigh
	for _, item := range items {
		p.Add(sheet.Box{X: p.left, Y: p.top, W: p.wide(), H: hair})
		wide := grams - p.left - 2*pad
		p.text(p.left+pad, p.top+3300, standardSize, wide, false, strconv.FormatInt(item.Quantity, 10)+" × "+item.Description)
		p.text(p.left+pad, p.top+6500, smallSize, wide, false, item.tariff())
		p.number(value-pad/2, p.top+3300, weightWide-pad, false, kilograms(item.Grams))
		p.number(p.right-pad, p.top+3300, valueWide-2*pad, false, item.Value.String())
		p.top += itemHigh
	}
	p.top = bottom
	p.line(rule)
}

func (i CustomsItem) tariff() string {
	hs, origin := "–", "–"
	if i.HSCode != "" {
		hs = i.HSCode
	}
	if i.Origin != "" {
		origin = country(i.Origin)
	}
	return "HS (4) " + hs + " · Origin (5) " + origin
}

func (p *page) total(sum totals) {
	value := p.right - valueWide
	baseline := p.top + totalHigh - 2000
	p.text(p.left+pad, baseline, standardSize, value-weightWide-p.left-2*pad, true, "Total (6, 7)")
	p.number(value-pad/2, baseline, weightWide-pad, true, kilograms(sum.grams))
	p.number(p.right-pad, baseline, valueWide-2*pad, true, sum.value.String())
	p.top += totalHigh
	p.line(rule)
}

const declared = "I certify that the particulars given in this declaration are correct and that this item does not contain any dangerous article " +
	"or articles prohibited by legislation or by postal or customs regulations."

func (p *page) declaration(f CustomsForm) {
	p.block(sheet.Rect{X: p.left + pad, Y: p.top + pad/2, W: p.wide() - 2*pad, H: 11 * sheet.Millimetre}, []sheet.Line{{Text: declared}}, smallSize, 1600)
	half := p.wide() / 2
	y := p.top + 13*sheet.Millimetre
	p.caption(p.left+pad, y, "DATE AND SIGNATURE (8)")
	p.text(p.left+pad, y+8*sheet.Millimetre, 3400, half-2*pad, false, f.Date.Format(time.DateOnly)+" "+f.Signer)
	p.text(p.left+half+pad, y+captionSize, captionSize, half-2*pad, true, "ITEM "+f.Carrier)
	p.text(p.left+half+pad, y+8*sheet.Millimetre, 3400, half-2*pad, true, grouped(f.TrackingNumber))
}
