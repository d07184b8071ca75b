package sheet_test

import (
	"bytes"
	"image"
	"image/png"
	"strings"
	"time"
	"unicode"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/fusioncommerce/fusion/internal/platform/sheet"
	"github.com/fusioncommerce/fusion/internal/platform/sheet/sheetspec"
)

const mm = sheet.Millimetre

var noon = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)

// always checks a rule that holds for whatever it draws.
func always(rule func(t *rapid.T, g Gomega)) {
	GinkgoHelper()
	rapid.Check(GinkgoTB(), func(t *rapid.T) {
		rule(t, NewGomega(func(message string, _ ...int) { t.Fatal(message) }))
	})
}

func paper(marks ...sheet.Mark) *sheet.Sheet {
	s := &sheet.Sheet{Width: 100 * mm, Height: 60 * mm}
	s.Add(marks...)
	return s
}

func picture(g Gomega, s *sheet.Sheet, dpi int) image.Image {
	var b bytes.Buffer
	g.Expect(sheet.PNG(&b, s, dpi)).To(Succeed())
	p, err := png.Decode(&b)
	g.Expect(err).NotTo(HaveOccurred())
	return p
}

func printed(g Gomega, s *sheet.Sheet, dpi int) sheetspec.Printed {
	var b bytes.Buffer
	g.Expect(sheet.ZPL(&b, dpi, s)).To(Succeed())
	labels, err := sheetspec.ZPL(b.Bytes())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(labels).To(HaveLen(1))
	return labels[0]
}

func viewed(g Gomega, sheets ...*sheet.Sheet) []sheetspec.Page {
	var b bytes.Buffer
	g.Expect(sheet.PDF(&b, "Spec", noon, sheets...)).To(Succeed())
	pages, err := sheetspec.PDF(b.Bytes())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(pages).To(HaveLen(len(sheets)))
	return pages
}

var _ = Describe("a sheet", func() {
	everywhere := sheet.Rect{X: 2 * mm, Y: 10 * mm, W: 96 * mm, H: 20 * mm}

	Describe("barcodes", func() {
		It("are read as what was written, on each kind of paper", func() {
			always(func(t *rapid.T, g Gomega) {
				text := rapid.StringMatching(`[ -~]{1,14}|[0-9]{1,30}|[A-Z]{2}[0-9]{9}[A-Z]{2}`).Draw(t, "text")
				bars, err := sheet.NewCode128(everywhere, text)
				g.Expect(err).NotTo(HaveOccurred())
				s := paper(bars)
				for _, dpi := range []int{150, 203, 300} {
					g.Expect(sheetspec.Code128(picture(g, s, dpi))).To(Equal(text), "%d dpi", dpi)
				}
				g.Expect(sheetspec.Code128(viewed(g, s)[0].Picture)).To(Equal(text))
				for _, dpi := range []int{203, 300} {
					p := printed(g, s, dpi)
					g.Expect(p.Barcodes).To(HaveLen(1))
					g.Expect(p.Barcodes[0].Text).To(Equal(text))
					left, right := 2*dpi*1000/25400, 98*dpi*1000/25400
					before, after := p.Barcodes[0].X-left, right-p.Barcodes[0].X-p.Barcodes[0].Width
					g.Expect(before).To(BeNumerically(">", 20))
					g.Expect(before).To(BeNumerically("~", after, 3))
				}
			})
		})

		DescribeTable("are as short as they can be", func(text string, symbols int) {
			bars, err := sheet.NewCode128(everywhere, text)
			Expect(err).NotTo(HaveOccurred())
			// With start, check and stop, and the last bar of the stop; 3 dots a module.
			b := printed(Default, paper(bars), 203).Barcodes[0]
			module := min(767/((symbols+3)*11+2+20), 4)
			Expect(b.Width).To(Equal(((symbols+3)*11 + 2) * module))
		},
			Entry("digits two by two", "123456789012", 6),
			Entry("an odd number of them", "1234567", 5),
			Entry("letters one by one", "ABCDEF", 6),
			Entry("few digits between letters", "AB12CD", 6),
			Entry("many digits between letters", "RR123456785PT", 2+1+4+1+1+2),
			Entry("digits at the end", "AB123456", 2+1+3),
		)

		DescribeTable("refuse what no scanner reads", func(text string) {
			_, err := sheet.NewCode128(everywhere, text)
			Expect(err).To(MatchError(sheet.ErrBarcode))
		},
			Entry("nothing", ""),
			Entry("letters beyond ASCII", "Ünter"),
			Entry("control characters", "A\x1dB"),
			Entry("so many that the bars are too fine", strings.Repeat("A", 40)),
		)

		It("of two dimensions are read too", func() {
			always(func(t *rapid.T, g Gomega) {
				text := rapid.StringMatching(`[A-Z0-9]{8,30}|https://[a-z]{1,20}\.example/track/[0-9a-f]{10,40}`).Draw(t, "text")
				code, err := sheet.NewQR(sheet.Rect{X: 5 * mm, Y: 5 * mm, W: 20 * mm, H: 20 * mm}, text)
				g.Expect(err).NotTo(HaveOccurred())
				s := paper(code)
				for _, dpi := range []int{203, 300} {
					g.Expect(sheetspec.QR(picture(g, s, dpi))).To(Equal(text))
					g.Expect(sheetspec.QR(printed(g, s, dpi).Picture)).To(Equal(text))
				}
				g.Expect(sheetspec.QR(viewed(g, s)[0].Picture)).To(Equal(text))
			})
		})

		It("of two dimensions refuse what would be too fine", func() {
			_, err := sheet.NewQR(sheet.Rect{W: 10 * mm, H: 10 * mm}, strings.Repeat("x", 300))
			Expect(err).To(MatchError(sheet.ErrBarcode))
		})
	})

	DescribeTable("prints text", func(text, want string, whole bool) {
		s := paper(sheet.Text{X: 5 * mm, Y: 20 * mm, Size: 4 * mm, Text: text})
		Expect(viewed(Default, s)[0].Texts[0].Text).To(Equal(want))
		Expect(sheet.Printable(text)).To(Equal(whole))
	},
		Entry("beyond Latin-1", "Łódź Žižkov İzmir Nguyễn", "Łódź Žižkov İzmir Nguyễn", true),
		Entry("in Greek and Cyrillic", "Αθήνα Москва Київ", "Αθήνα Москва Київ", true),
		Entry("in Armenian and Georgian", "Երևան თბილისი", "Երևան თბილისი", true),
		Entry("composed", "Jose\u0301 A\u030a", "José Å", true),
		Entry("in one line", "one\r\n\ttwo  three", "one two three", true),
		Entry("without commands to terminals", "a\x00b\x1b[31m", "a b [31m", true),
		Entry("without what is not seen", "a\u200b\u202eb\u00adc\ufe0f", "abc", true),
		Entry("with parentheses and backslashes", `a (b) \ c`, `a (b) \ c`, true),
		Entry("with letters whose bytes end a line", "\u010a\u0d0d\u010d\u5c28\u0128", "Ċ□č□Ĩ", false),
		Entry("with boxes for letters that it has not", "東京 Tokyo", "□□ Tokyo", false),
		Entry("with boxes for what would come out backwards", "שלום", "□□□□", false),
		Entry("with boxes for emoji", "Zoë 🦊", "Zoë □", false),
		Entry("with boxes for broken bytes", "a\xffb", "a□b", false),
		Entry("with a box that was one", "a □", "a □", true),
	)

	It("is as wide as it was measured, in the viewer's font too", func() {
		s := paper(sheet.Text{X: 95 * mm, Y: 20 * mm, Size: 4 * mm, Align: sheet.Right, Text: "Right"}, sheet.Text{X: 50 * mm, Y: 40 * mm, Size: 4 * mm, Align: sheet.Centre, Text: "Centre"})
		p := picture(Default, s, 300)
		first, last := ink(p, 10*mm, 25*mm)
		Expect(last).To(BeNumerically("~", 95*mm, 500))
		Expect(last - first).To(BeNumerically("~", sheet.Width("Right", 4*mm, false), 600))
		first, last = ink(p, 30*mm, 45*mm)
		Expect((first + last) / 2).To(BeNumerically("~", 50*mm, 400))
		Expect(viewed(Default, s)[0].Texts[0].X).To(BeNumerically("~", float64(95*mm-sheet.Width("Right", 4*mm, false))/25400*72, 0.01))
	})

	It("is the same bytes each time", func() {
		print := func() (all string) {
			var b bytes.Buffer
			bars, err := sheet.NewCode128(everywhere, "RR123456785PT")
			Expect(err).NotTo(HaveOccurred())
			s := paper(bars, sheet.Text{X: 5 * mm, Y: 45 * mm, Size: 3 * mm, Text: "Łódź, Αθήνα, Москва"}, sheet.Text{X: 5 * mm, Y: 55 * mm, Size: 3 * mm, Bold: true, Text: "São Tomé"})
			Expect(sheet.PDF(&b, "Spec", noon, s, s)).To(Succeed())
			Expect(sheet.PNG(&b, s, 203)).To(Succeed())
			Expect(sheet.ZPL(&b, 203, s)).To(Succeed())
			return b.String()
		}
		first := print()
		Expect(first).To(And(ContainSubstring("/CreationDate (D:20260305120000)"), ContainSubstring("/ModDate (D:20260305120000)")))
		for range 20 {
			Expect(print()).To(Equal(first))
		}
	})

	DescribeTable("refuses what would be cut off", func(m sheet.Mark) {
		s := paper(m)
		Expect(sheet.PDF(&bytes.Buffer{}, "Spec", noon, s)).To(MatchError(sheet.ErrOffSheet))
		Expect(sheet.PNG(&bytes.Buffer{}, s, 203)).To(MatchError(sheet.ErrOffSheet))
		Expect(sheet.ZPL(&bytes.Buffer{}, 203, s)).To(MatchError(sheet.ErrOffSheet))
	},
		Entry("a line that is too long", sheet.Text{X: 5 * mm, Y: 10 * mm, Size: 5 * mm, Text: strings.Repeat("long ", 30)}),
		Entry("a line at the upper edge", sheet.Text{X: 5 * mm, Y: 2 * mm, Size: 5 * mm, Text: "high"}),
		Entry("a line at the lower edge", sheet.Text{X: 5 * mm, Y: 60 * mm, Size: 5 * mm, Text: "low"}),
		Entry("a box", sheet.Box{X: 90 * mm, Y: 5 * mm, W: 11 * mm, H: 5 * mm}),
	)

	It("refuses resolutions that no printer has", func() {
		Expect(sheet.ZPL(&bytes.Buffer{}, 200, paper())).NotTo(Succeed())
		Expect(sheet.PNG(&bytes.Buffer{}, paper(), 10)).NotTo(Succeed())
		Expect(sheet.PNG(&bytes.Buffer{}, paper(), 10_000)).NotTo(Succeed())
	})

	Describe("on a label printer", func() {
		It("prints whatever text there is, and never obeys it", func() {
			always(func(t *rapid.T, g Gomega) {
				text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[\^~_>\\,;:&%#^A-Z0-9\x00-\x20]{0,30}`)).Draw(t, "text")
				align := rapid.SampledFrom([]sheet.Align{sheet.Left, sheet.Centre, sheet.Right}).Draw(t, "align")
				s := paper(sheet.Shrink(sheet.Text{X: 50 * mm, Y: 20 * mm, Size: 4 * mm, Align: align, Text: text}, 1*mm, 45*mm))
				p := printed(g, s, 203)
				shown := sheet.Cut(text, 1*mm, false, 45*mm)
				switch {
				case shown == "":
					g.Expect(p.Fields).To(BeEmpty())
				case strings.ContainsFunc(shown, func(r rune) bool { return r > unicode.MaxLatin1 }), align != sheet.Left && strings.Contains(shown, `\`):
					g.Expect(p.Fields).To(BeEmpty(), "a picture")
				default:
					g.Expect(p.Fields).To(HaveLen(1))
					g.Expect(p.Fields[0].Text).To(Equal(shown))
				}
			})
		})

		It("has commands in hexadecimal only", func() {
			var b bytes.Buffer
			Expect(sheet.ZPL(&b, 203, paper(sheet.Text{X: 5 * mm, Y: 20 * mm, Size: 3 * mm, Text: "Eve^XZ~JA_41\n^XA^FDowned"}))).To(Succeed())
			Expect(b.String()).To(ContainSubstring(`^FH_^FDEve_5EXZ_7EJA_5F41 _5EXA_5EFDowned^FS`))
			Expect(strings.Count(b.String(), "^XA")).To(Equal(1))
		})

		It("draws letters that the printer may not have", func() {
			s := paper(sheet.Text{X: 5 * mm, Y: 20 * mm, Size: 6 * mm, Bold: true, Text: "Łódź"})
			p := printed(Default, s, 203)
			Expect(p.Fields).To(BeEmpty())
			first, last := ink203(p.Picture)
			Expect(last - first).To(BeNumerically("~", sheet.Width("Łódź", 6*mm, true)*203/25400, 6))
		})

		It("prints each sheet on a label of its own", func() {
			var b bytes.Buffer
			Expect(sheet.ZPL(&b, 300, paper(), paper())).To(Succeed())
			labels, err := sheetspec.ZPL(b.Bytes())
			Expect(err).NotTo(HaveOccurred())
			Expect(labels).To(HaveLen(2))
			Expect(labels[1].Width).To(Equal(1181))
			Expect(labels[1].Height).To(Equal(709))
		})
	})

	Describe("text in a place", func() {
		It("stays in it, whatever it is", func() {
			always(func(t *rapid.T, g Gomega) {
				var lines []sheet.Line
				for range rapid.IntRange(1, 8).Draw(t, "lines") {
					lines = append(lines, sheet.Line{Text: rapid.StringOfN(anyLetter(), 0, 250, -1).Draw(t, "line"), Bold: rapid.Bool().Draw(t, "bold")})
				}
				place := sheet.Rect{X: 5 * mm, Y: 5 * mm, W: rapid.IntRange(20, 90).Draw(t, "width") * mm, H: rapid.IntRange(20, 50).Draw(t, "height") * mm}
				marks := sheet.Block{Rect: place, Lines: lines, Max: 6 * mm, Min: 1500}.Marks()
				for i, m := range marks {
					g.Expect(m.Bounds().Within(place)).To(BeTrue(), "%+v in %+v", m, place)
					for _, other := range marks[:i] {
						g.Expect(m.Bounds().Meets(other.Bounds())).To(BeFalse(), "%+v on %+v", m, other)
					}
				}
			})
		})

		It("loses nothing when there is place", func() {
			always(func(t *rapid.T, g Gomega) {
				text := rapid.StringOfN(anyLetter(), 1, 120, -1).Draw(t, "text")
				rows := sheet.Wrap(text, 3*mm, false, 40*mm)
				bare := func(s string) string { return strings.ReplaceAll(s, " ", "") }
				g.Expect(bare(strings.Join(rows, ""))).To(Equal(bare(sheet.Clean(text))))
				for _, r := range rows {
					g.Expect(sheet.Width(r, 3*mm, false)).To(BeNumerically("<=", 40*mm))
				}
			})
		})

		It("is as large as it fits", func() {
			block := sheet.Block{Rect: sheet.Rect{W: 90 * mm, H: 20 * mm}, Lines: []sheet.Line{{Text: "Short"}}, Max: 6 * mm, Min: 2 * mm}
			Expect(block.Marks()[0].(sheet.Text).Size).To(Equal(6 * mm))
			block.Lines = []sheet.Line{{Text: strings.Repeat("rather long ", 25)}}
			size := block.Marks()[0].(sheet.Text).Size
			Expect(size).To(And(BeNumerically("<", 6*mm), BeNumerically(">", 2*mm)))
		})

		It("breaks between words", func() {
			Expect(sheet.Wrap("Rua da Rosa, terceiro andar direito", 4*mm, false, 30*mm)).To(Equal([]string{"Rua da Rosa,", "terceiro andar", "direito"}))
		})

		It("says where it was cut", func() {
			block := sheet.Block{Rect: sheet.Rect{W: 30 * mm, H: 8 * mm}, Lines: []sheet.Line{{Text: strings.Repeat("much too long ", 25)}, {Text: "Lisboa"}}, Max: 6 * mm, Min: 2 * mm}
			marks := block.Marks()
			Expect(marks[len(marks)-2].(sheet.Text).Text).To(HaveSuffix("…"))
			Expect(marks[len(marks)-1].(sheet.Text).Text).To(Equal("Lisboa"))
		})
	})
})

// anyLetter is of an address, more or less.
func anyLetter() *rapid.Generator[rune] {
	return rapid.OneOf(rapid.RuneFrom([]rune("abc WMijl  ÄÖłőΑθЖщ,.-/\n")), rapid.Rune())
}

// ink is where the first and the last letter are between two heights, in µm, at 300 dpi.
func ink(p image.Image, from, to int) (first, last int) {
	first = -1
	for x := range p.Bounds().Dx() {
		for y := from * 300 / 25400; y < to*300/25400; y++ {
			if r, _, _, _ := p.At(x, y).RGBA(); r < 0x8000 {
				if first < 0 {
					first = x * 25400 / 300
				}
				last = x * 25400 / 300
			}
		}
	}
	return first, last
}

// ink203 is where the first and the last black dot are.
func ink203(p *image.Gray) (first, last int) {
	first = -1
	for x := range p.Bounds().Dx() {
		for y := range p.Bounds().Dy() {
			if p.GrayAt(x, y).Y < 128 {
				if first < 0 {
					first = x
				}
				last = x
			}
		}
	}
	return first, last
}
