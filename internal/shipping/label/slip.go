package label

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/sheet"
)

// PackingSlip says what is in a parcel, for who packs it and who opens it. It has no prices: a
// parcel may be a present.
type PackingSlip struct {
	Shop    string
	To      Address
	Order   string
	Parcel  int // of Parcels; from 1
	Parcels int
	Date    time.Time
	Items   []PackedItem
}

// PackedItem is a line of the slip.
type PackedItem struct {
	SKU      string
	Name     string
	Quantity int64
}

// Lengths of the slip, in µm. It is A4; what is longer than its items need is left white.
const (
	slipEdge     = 15 * sheet.Millimetre
	slipHeadHigh = 52 * sheet.Millimetre
	slipFootHigh = 8 * sheet.Millimetre
	slipSize     = 3800
	slipSmall    = 3000
	rowGap       = 3 * sheet.Millimetre
	skuWide      = 42 * sheet.Millimetre
	quantityWide = 20 * sheet.Millimetre
	tickSide     = 4 * sheet.Millimetre
	tickWide     = 10 * sheet.Millimetre
)

// PackingSlipPDF prints the slip on A4, on as many pages as its items need.
func PackingSlipPDF(w io.Writer, s PackingSlip) error {
	return sheet.PDF(w, "Packing slip "+s.Order, s.Date, s.layout()...)
}

func (s PackingSlip) layout() (sheets []*sheet.Sheet) {
	var pages []*page
	next := func() *page {
		p := &page{Sheet: &sheet.Sheet{Width: 210 * sheet.Millimetre, Height: 297 * sheet.Millimetre}, left: slipEdge, top: slipEdge}
		p.right = p.Width - slipEdge
		p.slipHead(s)
		pages, sheets = append(pages, p), append(sheets, p.Sheet)
		return p
	}
	p := next()
	for _, item := range s.Items {
		row := p.packed(item)
		if p.top+row.high > p.Height-slipEdge-slipFootHigh {
			p = next()
		}
		p.row(row)
	}
	for i, p := range pages {
		p.Add(sheet.Text{
			X: p.right, Y: p.Height - slipEdge, Size: slipSmall, Align: sheet.Right, Text: "Page " + strconv.Itoa(i+1) + " of " + strconv.Itoa(len(pages)),
		})
	}
	return sheets
}

func (p *page) slipHead(s PackingSlip) {
	half := p.wide() / 2
	p.Add(sheet.Shrink(sheet.Text{X: p.left, Y: p.top + 7*sheet.Millimetre, Size: 8 * sheet.Millimetre, Bold: true, Text: s.Shop}, slipSmall, half-pad))
	p.Add(sheet.Shrink(sheet.Text{X: p.right, Y: p.top + 7*sheet.Millimetre, Size: 8 * sheet.Millimetre, Align: sheet.Right, Text: "Packing slip"}, slipSmall, half-pad))
	y := p.top + 16*sheet.Millimetre
	p.caption(p.left, y, "SHIP TO")
	p.block(sheet.Rect{X: p.left, Y: y + captionHigh, W: half - pad, H: 26 * sheet.Millimetre}, s.To.lines(""), slipSize, 1800)
	for i, fact := range [][2]string{
		{"ORDER", s.Order},
		{"DATE", s.Date.Format(time.DateOnly)},
		{"PARCEL", parcels(Model{Parcel: s.Parcel, Parcels: s.Parcels})},
	} {
		at := y + i*9*sheet.Millimetre
		p.caption(p.left+half+pad, at, fact[0])
		p.text(p.left+half+pad, at+7*sheet.Millimetre, slipSize, half-pad, true, fact[1])
	}
	p.top += slipHeadHigh
	baseline := p.top - 1500
	p.text(p.left, baseline, slipSmall, skuWide-pad, true, "SKU")
	p.text(p.left+skuWide, baseline, slipSmall, skuWide, true, "Item")
	p.Add(sheet.Text{X: p.right - tickWide, Y: baseline, Size: slipSmall, Bold: true, Align: sheet.Right, Text: "Quantity"})
	p.line(rule)
}

// packedRow is an item in as many rows as its name needs.
type packedRow struct {
	PackedItem
	sku, name []string
	high      int
}

const slipLeading = slipSize * 120 / 100

func (p *page) packed(item PackedItem) packedRow {
	r := packedRow{
		PackedItem: item,
		sku:        shown(item.SKU, skuWide-pad),
		name:       shown(item.Name, p.wide()-skuWide-quantityWide-tickWide-pad),
	}
	r.high = max(len(r.sku), len(r.name), 1)*slipLeading + rowGap
	return r
}

// shown is a text in its column, and no more of it than anybody reads.
func shown(text string, width int) []string {
	const most = 6
	rows := sheet.Wrap(text, slipSize, false, width)
	if len(rows) > most {
		rows = append(rows[:most-1], sheet.Cut(strings.Join(rows[most-1:], " "), slipSize, false, width))
	}
	return rows
}

func (p *page) row(r packedRow) {
	first := p.top + rowGap/2 + 3600
	for i, text := range r.sku {
		p.Add(sheet.Text{X: p.left, Y: first + i*slipLeading, Size: slipSize, Text: text})
	}
	for i, text := range r.name {
		p.Add(sheet.Text{X: p.left + skuWide, Y: first + i*slipLeading, Size: slipSize, Text: text})
	}
	p.Add(sheet.Shrink(sheet.Text{
		X: p.right - tickWide, Y: first, Size: slipSize, Bold: true, Align: sheet.Right, Text: strconv.FormatInt(r.Quantity, 10),
	}, 1800, quantityWide))
	p.Add(sheet.Box{X: p.right - tickSide, Y: first - 3400, W: tickSide, H: tickSide, Border: hair})
	p.top += r.high
	p.Add(sheet.Box{X: p.left, Y: p.top, W: p.wide(), H: hair / 2})
}
