package sheet

import (
	"bytes"
	"fmt"
	"image"
	"io"
	"strings"
	"unicode"
)

type zplPage struct {
	bytes.Buffer
	dpi int
	err error
}

// ZPL prints sheets on a label printer, in ZPL II, one after the other. The output is ASCII
// whatever is in it, and nothing that is printed is a command.
func ZPL(w io.Writer, dpi int, sheets ...*Sheet) error {
	if dpi != 203 && dpi != 300 {
		return fmt.Errorf("sheet: %d dpi: label printers have 203 or 300", dpi)
	}
	z := &zplPage{dpi: dpi}
	for _, s := range sheets {
		if err := s.check(); err != nil {
			return err
		}
		fmt.Fprintf(z, "^XA\n^CI28\n^LH0,0\n^PW%d\n^LL%d\n", dots(s.Width, dpi), dots(s.Height, dpi))
		for _, m := range s.Marks {
			m.zpl(z)
		}
		fmt.Fprintln(z, "^XZ")
	}
	if z.err != nil {
		return z.err
	}
	if _, err := z.WriteTo(w); err != nil {
		return fmt.Errorf("write ZPL: %w", err)
	}
	return nil
}

// zpl leaves letters to the printer when every printer has them. Its font is narrower than
// ours at the same size, so that what fits here fits there; whatever else is a picture of ours.
func (t Text) zpl(z *zplPage) {
	if strings.ContainsFunc(t.Text, func(r rune) bool { return r > unicode.MaxLatin1 }) {
		t.picture(z)
		return
	}
	size, reverse := dots(t.Size, z.dpi), ""
	if t.White {
		reverse = "^FR"
	}
	if t.Align == Left {
		fmt.Fprintf(z, "^FT%d,%d%s^A0N,%d,%d^FH_^FD%s^FS\n", dots(t.X, z.dpi), dots(t.Y, z.dpi), reverse, size, size, escape(t.Text))
		return
	}
	if strings.Contains(t.Text, `\`) { // \& is a new line where a field is aligned
		t.picture(z)
		return
	}
	b, side := box(t.Bounds(), z.dpi), "R"
	if t.Align == Centre {
		side = "C"
	}
	fmt.Fprintf(z, "^FT%d,%d%s^A0N,%d,%d^FB%d,1,0,%s^FH_^FD%s^FS\n", b.Min.X, dots(t.Y, z.dpi), reverse, size, size, b.Dx(), side, escape(t.Text))
}

func (t Text) picture(z *zplPage) {
	b := box(t.Bounds(), z.dpi)
	r := newRaster(b.Max.X, b.Max.Y, z.dpi)
	if t.White {
		r.fill(b.Min.X, b.Min.Y, b.Dx(), b.Dy())
	}
	t.raster(r)
	if r.err != nil {
		z.err = r.err
	}
	z.graphic(b, r.Gray)
}

// graphic prints a part of a picture. Rows like the one above are a colon.
func (z *zplPage) graphic(b image.Rectangle, from *image.Gray) {
	across := (b.Dx() + 7) / 8
	fmt.Fprintf(z, "^FO%d,%d^GFA,%d,%d,%d,", b.Min.X, b.Min.Y, across*b.Dy(), across*b.Dy(), across)
	last := ""
	for y := b.Min.Y; y < b.Max.Y; y++ {
		row := make([]byte, across)
		for x := b.Min.X; x < b.Max.X; x++ {
			if from.GrayAt(x, y).Y < 128 {
				row[(x-b.Min.X)/8] |= 0x80 >> ((x - b.Min.X) % 8)
			}
		}
		line := fmt.Sprintf("%X", row)
		if line == last {
			fmt.Fprint(z, ":")
			continue
		}
		fmt.Fprint(z, line)
		last = line
	}
	fmt.Fprintln(z, "^FS")
}

// escape is for fields after ^FH_: all but letters, digits and what is common in addresses is
// written in hexadecimal.
func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(" .,-/#:()&+'", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "_%02X", c)
	}
	return b.String()
}

func (b Box) zpl(z *zplPage) {
	at := box(b.Bounds(), z.dpi)
	border := min(at.Dx(), at.Dy())
	if b.Border > 0 {
		border = max(1, dots(b.Border, z.dpi))
	}
	fmt.Fprintf(z, "^FO%d,%d^GB%d,%d,%d^FS\n", at.Min.X, at.Min.Y, at.Dx(), at.Dy(), border)
}

// zpl names each symbol's set, so that the printer's bars are ours.
func (c Code128) zpl(z *zplPage) {
	at := box(c.Rect, z.dpi)
	module, from := c.fit(at.Dx(), dots(mostSteps, z.dpi))
	fmt.Fprintf(z, "^FO%d,%d^BY%d^BCN,%d,N,N,N^FH_^FD%s^FS\n", at.Min.X+from, at.Min.Y, module, at.Dy(), c.invocation())
}

// invocation is the text of a ^BC field. What follows ">" there is a command of the barcode.
func (c Code128) invocation() string {
	var b strings.Builder
	inC := false
	for i, s := range c.symbols[:len(c.symbols)-2] {
		switch {
		case i == 0:
			inC = s == startC
			b.WriteString(map[bool]string{false: ">:", true: ">;"}[inC])
		case inC && s == toB:
			b.WriteString(">6")
			inC = false
		case inC:
			fmt.Fprintf(&b, "%02d", s)
		case s == toC:
			b.WriteString(">5")
			inC = true
		default:
			switch r := byte(s) + ' '; r { //nolint:gosec // a symbol of set B is below 95
			case '>':
				b.WriteString(">0")
			case '^':
				b.WriteString("><")
			case '~':
				b.WriteString(">=")
			default:
				b.WriteString(escape(string(rune(r))))
			}
		}
	}
	return b.String()
}

// zpl is a picture: printers choose masks and versions of their own, and with them the size.
func (q QR) zpl(z *zplPage) {
	at := box(q.Rect, z.dpi)
	r := newRaster(at.Max.X, at.Max.Y, z.dpi)
	q.raster(r)
	if r.err != nil {
		z.err = r.err
	}
	z.graphic(at, r.Gray)
}
