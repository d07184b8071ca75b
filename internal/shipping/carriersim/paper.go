package carriersim

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

var mediaTypes = map[carrier.Format]string{carrier.PDF: "application/pdf", carrier.ZPL: "application/zpl"}

// paperIn is where a label is found, by anybody: as at both carriers.
func (l *label) paperIn(f carrier.Format) string {
	return l.base + "/_sim/paper/" + l.number + "." + string(f)
}

func (s *Simulator) paper(w http.ResponseWriter, r *http.Request) {
	number, format, _ := strings.Cut(r.PathValue("file"), ".")
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.labels {
		media, known := mediaTypes[carrier.Format(format)]
		if l.number != number || !known {
			continue
		}
		w.Header().Set("Content-Type", media)
		_, _ = w.Write(l.draw(carrier.Format(format)))
		return
	}
	http.NotFound(w, r)
}

// draw is a label for people who look at it: nothing that a carrier would take.
func (l *label) draw(f carrier.Format) []byte {
	to := l.rate.shipment.to
	lines := []string{l.rate.service.carrier + " " + l.rate.service.title, "TEST - DO NOT MAIL", to.Name, to.Street, to.Zip + " " + to.City + " " + to.Country, l.number}
	if f == carrier.ZPL {
		text := []byte("^XA^CI28")
		for i, line := range lines {
			text = fmt.Appendf(text, "^FO40,%d^A0N,40,40^FD%s^FS", 60+60*i, strings.NewReplacer("^", " ", "~", " ").Replace(line))
		}
		return fmt.Appendf(text, "^FO40,%d^BCN,160,Y,N,N^FD%s^FS^XZ", 60+60*len(lines), l.number)
	}
	text := []byte("BT /F 14 Tf 20 400 Td 24 TL\n")
	for _, line := range lines {
		text = fmt.Appendf(text, "(%s) Tj T*\n", strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(line))
	}
	return pdf(append(text, "ET"...))
}

// pdf is one page of 4 by 6 inches.
func pdf(content []byte) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var at []int
	for i, object := range []string{
		"<</Type/Catalog/Pages 2 0 R>>",
		"<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 288 432]/Contents 4 0 R/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>",
		fmt.Sprintf("<</Length %d>>\nstream\n%s\nendstream", len(content), content),
	} {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, offset := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, xref)
	return b.Bytes()
}
