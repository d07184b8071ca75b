package sheetspec

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"image"
	"image/draw"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Page is one of a PDF, in points from its upper left corner.
type Page struct {
	Width, Height float64
	Texts         []PageText
	Picture       *image.Gray // of what is filled, without the letters, at 600 dpi
}

// PageText is a line of text.
type PageText struct {
	X, Y float64 // of the baseline
	Size float64
	Text string
}

const pictureDPI = 600

var (
	pageObject = regexp.MustCompile(`/MediaBox \[0 0 ([0-9.]+) ([0-9.]+)\]\n/Resources \d+ 0 R\n/Contents (\d+) 0 R`)
	fontSize   = regexp.MustCompile(`(?s)^BT /\w+ ([0-9.]+) Tf ET`)
	textAt     = regexp.MustCompile(`(?s)^BT (-?[0-9.]+) (-?[0-9.]+) Td \(`)
	filled     = regexp.MustCompile(`^(-?[0-9.]+) (-?[0-9.]+) (-?[0-9.]+) (-?[0-9.]+) re f`)
)

// PDF looks at a document that this program has written.
func PDF(document []byte) (pages []Page, err error) {
	for _, m := range pageObject.FindAllSubmatch(document, -1) {
		content, err := stream(document, string(m[3]))
		if err != nil {
			return nil, err
		}
		p := Page{Width: number(string(m[1])), Height: number(string(m[2]))}
		p.Picture = image.NewGray(image.Rect(0, 0, int(p.Width*pictureDPI/72), int(p.Height*pictureDPI/72)))
		draw.Draw(p.Picture, p.Picture.Bounds(), image.White, image.Point{}, draw.Src)
		p.look(content)
		pages = append(pages, p)
	}
	return pages, nil
}

func stream(document []byte, object string) (string, error) {
	_, body, found := bytes.Cut(document, []byte("\n"+object+" 0 obj\n"))
	if !found {
		return "", fmt.Errorf("no object %s", object)
	}
	_, body, _ = bytes.Cut(body, []byte("stream\n"))
	unpacked, err := zlib.NewReader(bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(unpacked)
	return string(content), err
}

func (p *Page) look(content string) {
	size := 0.0
	for i := 0; i < len(content); i++ {
		rest := content[i:]
		if m := fontSize.FindStringSubmatch(rest); m != nil {
			size = number(m[1])
			i += len(m[0]) - 1
			continue
		}
		if m := textAt.FindStringSubmatch(rest); m != nil {
			text, length := literal(rest[len(m[0]):])
			p.Texts = append(p.Texts, PageText{X: number(m[1]), Y: p.Height - number(m[2]), Size: size, Text: text})
			i += len(m[0]) + length
			continue
		}
		if m := filled.FindStringSubmatch(rest); m != nil && (i == 0 || content[i-1] == '\n') {
			p.fill(number(m[1]), p.Height-number(m[2]), number(m[3]), -number(m[4]))
			i += len(m[0]) - 1
		}
	}
}

// literal is a string up to its closing parenthesis, and how long it was.
func literal(s string) (string, int) {
	var raw []byte
	i := 0
	for ; i < len(s) && s[i] != ')'; i++ {
		if s[i] != '\\' {
			raw = append(raw, s[i])
			continue
		}
		i++
		if c := strings.IndexByte("nrt", s[i]); c >= 0 {
			raw = append(raw, "\n\r\t"[c])
			continue
		}
		raw = append(raw, s[i])
	}
	var units []uint16
	for j := 0; j+1 < len(raw); j += 2 {
		units = append(units, uint16(raw[j])<<8|uint16(raw[j+1]))
	}
	return string(utf16.Decode(units)), i
}

func (p *Page) fill(x, y, w, h float64) {
	at := func(v float64) int { return int(math.Round(v * pictureDPI / 72)) }
	draw.Draw(p.Picture, image.Rect(at(x), at(y), at(x+w), at(y+h)), image.Black, image.Point{}, draw.Src)
}

func number(s string) float64 {
	v, _ := strconv.ParseFloat(s, 64)
	return v
}
