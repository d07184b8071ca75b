// Package sheet prints what goes on paper: labels, forms, slips. A sheet is laid out once, in
// whole micrometres, so that it comes out the same on every machine; PDF, PNG and ZPL II are
// three ways to print it.
package sheet

import (
	"errors"
	"fmt"
)

// Millimetre is what lengths are counted in.
const Millimetre = 1000

var (
	// ErrOffSheet refuses a mark that would be cut off.
	ErrOffSheet = errors.New("sheet: a mark leaves the sheet")
	// ErrBarcode refuses what no barcode of the size can hold.
	ErrBarcode = errors.New("sheet: the barcode cannot hold this")
)

// Sheet is one side of paper. The origin is its upper left corner.
type Sheet struct {
	Width, Height int
	Marks         []Mark
}

// Mark is a Text, a Box, a Code128 or a QR.
type Mark interface {
	// Bounds is the place that the mark needs for itself.
	Bounds() Rect
	pdf(p *pdfPage)
	raster(r *raster)
	zpl(z *zplPage)
}

// Rect is a place on a sheet.
type Rect struct{ X, Y, W, H int }

// Within tells whether the place is part of another.
func (r Rect) Within(o Rect) bool {
	return r.X >= o.X && r.Y >= o.Y && r.X+r.W <= o.X+o.W && r.Y+r.H <= o.Y+o.H
}

// Meets tells whether two places have something in common; touching is not.
func (r Rect) Meets(o Rect) bool {
	return r.X < o.X+o.W && o.X < r.X+r.W && r.Y < o.Y+o.H && o.Y < r.Y+r.H
}

// Box is a rectangle: black, or only its border.
type Box struct {
	X, Y, W, H int
	Border     int // how thick it is, inwards; 0: the box is black
}

// Bounds is the box.
func (b Box) Bounds() Rect { return Rect{X: b.X, Y: b.Y, W: b.W, H: b.H} }

// parts are the black rectangles that make the box.
func (b Box) parts() []Box {
	t := b.Border
	if t <= 0 || 2*t >= b.W || 2*t >= b.H {
		return []Box{{X: b.X, Y: b.Y, W: b.W, H: b.H}}
	}
	return []Box{
		{X: b.X, Y: b.Y, W: b.W, H: t},
		{X: b.X, Y: b.Y + b.H - t, W: b.W, H: t},
		{X: b.X, Y: b.Y + t, W: t, H: b.H - 2*t},
		{X: b.X + b.W - t, Y: b.Y + t, W: t, H: b.H - 2*t},
	}
}

// Add puts marks on the sheet, later ones over earlier ones.
func (s *Sheet) Add(marks ...Mark) {
	for _, m := range marks {
		if t, ok := m.(Text); ok {
			t.Text = Clean(t.Text)
			if t.Text == "" {
				continue
			}
			m = t
		}
		s.Marks = append(s.Marks, m)
	}
}

func (s *Sheet) check() error {
	for _, m := range s.Marks {
		if b := m.Bounds(); !b.Within(Rect{W: s.Width, H: s.Height}) {
			return fmt.Errorf("%w: %T at %d,%d of %d by %d µm", ErrOffSheet, m, b.X, b.Y, b.W, b.H)
		}
	}
	return nil
}
