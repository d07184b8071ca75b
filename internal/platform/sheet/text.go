package sheet

import (
	"fmt"
	"strings"
	"sync"
	"unicode"

	"github.com/go-fonts/dejavu/dejavusanscondensed"
	"github.com/go-fonts/dejavu/dejavusanscondensedbold"
	"golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/text/unicode/norm"
)

// Align says what X of a text is.
type Align int

// Alignments.
const (
	Left Align = iota
	Centre
	Right
)

// Text is one line of text.
type Text struct {
	X, Y  int // of the baseline
	Size  int // of the em
	Bold  bool
	White bool // on a black box
	Align Align
	Text  string
}

// Above and below the baseline, in thousandths of the em: what the tallest accents and the
// longest tails of the font need.
const (
	ascent  = 930
	descent = 240
)

// left is where the text begins.
func (t Text) left() int {
	switch t.Align {
	case Centre:
		return t.X - Width(t.Text, t.Size, t.Bold)/2
	case Right:
		return t.X - Width(t.Text, t.Size, t.Bold)
	default:
		return t.X
	}
}

// Bounds is the line, whatever letters are in it.
func (t Text) Bounds() Rect {
	return Rect{X: t.left(), Y: t.Y - t.Size*ascent/1000, W: Width(t.Text, t.Size, t.Bold), H: t.Size * (ascent + descent) / 1000}
}

// nothing is printed for a letter that cannot be.
const nothing = '□'

// covered are the scripts that are written from left to right, letter by letter, and that the
// font has. Hebrew is in it too, but a line of it would come out backwards.
var covered = []*unicode.RangeTable{
	unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Armenian, unicode.Georgian, unicode.Common, unicode.Inherited,
}

// typeface is a font with the widths of what can be printed of it.
type typeface struct {
	ttf     []byte
	font    *sfnt.Font
	em      int
	advance map[rune]int // by rune, in font units
}

func open(ttf []byte) (*typeface, error) {
	f, err := sfnt.Parse(ttf)
	if err != nil {
		return nil, fmt.Errorf("parse font: %w", err)
	}
	face := &typeface{ttf: ttf, font: f, em: int(f.UnitsPerEm()), advance: map[rune]int{}}
	var buf sfnt.Buffer
	for _, table := range covered {
		for _, r := range table.R16 {
			for c := rune(r.Lo); c <= rune(r.Hi); c += rune(r.Stride) {
				glyph, err := f.GlyphIndex(&buf, c)
				if err != nil || glyph == 0 || !unicode.IsPrint(c) {
					continue
				}
				wide, err := f.GlyphAdvance(&buf, glyph, fixed.I(face.em), font.HintingNone)
				if err != nil {
					return nil, fmt.Errorf("width of %U: %w", c, err)
				}
				face.advance[c] = wide.Round()
			}
		}
	}
	return face, nil
}

// The fonts are part of the program: one that cannot be read is found by the first spec.
var faces = sync.OnceValue(func() (f struct{ regular, bold *typeface }) {
	var err error
	if f.regular, err = open(dejavusanscondensed.TTF); err == nil {
		f.bold, err = open(dejavusanscondensedbold.TTF)
	}
	if err != nil {
		panic(err) //nolint:forbidigo // the font that the program was built with is broken
	}
	return f
})

func faceOf(bold bool) *typeface {
	if bold {
		return faces().bold
	}
	return faces().regular
}

// Width is how long a line is.
func Width(text string, size int, bold bool) int {
	f, units := faceOf(bold), 0
	for _, r := range text {
		units += f.advance[r]
	}
	return (units*size + f.em - 1) / f.em
}

// Clean is text as it is printed: in one line, composed, without what is not seen, and with □
// for each letter that the font has not.
func Clean(text string) string {
	var b strings.Builder
	space := false
	for _, r := range norm.NFC.String(strings.ToValidUTF8(text, string(nothing))) {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Cc, r):
			space = true
			continue
		case unicode.In(r, unicode.Cf, unicode.Variation_Selector):
			continue
		case !printable(r):
			r = nothing
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(r)
	}
	return b.String()
}

func printable(r rune) bool {
	f := faces()
	_, regular := f.regular.advance[r]
	_, bold := f.bold.advance[r]
	return regular && bold
}

// Printable tells whether all of a text is printed.
func Printable(text string) bool {
	return strings.Count(Clean(text), string(nothing)) == strings.Count(text, string(nothing))
}
