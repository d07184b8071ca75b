package sheetspec

import (
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Printed is a label as it comes out of a printer.
type Printed struct {
	Width, Height int // in dots
	Fields        []Field
	Barcodes      []Barcode
	Picture       *image.Gray // boxes and graphics
}

// Field is text in the printer's own letters.
type Field struct {
	X, Y    int // of the baseline
	Size    int
	Reverse bool
	Text    string
}

// Barcode is a Code 128.
type Barcode struct {
	X, Y, Width, Height int // of the bars
	Text                string
}

var command = regexp.MustCompile(`^\^(XA|XZ|CI|LH|PW|LL|FO|FT|FR|FB|FH|FD|FS|GB|GF|BY|BC|A0)([^^]*)`)

// ZPL prints labels. It knows the commands that we use, and stops at any other: what is
// printed must never become one.
func ZPL(program []byte) (labels []Printed, err error) {
	rest := string(program)
	var p *printer
	for rest = strings.TrimLeft(rest, "\n"); rest != ""; rest = strings.TrimLeft(rest, "\n") {
		m := command.FindStringSubmatch(rest)
		if m == nil || strings.ContainsFunc(m[0], func(r rune) bool { return r == '~' || r != '\n' && (r < ' ' || r > '~') }) {
			return nil, fmt.Errorf("no command of ours: %.40q", rest)
		}
		rest = rest[len(m[0]):]
		name, arguments := m[1], m[2]
		if name != "FD" {
			arguments = strings.TrimRight(arguments, "\n")
		}
		switch {
		case name == "XA" && p == nil:
			p = &printer{}
		case p == nil, name == "XA":
			return nil, fmt.Errorf("^%s where no label begins", name)
		case name == "XZ":
			labels, p = append(labels, p.Printed), nil
		default:
			if err := p.do(name, arguments); err != nil {
				return nil, fmt.Errorf("^%s%.60s: %w", name, arguments, err)
			}
		}
	}
	if p != nil {
		return nil, fmt.Errorf("a label without ^XZ")
	}
	return labels, nil
}

// printer is in the middle of a label.
type printer struct {
	Printed
	module int
	field  struct {
		x, y, size, bars, block int
		align                   string
		reverse, escaped        bool
	}
}

func (p *printer) do(name, arguments string) error {
	n := numbers(arguments)
	switch name {
	case "CI":
		if arguments != "28" {
			return fmt.Errorf("not UTF-8")
		}
	case "PW":
		p.Width = n[0]
	case "LL":
		p.Height = n[0]
		p.Picture = image.NewGray(image.Rect(0, 0, p.Width, p.Height))
		draw.Draw(p.Picture, p.Picture.Bounds(), image.White, image.Point{}, draw.Src)
	case "FO", "FT":
		p.field.x, p.field.y = n[0], n[1]
	case "FR":
		p.field.reverse = true
	case "A0":
		p.field.size = n[1]
	case "FB":
		p.field.block, p.field.align = n[0], arguments[strings.LastIndex(arguments, ",")+1:]
	case "FH":
		p.field.escaped = arguments == "_"
	case "BY":
		p.module = n[0]
	case "BC":
		p.field.bars = n[1]
	case "FD":
		return p.data(arguments)
	case "GB":
		p.box(n[0], n[1], n[2])
	case "GF":
		return p.graphic(arguments)
	case "FS":
		p.field = printer{}.field
	}
	return nil
}

// numbers of "N,160,N" are 0, 160, 0.
func numbers(arguments string) (n []int) {
	for a := range strings.SplitSeq(arguments, ",") {
		v, _ := strconv.Atoi(a)
		n = append(n, v)
	}
	return append(n, 0, 0, 0)
}

func (p *printer) data(text string) error {
	if !p.field.escaped {
		return fmt.Errorf("text without ^FH")
	}
	var err error
	text = regexp.MustCompile(`_[0-9A-Fa-f]{2}`).ReplaceAllStringFunc(text, func(code string) string {
		b, e := hex.DecodeString(code[1:])
		if e != nil {
			err = e
		}
		return string(b)
	})
	if err != nil || !utf8.ValidString(text) {
		return fmt.Errorf("no UTF-8: %q", text)
	}
	f := p.field
	if f.bars == 0 {
		p.Fields = append(p.Fields, Field{X: f.x, Y: f.y, Size: f.size, Reverse: f.reverse, Text: text})
		return nil
	}
	read, symbols, err := invoke(text)
	if err != nil {
		return err
	}
	// Start, check and stop beside the symbols, and the last bar of the stop.
	p.Barcodes = append(p.Barcodes, Barcode{X: f.x, Y: f.y, Width: ((symbols+3)*11 + 2) * p.module, Height: f.bars, Text: read})
	return nil
}

// invoke reads the field of a ^BC in mode N.
func invoke(field string) (text string, symbols int, err error) {
	var set byte
	switch {
	case strings.HasPrefix(field, ">:"):
		set = 'B'
	case strings.HasPrefix(field, ">;"):
		set = 'C'
	default:
		return "", 0, fmt.Errorf("no set to start with: %q", field)
	}
	for field = field[2:]; field != ""; symbols++ {
		switch {
		case strings.HasPrefix(field, ">5") && set == 'B':
			set, field = 'C', field[2:]
		case strings.HasPrefix(field, ">6") && set == 'C':
			set, field = 'B', field[2:]
		case set == 'C':
			if len(field) < 2 || strings.Trim(field[:2], "0123456789") != "" {
				return "", 0, fmt.Errorf("no two digits: %q", field)
			}
			text, field = text+field[:2], field[2:]
		case field[0] == '>':
			c, ok := map[string]string{">0": ">", "><": "^", ">=": "~"}[field[:min(2, len(field))]]
			if !ok {
				return "", 0, fmt.Errorf("no character: %q", field)
			}
			text, field = text+c, field[2:]
		case field[0] == '^', field[0] == '~':
			return "", 0, fmt.Errorf("not invoked: %q", field)
		default:
			text, field = text+field[:1], field[1:]
		}
	}
	return text, symbols, nil
}

func (p *printer) box(w, h, t int) {
	f := p.field
	for y := range h {
		for x := range w {
			if x < t || y < t || x >= w-t || y >= h-t {
				p.Picture.SetGray(f.x+x, f.y+y, color.Gray{})
			}
		}
	}
}

func (p *printer) graphic(arguments string) error {
	a := strings.SplitN(arguments, ",", 5)
	if len(a) != 5 || a[0] != "A" {
		return fmt.Errorf("no ASCII graphic")
	}
	total, across := numbers(a[1])[0], numbers(a[3])[0]
	var rows [][]byte
	for data := a[4]; data != ""; {
		if data[0] == ':' && len(rows) > 0 {
			rows, data = append(rows, rows[len(rows)-1]), data[1:]
			continue
		}
		if len(data) < 2*across {
			return fmt.Errorf("half a row")
		}
		row, err := hex.DecodeString(data[:2*across])
		if err != nil {
			return err
		}
		rows, data = append(rows, row), data[2*across:]
	}
	if len(rows)*across != total {
		return fmt.Errorf("%d rows of %d bytes are not %d", len(rows), across, total)
	}
	for y, row := range rows {
		for x := range across * 8 {
			if row[x/8]&(0x80>>(x%8)) != 0 {
				p.Picture.SetGray(p.field.x+x, p.field.y+y, color.Gray{})
			}
		}
	}
	return nil
}
