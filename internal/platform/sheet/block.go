package sheet

import (
	"slices"
	"unicode/utf8"
)

// Line is what a block begins a new line for.
type Line struct {
	Text string
	Bold bool
}

// Block is lines in a place, as large as they fit.
type Block struct {
	Rect
	Lines []Line
	Max   int // the size when there is place enough
	Min   int // the size below which lines are cut instead
}

// leading is the distance of lines, in hundredths of the size.
const leading = 120

// Marks are the lines in their place. What is too long even in the smallest size ends in "…",
// the longest line first.
func (b Block) Marks() []Mark {
	for size := b.Max; ; size -= 100 {
		size = max(size, b.Min)
		paragraphs, rows := b.wrap(size)
		most := b.H * 100 / (size * leading)
		if rows > most && size > b.Min {
			continue
		}
		for ; rows > most && rows > 0; rows-- {
			paragraphs = b.shorten(paragraphs, size)
		}
		return b.set(paragraphs, size)
	}
}

func (b Block) wrap(size int) (paragraphs [][]string, rows int) {
	for _, l := range b.Lines {
		p := Wrap(l.Text, size, l.Bold, b.W)
		paragraphs, rows = append(paragraphs, p), rows+len(p)
	}
	return paragraphs, rows
}

// shorten takes a row from the longest paragraph; when each has one row only, the last of them
// goes.
func (b Block) shorten(paragraphs [][]string, size int) [][]string {
	longest := 0
	for i, p := range paragraphs {
		if len(p) > len(paragraphs[longest]) {
			longest = i
		}
	}
	p := paragraphs[longest]
	if len(p) < 2 {
		last := len(paragraphs) - 1
		for last > 0 && len(paragraphs[last]) == 0 {
			last--
		}
		paragraphs[last] = nil
		return paragraphs
	}
	paragraphs[longest] = append(slices.Clone(p[:len(p)-2]), cut(p[len(p)-2], size, b.Lines[longest].Bold, b.W))
	return paragraphs
}

func (b Block) set(paragraphs [][]string, size int) (marks []Mark) {
	y := b.Y
	for i, p := range paragraphs {
		for _, row := range p {
			marks = append(marks, Text{X: b.X, Y: y + size*ascent/1000, Size: size, Bold: b.Lines[i].Bold, Text: row})
			y += size * leading / 100
		}
	}
	return marks
}

// Wrap breaks a text into rows no longer than width, between words where it can.
func Wrap(text string, size int, bold bool, width int) (rows []string) {
	rest := Clean(text)
	for Width(rest, size, bold) > width {
		f, units, end, space := faceOf(bold), 0, 0, -1
		for i, r := range rest {
			units += f.advance[r]
			if (units*size+f.em-1)/f.em > width {
				break
			}
			end = i + utf8.RuneLen(r)
			if r == ' ' {
				space = i
			}
		}
		// Not even one letter fits: a row of it all the same, which the sheet refuses.
		if end == 0 {
			_, end = utf8.DecodeRuneInString(rest)
		}
		if end < len(rest) && rest[end] == ' ' {
			space = end
		}
		if space > 0 {
			rows, rest = append(rows, rest[:space]), rest[space+1:]
			continue
		}
		rows, rest = append(rows, rest[:end]), rest[end:]
	}
	if rest != "" {
		rows = append(rows, rest)
	}
	return rows
}

// Cut is a text in one row no longer than width, with "…" where something is missing.
func Cut(text string, size int, bold bool, width int) string {
	if text = Clean(text); Width(text, size, bold) <= width {
		return text
	}
	return cut(text, size, bold, width)
}

func cut(row string, size int, bold bool, width int) string {
	for row != "" && Width(row+"…", size, bold) > width {
		_, n := utf8.DecodeLastRuneInString(row)
		row = row[:len(row)-n]
	}
	return row + "…"
}

// Shrink is a text in one row no longer than width: smaller down to least, then cut.
func Shrink(t Text, least, width int) Text {
	t.Text = Clean(t.Text)
	if wide := Width(t.Text, t.Size, t.Bold); wide > width {
		t.Size = max(least, t.Size*width/wide)
	}
	t.Text = Cut(t.Text, t.Size, t.Bold, width)
	return t
}
