package sheet

import (
	"fmt"
	"io"
	"time"

	"github.com/go-pdf/fpdf"
)

type pdfPage struct{ *fpdf.Fpdf }

// PDF prints sheets of any sizes, a page each. Equal sheets and times are equal bytes.
func PDF(w io.Writer, title string, made time.Time, sheets ...*Sheet) error {
	doc := fpdf.NewCustom(&fpdf.InitType{UnitStr: "mm"})
	doc.SetCatalogSort(true)
	doc.SetCreationDate(made.UTC())
	doc.SetModificationDate(made.UTC())
	doc.SetTitle(Clean(title), true)
	doc.SetProducer("FusionCommerce", true)
	doc.SetAutoPageBreak(false, 0)
	doc.SetMargins(0, 0, 0)
	doc.AddUTF8FontFromBytes("sheet", "", faces().regular.ttf)
	doc.AddUTF8FontFromBytes("sheet", "B", faces().bold.ttf)
	for _, s := range sheets {
		if err := s.check(); err != nil {
			return err
		}
		doc.AddPageFormat("P", fpdf.SizeType{Wd: mm(s.Width), Ht: mm(s.Height)})
		for _, m := range s.Marks {
			m.pdf(&pdfPage{doc})
		}
	}
	if err := doc.Output(w); err != nil {
		return fmt.Errorf("write PDF: %w", err)
	}
	return nil
}

func mm(length int) float64 { return float64(length) / Millimetre }

func (p *pdfPage) fill(x, y, w, h int) { p.Rect(mm(x), mm(y), mm(w), mm(h), "F") }

func (t Text) pdf(p *pdfPage) {
	style := ""
	if t.Bold {
		style = "B"
	}
	grey := 0
	if t.White {
		grey = 255
	}
	p.SetFont("sheet", style, mm(t.Size)/25.4*72)
	p.SetTextColor(grey, grey, grey)
	p.Text(mm(t.left()), mm(t.Y), t.Text)
}

func (b Box) pdf(p *pdfPage) {
	p.SetFillColor(0, 0, 0)
	for _, part := range b.parts() {
		p.fill(part.X, part.Y, part.W, part.H)
	}
}

func (c Code128) pdf(p *pdfPage) {
	p.SetFillColor(0, 0, 0)
	module, from := c.fit(c.W/step, mostSteps/step)
	c.each(func(at, wide int) { p.fill(c.X+(from+at*module)*step, c.Y, wide*module*step, c.H) })
}

func (q QR) pdf(p *pdfPage) {
	p.SetFillColor(0, 0, 0)
	module, left, top := q.fit(q.W/step, q.H/step)
	q.each(func(x, y, wide int) {
		p.fill(q.X+(left+x*module)*step, q.Y+(top+y*module)*step, wide*module*step, module*step)
	})
}
