package sheet

import (
	"fmt"
	"image/color"

	"github.com/boombuler/barcode/qr"
)

// QR is a QR code in a square place, its quiet zone within.
type QR struct {
	Rect
	side int
	dark []bool
}

// margin of a QR code on each side, in modules.
const margin = 4

// NewQR refuses what would be too fine to be read.
func NewQR(place Rect, text string) (QR, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return QR{}, fmt.Errorf("%w: %w", ErrBarcode, err)
	}
	q := QR{Rect: place, side: code.Bounds().Dx()}
	if min(place.W, place.H)/(q.side+2*margin) < leastStep {
		return QR{}, fmt.Errorf("%w: %d bytes are too many for %d µm", ErrBarcode, len(text), place.W)
	}
	for y := range q.side {
		for x := range q.side {
			q.dark = append(q.dark, color.GrayModel.Convert(code.At(x, y)) == color.Gray{})
		}
	}
	return q, nil
}

// Bounds is the place, with the quiet zone.
func (q QR) Bounds() Rect { return q.Rect }

// fit is how wide a module is, and where the code begins.
func (q QR) fit(w, h int) (module, x, y int) {
	module = min(w, h) / (q.side + 2*margin)
	return module, (w - module*q.side) / 2, (h - module*q.side) / 2
}

// each calls draw for every run of dark modules in a row.
func (q QR) each(draw func(x, y, wide int)) {
	for y := range q.side {
		row := q.dark[y*q.side : (y+1)*q.side]
		for x := 0; x < q.side; x++ {
			from := x
			for x < q.side && row[x] {
				x++
			}
			if x > from {
				draw(from, y, x-from)
			}
		}
	}
}
