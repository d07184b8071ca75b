package sheet

import (
	"fmt"
	"strings"
)

// bars are the symbols of Code 128 (ISO/IEC 15417): bar, space, bar … in modules. The last is
// the stop.
var bars = strings.Fields(`212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312 231212
112232 122132 122231 113222 123122 123221 223211 221132 221231 213212 223112 312131 311222 321122 321221 312212
322112 322211 212123 212321 232121 111323 131123 131321 112313 132113 132311 211313 231113 231311 112133 112331
132131 113123 113321 133121 313121 211331 231131 213113 213311 213131 311123 311321 331121 312113 312311 332111
314111 221411 431111 111224 111422 121124 121421 141122 141221 112214 112412 122114 122411 142112 142211 241211
221114 413111 241112 134111 111242 121142 121241 114212 124112 124211 411212 421112 421211 212141 214121 412121
111143 111341 131141 114113 114311 411113 411311 113141 114131 311141 411131 211412 211214 211232 2331112`)

const (
	toC    = 99 // while in B
	toB    = 100
	startB = 104
	startC = 105
	stop   = 106

	quiet = 10 // modules on either side
	// step is a dot at 203 dpi. Modules of whole dots are equally wide on most label printers.
	step      = 125
	leastStep = 2 * step
	mostSteps = 4 * step
)

// Code128 is a barcode in a place, its quiet zones within.
type Code128 struct {
	Rect
	symbols []int
}

// NewCode128 refuses what is no printable ASCII, and what would be too fine to be read.
func NewCode128(place Rect, text string) (Code128, error) {
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return Code128{}, fmt.Errorf("%w: %q is not printable ASCII", ErrBarcode, text)
	}
	c := Code128{Rect: place, symbols: encode(text)}
	if place.W/(c.modules()+2*quiet) < leastStep {
		return Code128{}, fmt.Errorf("%w: %q is too long for %d µm", ErrBarcode, text, place.W)
	}
	return c, nil
}

// Bounds is the place, with the quiet zones.
func (c Code128) Bounds() Rect { return c.Rect }

// encode finds the shortest symbols: set C has two digits in each, set B all of ASCII.
func encode(text string) []int {
	pair := func(i int) bool {
		return i+1 < len(text) && text[i] >= '0' && text[i] <= '9' && text[i+1] >= '0' && text[i+1] <= '9'
	}
	const b, c = 0, 1
	// rest[i][set] is how many symbols what is left from i on needs, when the set is chosen.
	rest := make([][2]int, len(text)+1)
	for i := len(text) - 1; i >= 0; i-- {
		inB := 1 + rest[i+1][b]
		inC := inB + 1
		if pair(i) {
			inC = min(inC, 1+rest[i+2][c])
		}
		rest[i] = [2]int{min(inB, inC+1), inC}
	}
	set, symbols := b, []int{startB}
	if rest[0][c] < rest[0][b] {
		set, symbols = c, []int{startC}
	}
	for i := 0; i < len(text); {
		switch {
		case set == c && pair(i) && rest[i][c] == 1+rest[i+2][c]:
			symbols, i = append(symbols, int(text[i]-'0')*10+int(text[i+1]-'0')), i+2
		case set == c:
			symbols, set = append(symbols, toB), b
		case rest[i][b] == 1+rest[i+1][b]:
			symbols, i = append(symbols, int(text[i]-' ')), i+1
		default:
			symbols, set = append(symbols, toC), c
		}
	}
	sum := symbols[0]
	for i, s := range symbols[1:] {
		sum += (i + 1) * s
	}
	return append(symbols, sum%103, stop)
}

func (c Code128) modules() int { return len(c.symbols)*11 + 2 }

// each calls draw for every bar, in modules from the first.
func (c Code128) each(draw func(at, wide int)) {
	at := 0
	for _, s := range c.symbols {
		for i, w := range bars[s] {
			wide := int(w - '0')
			if i%2 == 0 {
				draw(at, wide)
			}
			at += wide
		}
	}
}

// fit is how wide a module is, and where the first bar begins, in a place of so many units of
// which one step has so many.
func (c Code128) fit(place, most int) (module, from int) {
	module = min(place/(c.modules()+2*quiet), most)
	return module, (place - module*c.modules()) / 2
}
