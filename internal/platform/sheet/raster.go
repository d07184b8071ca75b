package sheet

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"

	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// Resolutions of pictures: on a screen, and of the finest printers.
const (
	leastDPI = 72
	mostDPI  = 600
	inch     = 25400 // µm
)

type raster struct {
	*image.Gray
	dpi int
	err error
}

// PNG prints a sheet as a picture.
func PNG(w io.Writer, s *Sheet, dpi int) error {
	if dpi < leastDPI || dpi > mostDPI {
		return fmt.Errorf("sheet: %d dpi: pictures have %d to %d", dpi, leastDPI, mostDPI)
	}
	if err := s.check(); err != nil {
		return err
	}
	r := newRaster(dots(s.Width, dpi), dots(s.Height, dpi), dpi)
	for _, m := range s.Marks {
		m.raster(r)
	}
	if r.err != nil {
		return r.err
	}
	if err := png.Encode(w, r.Gray); err != nil {
		return fmt.Errorf("write PNG: %w", err)
	}
	return nil
}

func newRaster(w, h, dpi int) *raster {
	r := &raster{Gray: image.NewGray(image.Rect(0, 0, w, h)), dpi: dpi}
	draw.Draw(r.Gray, r.Bounds(), image.White, image.Point{}, draw.Src)
	return r
}

// dots of a length, rounded.
func dots(length, dpi int) int { return (length*dpi + inch/2) / inch }

// box is a place in dots, one wide and high at least.
func box(b Rect, dpi int) image.Rectangle {
	x, y := dots(b.X, dpi), dots(b.Y, dpi)
	return image.Rect(x, y, max(dots(b.X+b.W, dpi), x+1), max(dots(b.Y+b.H, dpi), y+1))
}

func (r *raster) fill(x, y, w, h int) {
	draw.Draw(r.Gray, image.Rect(x, y, x+w, y+h), image.Black, image.Point{}, draw.Src)
}

func (t Text) raster(r *raster) {
	f := faceOf(t.Bold)
	pixels := float64(t.Size) * float64(r.dpi) / inch
	face, err := opentype.NewFace(f.font, &opentype.FaceOptions{Size: pixels, DPI: 72, Hinting: font.HintingNone})
	if err != nil {
		r.err = fmt.Errorf("open font: %w", err)
		return
	}
	ink := image.NewUniform(color.Gray{})
	if t.White {
		ink = image.White
	}
	// The letters stand where the layout has measured them: a face of this size would round.
	exact := func(length int) fixed.Int26_6 {
		return fixed.Int26_6((length*r.dpi*64 + inch/2) / inch) //nolint:gosec // 2³¹ of them are more than a kilometre
	}
	left, units := t.left(), 0
	for _, c := range t.Text {
		at := fixed.Point26_6{X: exact(left + units*t.Size/f.em), Y: exact(t.Y)}
		if shape, mask, from, _, ok := face.Glyph(at, c); ok {
			draw.DrawMask(r.Gray, shape, ink, image.Point{}, mask, from, draw.Over)
		}
		units += f.advance[c]
	}
}

func (b Box) raster(r *raster) {
	for _, p := range b.parts() {
		at := box(p.Bounds(), r.dpi)
		r.fill(at.Min.X, at.Min.Y, at.Dx(), at.Dy())
	}
}

func (c Code128) raster(r *raster) {
	at := box(c.Rect, r.dpi)
	module, from := c.fit(at.Dx(), dots(mostSteps, r.dpi))
	if module == 0 {
		r.err = fmt.Errorf("%w: %d dpi are too few", ErrBarcode, r.dpi)
	}
	c.each(func(x, wide int) { r.fill(at.Min.X+from+x*module, at.Min.Y, wide*module, at.Dy()) })
}

func (q QR) raster(r *raster) {
	at := box(q.Rect, r.dpi)
	module, left, top := q.fit(at.Dx(), at.Dy())
	if module == 0 {
		r.err = fmt.Errorf("%w: %d dpi are too few", ErrBarcode, r.dpi)
	}
	q.each(func(x, y, wide int) {
		r.fill(at.Min.X+left+x*module, at.Min.Y+top+y*module, wide*module, module)
	})
}
