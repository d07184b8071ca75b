package label_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/sheet"
	"github.com/fusioncommerce/fusion/internal/platform/sheet/sheetspec"
	"github.com/fusioncommerce/fusion/internal/shipping/label"
)

var (
	lisbon = label.Address{Name: "Casa do Café, Lda.", Line1: "Rua da Rosa 45", City: "Lisboa", Region: "11", PostalCode: "1200-383", Country: "PT", Phone: "+351 210 000 000"}
	krakow = label.Address{Name: "Zoë Łukasiewicz", Company: "Pracownia Słońce", Line1: "ul. Świętego Marka 27/4", City: "Kraków", PostalCode: "31-017", Country: "PL", Phone: "+48 12 000 00 00"}
	march  = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
)

func sample() label.Model {
	return label.Model{
		Carrier: "CTT Expresso", Service: "Priority", From: lisbon, To: krakow, TrackingNumber: "RR123456785PT",
		TrackingURL: "https://shop.example/track/5Jq0vYw3kZ", Order: "1001", Parcel: 1, Parcels: 2, Grams: 1250, Date: march,
	}
}

// always checks a rule that holds for whatever it draws.
func always(rule func(t *rapid.T, g Gomega)) {
	GinkgoHelper()
	rapid.Check(GinkgoTB(), func(t *rapid.T) {
		rule(t, NewGomega(func(message string, _ ...int) { t.Fatal(message) }))
	})
}

func picture(g Gomega, m label.Model, dpi int) image.Image {
	GinkgoHelper()
	var b bytes.Buffer
	g.Expect(label.PNG(&b, m, dpi)).To(Succeed())
	p, err := png.Decode(&b)
	g.Expect(err).NotTo(HaveOccurred())
	return p
}

func viewed(g Gomega, m label.Model) sheetspec.Page {
	GinkgoHelper()
	var b bytes.Buffer
	g.Expect(label.PDF(&b, m)).To(Succeed())
	pages, err := sheetspec.PDF(b.Bytes())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(pages).To(HaveLen(1))
	return pages[0]
}

func printed(g Gomega, m label.Model, dpi int) sheetspec.Printed {
	GinkgoHelper()
	var b bytes.Buffer
	g.Expect(label.ZPL(&b, m, dpi)).To(Succeed())
	labels, err := sheetspec.ZPL(b.Bytes())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(labels).To(HaveLen(1))
	return labels[0]
}

func laidOut(g Gomega, m label.Model) *sheet.Sheet {
	GinkgoHelper()
	s, err := label.Layout(m)
	g.Expect(err).NotTo(HaveOccurred())
	return s
}

func texts(s *sheet.Sheet) (all []string) {
	for _, m := range s.Marks {
		if t, ok := m.(sheet.Text); ok {
			all = append(all, t.Text)
		}
	}
	return all
}

// tidy says that nothing is in the margin, and that nothing is printed over anything else.
func tidy(g Gomega, s *sheet.Sheet, margin int) {
	GinkgoHelper()
	paper := sheet.Rect{X: margin, Y: margin, W: s.Width - 2*margin, H: s.Height - 2*margin}
	for i, m := range s.Marks {
		g.Expect(m.Bounds().Within(paper)).To(BeTrue(), "%+v leaves the sheet", m)
		for _, other := range s.Marks[:i] {
			g.Expect(clash(m, other)).To(BeFalse(), "%+v\nis over\n%+v", m, other)
		}
	}
}

// clash of two marks: text and codes have their places for themselves. White text stands in
// its black box, frames go around, and lines meet lines.
func clash(a, b sheet.Mark) bool {
	if !a.Bounds().Meets(b.Bounds()) {
		return false
	}
	boxA, isA := a.(sheet.Box)
	boxB, isB := b.(sheet.Box)
	switch {
	case isA && isB:
		return false
	case isA:
		return boxed(b, boxA)
	case isB:
		return boxed(a, boxB)
	default:
		return true
	}
}

// boxed tells whether a box spoils a mark.
func boxed(m sheet.Mark, b sheet.Box) bool {
	if t, ok := m.(sheet.Text); ok && t.White {
		return !t.Bounds().Within(b.Bounds()) && b.Border == 0
	}
	within := sheet.Rect{X: b.X + b.Border, Y: b.Y + b.Border, W: b.W - 2*b.Border, H: b.H - 2*b.Border}
	return b.Border == 0 || !m.Bounds().Within(within)
}

const margin = 3800

var _ = Describe("a shipping label", func() {
	DescribeTable("is scanned from every kind of paper", func(size label.Size, returned bool, tracking string) {
		m := sample()
		m.Size, m.Return, m.TrackingNumber = size, returned, tracking
		for _, dpi := range []int{150, 203, 300, 600} {
			Expect(sheetspec.Code128(picture(Default, m, dpi))).To(Equal(tracking), "%d dpi", dpi)
		}
		page := viewed(Default, m)
		Expect(sheetspec.Code128(page.Picture)).To(Equal(tracking))
		Expect(sheetspec.QR(corner(page.Picture))).To(Equal(m.TrackingURL))
		for _, dpi := range []int{203, 300} {
			p := printed(Default, m, dpi)
			Expect(p.Barcodes).To(HaveLen(1))
			Expect(p.Barcodes[0].Text).To(Equal(tracking))
			Expect(sheetspec.QR(corner(picture(Default, m, dpi)))).To(Equal(m.TrackingURL))
			Expect(sheetspec.QR(corner(p.Picture))).To(Equal(m.TrackingURL))
		}
	},
		Entry("4×6 inches", label.Inch4x6, false, "RR123456785PT"),
		Entry("A6", label.A6, false, "RR123456785PT"),
		Entry("a return", label.Inch4x6, true, "RR123456785PT"),
		Entry("a return on A6", label.A6, true, "RR123456785PT"),
		Entry("a number of digits", label.Inch4x6, false, "9400110200881234567890"),
		Entry("a long number", label.A6, false, "420205009400110200881234567890"),
		Entry("a short one", label.Inch4x6, false, "FC-1"),
		Entry("the most letters", label.Inch4x6, false, "THEMOSTLETTERSTHATABARCODEHA"),
		Entry("the most digits", label.Inch4x6, false, strings.Repeat("1234567", 8)),
	)

	It("says everything, in a PDF and to a printer", func() {
		want := []string{
			"P", "CTT Expresso", "Priority", "FROM", "Casa do Café, Lda.", "Rua da Rosa 45", "1200-383 Lisboa", "PORTUGAL", "Tel. +351 210 000 000",
			"PARCEL", "1 of 2", "WEIGHT", "1.25 kg", "DATE", "2026-03-05",
			"SHIP TO", "Zoë Łukasiewicz", "Pracownia Słońce", "ul. Świętego Marka 27/4", "31-017 Kraków", "POLAND", "Tel. +48 12 000 00 00",
			"TRACKING NUMBER", "RR 123 456 785 PT", "ORDER", "1001", "Scan to follow the parcel",
		}
		var seen []string
		for _, t := range viewed(Default, sample()).Texts {
			seen = append(seen, t.Text)
		}
		Expect(seen).To(Equal(want))
		var fields []string
		for _, f := range printed(Default, sample(), 203).Fields {
			fields = append(fields, f.Text)
		}
		drawn := []string{"Zoë Łukasiewicz", "Pracownia Słońce", "ul. Świętego Marka 27/4"}
		Expect(fields).To(Equal(slices.DeleteFunc(want, func(t string) bool { return slices.Contains(drawn, t) })))
	})

	It("has it where it always was", func() {
		for _, size := range []label.Size{label.Inch4x6, label.A6} {
			m := sample()
			m.Size = size
			var b strings.Builder
			for _, mark := range laidOut(Default, m).Marks {
				at := mark.Bounds()
				fmt.Fprintf(&b, "%T %d %d %d %d", mark, at.X, at.Y, at.W, at.H)
				if t, ok := mark.(sheet.Text); ok {
					fmt.Fprintf(&b, " %d %q", t.Size, t.Text)
				}
				b.WriteByte('\n')
			}
			golden, err := os.ReadFile("testdata/" + string(size) + ".txt")
			Expect(err).NotTo(HaveOccurred())
			Expect(b.String()).To(Equal(string(golden)))
		}
	})

	It("has the same things in the same place on every kind of paper", func() {
		layout, page, dots := laidOut(Default, sample()), viewed(Default, sample()), printed(Default, sample(), 300)
		Expect([]float64{page.Width, page.Height}).To(Equal([]float64{288, 432}))
		Expect([]int{dots.Width, dots.Height}).To(Equal([]int{1200, 1800}))
		for _, mark := range layout.Marks {
			t, ok := mark.(sheet.Text)
			if !ok {
				continue
			}
			at := slices.IndexFunc(page.Texts, func(p sheetspec.PageText) bool { return p.Text == t.Text })
			Expect(at).To(BeNumerically(">=", 0), t.Text)
			Expect(page.Texts[at].X * 25400 / 72).To(BeNumerically("~", t.Bounds().X, 5))
			Expect(page.Texts[at].Y * 25400 / 72).To(BeNumerically("~", t.Y, 5))
			Expect(page.Texts[at].Size * 25400 / 72).To(BeNumerically("~", t.Size, 5))
			if at = slices.IndexFunc(dots.Fields, func(f sheetspec.Field) bool { return f.Text == t.Text }); at >= 0 {
				Expect(dots.Fields[at].X * 25400 / 300).To(BeNumerically("~", t.Bounds().X, 100))
				Expect(dots.Fields[at].Y * 25400 / 300).To(BeNumerically("~", t.Y, 100))
				Expect(dots.Fields[at].Size * 25400 / 300).To(BeNumerically("~", t.Size, 100))
			}
		}
	})

	It("is the same bytes for the same parcel, and others for another", func() {
		print := func(m label.Model) string {
			var b bytes.Buffer
			Expect(label.PDF(&b, m)).To(Succeed())
			Expect(label.ZPL(&b, m, 203)).To(Succeed())
			Expect(label.PNG(&b, m, 203)).To(Succeed())
			return b.String()
		}
		Expect(print(sample())).To(Equal(print(sample())))
		other := sample()
		other.Grams++
		Expect(print(other)).NotTo(Equal(print(sample())))
	})

	It("stays on its paper and in its places, whatever it says", func() {
		words := rapid.StringOfN(rapid.OneOf(rapid.RuneFrom([]rune("abcdefg WMij  ÄÖłőΑθЖщ,.-/^~")), rapid.Rune()), 0, 200, -1)
		address := rapid.Custom(func(t *rapid.T) label.Address {
			return label.Address{
				Name: words.Draw(t, "name"), Company: words.Draw(t, "company"), Line1: words.Draw(t, "line1"), Line2: words.Draw(t, "line2"),
				City: words.Draw(t, "city"), Region: words.Draw(t, "region"), PostalCode: words.Draw(t, "postalCode"),
				Country: rapid.SampledFrom([]string{"PT", "US", "GB", "JP", "IE", "XX", "", "BR"}).Draw(t, "country"), Phone: words.Draw(t, "phone"),
			}
		})
		always(func(t *rapid.T, g Gomega) {
			m := label.Model{
				Size:    rapid.SampledFrom([]label.Size{label.Inch4x6, label.A6}).Draw(t, "size"),
				Carrier: words.Draw(t, "carrier"), Service: words.Draw(t, "service"), From: address.Draw(t, "from"), To: address.Draw(t, "to"),
				TrackingNumber: rapid.StringMatching(`[ -~]{1,22}`).Draw(t, "tracking number"), TrackingURL: rapid.StringMatching(`[ -~]{0,250}`).Draw(t, "tracking URL"),
				Order: words.Draw(t, "order"), Parcel: rapid.Int().Draw(t, "parcel"), Parcels: rapid.Int().Draw(t, "parcels"), Grams: rapid.Int64().Draw(t, "grams"),
				Return: rapid.Bool().Draw(t, "return"), Date: march,
			}
			tidy(g, laidOut(g, m), margin)
			p := printed(g, m, 203)
			g.Expect(p.Barcodes).To(HaveLen(1))
			g.Expect(p.Barcodes[0].Text).To(Equal(m.TrackingNumber))
			viewed(g, m)
		})
	})

	It("says that a parcel comes back", func() {
		m := sample()
		m.Return = true
		Expect(texts(laidOut(Default, m))).To(ContainElement("RETURN"))
		Expect(texts(laidOut(Default, sample()))).NotTo(ContainElement("RETURN"))
	})

	DescribeTable("writes an address as it is written there", func(to label.Address, want ...string) {
		m := sample()
		m.To = to
		all := texts(laidOut(Default, m))
		all = all[slices.Index(all, "SHIP TO")+1 : slices.Index(all, "TRACKING NUMBER")]
		Expect(all).To(Equal(want))
	},
		Entry("in Germany", label.Address{Name: "Jörg Groß", Line1: "Lange Gasse 1", City: "Gößweinstein", Region: "BY", PostalCode: "91327", Country: "DE"},
			"Jörg Groß", "Lange Gasse 1", "91327 Gößweinstein", "GERMANY"),
		Entry("in the United States", label.Address{Name: "Ann Lee", Line1: "1 Main St", City: "Springfield", Region: "IL", PostalCode: "62701", Country: "US"},
			"Ann Lee", "1 Main St", "Springfield IL 62701", "UNITED STATES"),
		Entry("in the United Kingdom", label.Address{Name: "Ann Lee", Line1: "1 High St", City: "London", PostalCode: "SW1A 1AA", Country: "GB"},
			"Ann Lee", "1 High St", "London", "SW1A 1AA", "UNITED KINGDOM"),
		Entry("of a company only", label.Address{Company: "ACME", Line1: "1 High St", City: "Milano", Region: "MI", PostalCode: "20121", Country: "IT"},
			"ACME", "1 High St", "20121 Milano MI", "ITALY"),
		Entry("in a country of no name", label.Address{Name: "Ann Lee", Country: "QQ"}, "Ann Lee", "QQ"),
	)

	It("leaves the country out of the sender's address within it", func() {
		m := sample()
		m.To = label.Address{Name: "Rui", City: "Porto", PostalCode: "4000-001", Country: "PT"}
		Expect(texts(laidOut(Default, m))).To(ContainElement("PORTUGAL"))
		Expect(strings.Count(strings.Join(texts(laidOut(Default, m)), "\n"), "PORTUGAL")).To(Equal(1))
	})

	DescribeTable("writes the number as it is read out", func(tracking, want string) {
		m := sample()
		m.TrackingNumber = tracking
		Expect(texts(laidOut(Default, m))).To(ContainElement(want))
	},
		Entry("in fours", "9400110200881234567890", "9400 1102 0088 1234 5678 90"),
		Entry("as the post does", "RR123456785PT", "RR 123 456 785 PT"),
		Entry("and any other as it is", "1Z999AA10123456784", "1Z999AA10123456784"),
	)

	DescribeTable("tells the weight", func(grams int64, want string) {
		m := sample()
		m.Grams = grams
		Expect(texts(laidOut(Default, m))).To(ContainElement(want))
	},
		Entry("of grams", int64(999), "999 g"),
		Entry("of kilograms", int64(2000), "2 kg"),
		Entry("of both", int64(12_050), "12.05 kg"),
		Entry("that nobody knows", int64(0), "–"),
	)

	It("names what it cannot print, and prints boxes for it", func() {
		m := sample()
		Expect(label.Unprintable(m)).To(BeEmpty())
		m.To.Name, m.From.City, m.Service = "山田太郎", "תל אביב", "速達"
		Expect(label.Unprintable(m)).To(ConsistOf("/to/name", "/from/city", "/service"))
		Expect(texts(laidOut(Default, m))).To(ContainElement("□□□□"))
	})

	DescribeTable("is refused without a number that can be scanned", func(tracking string) {
		m := sample()
		m.TrackingNumber = tracking
		Expect(label.PDF(&bytes.Buffer{}, m)).To(MatchError(label.ErrTrackingNumber))
		Expect(label.ZPL(&bytes.Buffer{}, m, 203)).To(MatchError(label.ErrTrackingNumber))
		Expect(label.PNG(&bytes.Buffer{}, m, 203)).To(MatchError(label.ErrTrackingNumber))
	},
		Entry("none", ""),
		Entry("one with an accent", "RRÉ1"),
		Entry("29 letters", strings.Repeat("W", 29)),
		Entry("57 digits", strings.Repeat("1", 57)),
	)

	It("has the number in its QR code when there is no address to follow it", func() {
		m := sample()
		m.TrackingURL = ""
		Expect(sheetspec.QR(corner(picture(Default, m, 203)))).To(Equal(m.TrackingNumber))
		m.TrackingURL = "https://shop.example/" + strings.Repeat("long/", 60)
		Expect(sheetspec.QR(corner(picture(Default, m, 203)))).To(Equal(m.TrackingNumber))
	})

	It("is the picture in the manual", func() {
		var b bytes.Buffer
		Expect(label.PNG(&b, sample(), 150)).To(Succeed())
		manual, err := os.ReadFile("../../../docs/images/label.png")
		Expect(err).NotTo(HaveOccurred())
		Expect(bytes.Equal(manual, b.Bytes())).To(BeTrue(), "docs/images/label.png is of another label")
	})
})

// corner is the lower left one, in which the QR code is, without the frame.
func corner(p image.Image) image.Image {
	w, h := p.Bounds().Dx(), p.Bounds().Dy()
	from := image.Pt(w*48/1000, h-h*165/1000)
	c := image.NewGray(image.Rect(0, 0, w*21/100, h*13/100))
	for y := range c.Bounds().Dy() {
		for x := range c.Bounds().Dx() {
			c.Set(x, y, color.GrayModel.Convert(p.At(from.X+x, from.Y+y)))
		}
	}
	return c
}

func shirts(n int) (items []label.CustomsItem) {
	for i := range n {
		items = append(items, label.CustomsItem{
			Description: fmt.Sprintf("Cotton T-shirt %d", i+1), Quantity: 2, Grams: 380, Value: money.Amount{Minor: 3998, Currency: money.EUR}, HSCode: "6109.10", Origin: "PT",
		})
	}
	return items
}

func customs(items ...label.CustomsItem) label.CustomsForm {
	return label.CustomsForm{
		Carrier: "CTT Expresso", From: lisbon, To: krakow, TrackingNumber: "RR123456785PT", Items: items, Signer: "Ana Sousa", Date: march,
	}
}

var _ = Describe("a customs form", func() {
	It("says what is in the parcel, and what it is worth together", func() {
		var b bytes.Buffer
		Expect(label.CustomsPDF(&b, customs(shirts(3)...))).To(Succeed())
		pages, err := sheetspec.PDF(b.Bytes())
		Expect(err).NotTo(HaveOccurred())
		Expect(pages).To(HaveLen(1))
		var all []string
		for _, t := range pages[0].Texts {
			all = append(all, t.Text)
		}
		Expect(all).To(ContainElements(
			"CN 22", "CUSTOMS DECLARATION", "Zoë Łukasiewicz", "2 × Cotton T-shirt 1", "2 × Cotton T-shirt 3", "HS (4) 6109.10 · Origin (5) Portugal",
			"0.38", "39.98 EUR", "1.14", "119.94 EUR", "2026-03-05 Ana Sousa", "ITEM CTT Expresso", "RR 123 456 785 PT",
		))
	})

	It("goes on on another page, with the sums of all", func() {
		var b bytes.Buffer
		Expect(label.CustomsZPL(&b, customs(shirts(17)...), 203)).To(Succeed())
		labels, err := sheetspec.ZPL(b.Bytes())
		Expect(err).NotTo(HaveOccurred())
		Expect(labels).To(HaveLen(3))
		items := 0
		for _, l := range labels {
			Expect(l.Fields).To(ContainElement(HaveField("Text", "679.66 EUR")))
			for _, f := range l.Fields {
				if strings.HasPrefix(f.Text, "2 × Cotton T-shirt") {
					items++
				}
			}
		}
		Expect(items).To(Equal(17))
	})

	DescribeTable("ticks why it is sent", func(category label.Category, want string) {
		f := customs(shirts(1)...)
		f.Category = category
		sheets, err := f.Layout()
		Expect(err).NotTo(HaveOccurred())
		var ticks []sheet.Box
		for _, m := range sheets[0].Marks {
			if b, ok := m.(sheet.Box); ok && b.W == b.H && b.Border == 0 {
				ticks = append(ticks, b)
			}
		}
		Expect(ticks).To(HaveLen(1))
		var beside []string
		for _, m := range sheets[0].Marks {
			if t, ok := m.(sheet.Text); ok && t.X > ticks[0].X && t.X < ticks[0].X+5*sheet.Millimetre && t.Y > ticks[0].Y && t.Y < ticks[0].Y+4*sheet.Millimetre {
				beside = append(beside, t.Text)
			}
		}
		Expect(beside).To(Equal([]string{want}))
	},
		Entry("sold, when nothing is said", label.Category(""), "Sale of goods / Vente de marchandises"),
		Entry("a return", label.Returned, "Returned goods / Retour de marchandise"),
		Entry("a gift", label.Gift, "Gift / Cadeau"),
	)

	DescribeTable("refuses", func(spoil func(*label.CustomsForm)) {
		f := customs(shirts(2)...)
		spoil(&f)
		Expect(label.CustomsPDF(&bytes.Buffer{}, f)).To(MatchError(label.ErrContents))
	},
		Entry("an empty parcel", func(f *label.CustomsForm) { f.Items = nil }),
		Entry("something without a name", func(f *label.CustomsForm) { f.Items[1].Description = " " }),
		Entry("none of something", func(f *label.CustomsForm) { f.Items[1].Quantity = 0 }),
		Entry("something without weight", func(f *label.CustomsForm) { f.Items[1].Grams = 0 }),
		Entry("something worth less than nothing", func(f *label.CustomsForm) { f.Items[1].Value.Minor = -1 }),
	)

	It("does not add up two currencies", func() {
		f := customs(shirts(2)...)
		f.Items[1].Value.Currency = money.USD
		Expect(label.CustomsPDF(&bytes.Buffer{}, f)).NotTo(Succeed())
	})

	It("stays on its paper and in its places, whatever it says", func() {
		words := rapid.StringOfN(rapid.OneOf(rapid.RuneFrom([]rune("abcdefg WMij  ÄÖłőΑθЖщ,.-/^~")), rapid.Rune()), 1, 200, -1)
		always(func(t *rapid.T, g Gomega) {
			f := customs()
			f.Size = rapid.SampledFrom([]label.Size{label.Inch4x6, label.A6}).Draw(t, "size")
			f.To.Name, f.To.Line1, f.From.Line2, f.Signer, f.TrackingNumber = words.Draw(t, "name"), words.Draw(t, "line"), words.Draw(t, "line"), words.Draw(t, "signer"), words.Draw(t, "tracking number")
			f.Carrier = words.Draw(t, "carrier")
			for range rapid.IntRange(1, 20).Draw(t, "items") {
				f.Items = append(f.Items, label.CustomsItem{
					Description: "x" + words.Draw(t, "description"), Quantity: rapid.Int64Range(1, 1e9).Draw(t, "quantity"), Grams: rapid.Int64Range(1, 1e12).Draw(t, "grams"),
					Value: money.Amount{Minor: rapid.Int64Range(0, 1e15).Draw(t, "value"), Currency: money.JPY}, HSCode: words.Draw(t, "hs"), Origin: words.Draw(t, "origin"),
				})
			}
			sheets, err := f.Layout()
			g.Expect(err).NotTo(HaveOccurred())
			for _, s := range sheets {
				tidy(g, s, margin)
			}
		})
	})
})

var _ = Describe("a packing slip", func() {
	slip := func(n int) label.PackingSlip {
		s := label.PackingSlip{Shop: "Casa do Café", To: krakow, Order: "1001", Parcel: 1, Parcels: 2, Date: march}
		for i := range n {
			s.Items = append(s.Items, label.PackedItem{SKU: fmt.Sprintf("SKU-%d", i+1), Name: "Cotton T-shirt", Quantity: int64(i + 1)})
		}
		return s
	}

	It("lists what is in the parcel, each once, on numbered pages", func() {
		var b bytes.Buffer
		Expect(label.PackingSlipPDF(&b, slip(70))).To(Succeed())
		pages, err := sheetspec.PDF(b.Bytes())
		Expect(err).NotTo(HaveOccurred())
		Expect(pages).To(HaveLen(3))
		var skus []string
		for i, p := range pages {
			Expect(p.Texts).To(ContainElement(HaveField("Text", fmt.Sprintf("Page %d of 3", i+1))))
			for _, t := range p.Texts {
				if strings.HasPrefix(t.Text, "SKU-") {
					skus = append(skus, t.Text)
				}
			}
		}
		Expect(skus).To(HaveLen(70))
		Expect(skus[0]).To(Equal("SKU-1"))
		Expect(skus[69]).To(Equal("SKU-70"))
	})

	It("cuts what nobody would read to the end", func() {
		s := slip(2)
		s.Items[0].Name = strings.Repeat("and so on ", 2000)
		pages := s.Layout()
		Expect(pages).To(HaveLen(1))
		Expect(texts(pages[0])).To(ContainElements(HaveSuffix("…"), "SKU-2"))
	})

	It("is a page without items too", func() {
		Expect(slip(0).Layout()).To(HaveLen(1))
	})

	It("stays on its paper and in its places, whatever it says", func() {
		words := rapid.StringOfN(rapid.OneOf(rapid.RuneFrom([]rune("abcdefg WMij  ÄÖłőΑθЖщ,.-/^~")), rapid.Rune()), 0, 600, -1)
		always(func(t *rapid.T, g Gomega) {
			s := slip(0)
			s.Shop, s.To.Name, s.Order = words.Draw(t, "shop"), words.Draw(t, "name"), words.Draw(t, "order")
			for range rapid.IntRange(0, 40).Draw(t, "items") {
				s.Items = append(s.Items, label.PackedItem{SKU: words.Draw(t, "sku"), Name: words.Draw(t, "item"), Quantity: rapid.Int64().Draw(t, "quantity")})
			}
			for _, page := range s.Layout() {
				tidy(g, page, 14*sheet.Millimetre)
			}
		})
	})
})
