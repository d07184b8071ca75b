package catalog

import (
	"regexp"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

var (
	added = time.Date(2026, time.March, 1, 9, 0, 0, 0, time.UTC)
	later = added.Add(time.Hour)
)

// mug is a product as it was added.
func mug() product {
	return product{
		ID: clock.NewID(), VariantID: clock.NewID(), SKU: "MUG-BLUE", Name: "Blue mug", Description: "Holds 30 cl.",
		Price: money.Amount{Minor: 1250, Currency: money.EUR}, TaxClass: standard, Status: active, Version: 1, CreatedAt: added, UpdatedAt: added,
	}
}

var everyStatus = []status{draft, active, archived}

var _ = Describe("the status of a product", func() {
	DescribeTable("moves", func(from status, to ...status) {
		for _, next := range everyStatus {
			p := mug()
			p.Status = from
			before := p
			changed, err := p.change(changes{Status: &next}, later)
			switch {
			case next == from:
				Expect(err).NotTo(HaveOccurred())
				Expect(changed).To(BeFalse(), "%s stays %s", from, next)
				Expect(p).To(Equal(before))
			case slices.Contains(to, next):
				Expect(err).NotTo(HaveOccurred(), "%s to %s", from, next)
				Expect(changed).To(BeTrue())
				Expect(p.Status).To(Equal(next))
				Expect(p.Version).To(Equal(before.Version + 1))
			default:
				Expect(err).To(MatchError(errTransition), "%s to %s", from, next)
				Expect(err).To(MatchError(ContainSubstring("A product that is %s cannot become %s.", from, next)))
				Expect(p).To(Equal(before), "a refused change leaves the product as it was")
			}
		}
	},
		Entry("from draft to active or archived", draft, active, archived),
		Entry("from active back to draft, or to archived", active, draft, archived),
		Entry("from archived to active only: what was on sale is no draft any more", archived, active),
	)

	It("moves from and to nothing else", func() {
		Expect(moves).To(HaveLen(len(everyStatus)))
	})
})

var _ = Describe("changing a product", func() {
	price := func(minor int64, c money.Currency) *money.Amount { return &money.Amount{Minor: minor, Currency: c} }
	becomes := func(s status) *status { return &s }

	DescribeTable("changes what is sent, once, and leaves the rest", func(c changes, expected func(*product)) {
		p := mug()
		want := p
		expected(&want)
		want.Version, want.UpdatedAt = 2, later

		Expect(p.change(c, later)).To(BeTrue())
		Expect(p).To(Equal(want))
	},
		Entry("the name", changes{Name: new("Navy mug")}, func(p *product) { p.Name = "Navy mug" }),
		Entry("the description", changes{Description: new("Holds 40 cl.")}, func(p *product) { p.Description = "Holds 40 cl." }),
		Entry("the description, to none", changes{Description: new("")}, func(p *product) { p.Description = "" }),
		Entry("the description, without its script", changes{Description: new("<b>Big</b><script>steal()</script>")}, func(p *product) { p.Description = "<b>Big</b>" }),
		Entry("the price", changes{Price: price(1300, money.EUR)}, func(p *product) { p.Price.Minor = 1300 }),
		Entry("the price, to nothing", changes{Price: price(0, money.EUR)}, func(p *product) { p.Price.Minor = 0 }),
		Entry("how it is taxed", changes{TaxClass: new("reduced")}, func(p *product) { p.TaxClass = "reduced" }),
		Entry("what it weighs", changes{Grams: new(int64(350))}, func(p *product) { p.Measures.Grams = 350 }),
		Entry("how large it is", changes{Sides: &sides{120, 90, 100}}, func(p *product) { p.Measures = catalogapi.Measures{Length: 120, Width: 90, Height: 100} }),
		Entry("its customs code", changes{HSCode: new("691200")}, func(p *product) { p.Customs.HSCode = "691200" }),
		Entry("where it was made", changes{Origin: new("PT")}, func(p *product) { p.Customs.Origin = "PT" }),
		Entry("the currency alone", changes{Price: price(1250, money.USD)}, func(p *product) { p.Price.Currency = money.USD }),
		Entry("everything at once, which is one version", changes{new("Cup"), new("New"), price(2000, money.JPY), new("reduced"), new(int64(350)), &sides{1, 2, 3}, becomes(archived), new("691200"), new("PT")}, func(p *product) {
			p.Name, p.Description, p.Price, p.TaxClass, p.Status = "Cup", "New", money.Amount{Minor: 2000, Currency: money.JPY}, "reduced", archived
			p.Measures, p.Customs = catalogapi.Measures{Grams: 350, Length: 1, Width: 2, Height: 3}, catalogapi.Customs{HSCode: "691200", Origin: "PT"}
		}),
	)

	DescribeTable("is no change, and no version, when it ends as it began", func(c changes) {
		p := mug()
		before := p
		Expect(p.change(c, later)).To(BeFalse())
		Expect(p).To(Equal(before))
	},
		Entry("nothing is sent", changes{}),
		Entry("what is sent is what there is", changes{Name: new("Blue mug"), Description: new("Holds 30 cl."), Price: price(1250, money.EUR), TaxClass: new(standard), Grams: new(int64(0)), Sides: &sides{}, Status: becomes(active)}),
		Entry("only a script is new", changes{Description: new("Holds 30 cl.<script>steal()</script>")}),
	)

	It("is refused as a whole when the status cannot be", func() {
		p := mug()
		p.Status = archived
		before := p
		changed, err := p.change(changes{Name: new("Other"), Price: price(1, money.EUR), Status: becomes(draft)}, later)
		Expect(err).To(MatchError(errTransition))
		Expect(changed).To(BeFalse())
		Expect(p).To(Equal(before))
	})

	It("counts one version for each change and never touches what the product goes by", func() {
		optional := func(t *rapid.T, name string, values ...string) *string {
			return rapid.Ptr(rapid.SampledFrom(values), true).Draw(t, name)
		}
		always(func(t *rapid.T, g Gomega) {
			p := mug()
			origin := p
			for range rapid.IntRange(1, 8).Draw(t, "changes") {
				c := changes{
					Name:        optional(t, "name", "Blue mug", "Cup"),
					Description: optional(t, "description", "Holds 30 cl.", "a < b", "<i>x</i><script>1</script>"),
					Status:      (*status)(optional(t, "status", "draft", "active", "archived")),
				}
				if minor := rapid.Ptr(rapid.Int64Range(0, 2), true).Draw(t, "minor"); minor != nil {
					c.Price = price(*minor, rapid.SampledFrom(money.Enabled()).Draw(t, "currency"))
				}
				before := p
				at := p.UpdatedAt.Add(time.Second)
				changed, err := p.change(c, at)
				if err != nil || !changed {
					g.Expect(p).To(Equal(before))
					continue
				}
				g.Expect(p.Version).To(Equal(before.Version + 1))
				g.Expect(p.UpdatedAt).To(Equal(at))
				again := p
				g.Expect(again.change(c, at)).To(BeFalse(), "the same change once more changes nothing")
			}
			g.Expect([]any{p.ID, p.VariantID, p.SKU, p.CreatedAt}).To(Equal([]any{origin.ID, origin.VariantID, origin.SKU, origin.CreatedAt}))
		})
	})
})

var _ = Describe("the description of a product", func() {
	DescribeTable("stays as it is, letter by letter, when it is text", func(text string) {
		Expect(clean(text)).To(Equal(text))
	},
		Entry("empty", ""),
		Entry("lines, quotes and ampersands", "Salt & \"Pepper\"\n\tthe mill's twin © 2026 — ½ price"),
		Entry("what looks like an entity", "AT&amp;T, &lt;b&gt;"),
		Entry("an arrow, an emoticon and a comparison", "5 < 6 & 7 > 2, I <3 tea, a<=b, <-- new, <>"),
		Entry("a last <", "less is <"),
		Entry("other scripts and emoji", "茶碗 ☕️ с крышкой"),
	)

	DescribeTable("loses scripts and keeps the rest of its markup", func(text, want string) {
		Expect(clean(text)).To(Equal(want))
	},
		Entry("a script", `<p>Blue</p><script>alert(1)</script>`, `<p>Blue</p>`),
		Entry("a script in capitals, with attributes", `<SCRIPT SRC="//evil"></SCRIPT>ok`, `ok`),
		Entry("a script that never ends", `ok<script>alert(1)`, `ok`),
		Entry("a handler", `<b onclick="alert(1)">Big</b>`, `<b>Big</b>`),
		Entry("a link that is a script", `<a href="javascript:alert(1)">x</a>`, `x`),
		Entry("a frame", `a<iframe src="https://evil"></iframe>b`, `ab`),
		Entry("a style", `<style>body{display:none}</style>x`, `x`),
		Entry("a comment", `a<!-- <script>alert(1)</script> -->b`, `ab`),
		Entry("a lone end tag", `a</script>b`, `ab`),
		Entry("a tag that is never closed", `a<img src=x onerror=alert(1)`, `a`),
		Entry("lists and tables, which it keeps", `<ul><li>30 cl</li></ul><table><tr><td>1</td></tr></table>`, `<ul><li>30 cl</li></ul><table><tr><td>1</td></tr></table>`),
	)

	It("carries no script, whatever it is put together from, and is clean already the second time", func() {
		piece := rapid.OneOf(
			rapid.SampledFrom([]string{
				"<script>", "</script>", "<scr", "ipt>", "<", ">", "</", "<!--", "-->", "<![CDATA[", "]]>", "<?", "<svg", "<math>", "<style>", "</style>",
				"<img src=x", " onerror=", "onload=", `"`, "'", "`", " ", "/", "=", "javascript:", "data:text/html,", `<a href="`, "<b>", "</b>",
				"<iframe", "<noscript>", "<textarea>", "<title>", "<plaintext>", "&lt;", "&#60;", "script", "alert(1)", "\n", "\t", "é",
			}),
			rapid.StringN(0, 4, -1),
		)
		harmful := regexp.MustCompile(`(?i)</?(script|iframe|style|svg|math|object|embed|plaintext|textarea|title|noscript)|<[a-z][^>]*\son\w+\s*=|<[a-z][^>]*(href|src)\s*=\s*["']?\s*(javascript|data):`)
		always(func(t *rapid.T, g Gomega) {
			text := strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "")
			once := clean(text)
			g.Expect(harmful.FindString(once)).To(BeEmpty(), "%q became %q", text, once)
			g.Expect(clean(once)).To(Equal(once))
			if !markup.MatchString(text) {
				g.Expect(once).To(Equal(text))
			}
		})
	})
})

var _ = Describe("the name of a product", func() {
	DescribeTable("is one line that shows", func(name, code string) {
		var codes []string
		for _, f := range httpx.Line("/name", name) {
			Expect(f.Pointer).To(Equal("/name"))
			codes = append(codes, f.Code)
		}
		Expect(strings.Join(codes, " ")).To(Equal(code))
	},
		Entry("a name", "Blue mug", ""),
		Entry("a name in another script", "青いマグ", ""),
		Entry("none, which the schema refuses", "", ""),
		Entry("blanks", "  ", "required"),
		Entry("blanks of another kind", "\u00a0\u2003", "required"),
		Entry("characters that show as nothing", "\u200b\ufeff", "required"),
		Entry("two lines", "Blue\nmug", "invalid_text"),
		Entry("two lines, otherwise", "Blue\u2028mug", "invalid_text"),
		Entry("a tab", "Blue\tmug", "invalid_text"),
		Entry("an escape sequence", "Blue\x1b[31m", "invalid_text"),
	)
})

var _ = Describe("what is said of a product", func() {
	DescribeTable("is checked beyond its schema, all of it at once", func(body interface{ Check() []fault.Field }, wrong ...string) {
		found := []string{}
		for _, f := range body.Check() {
			found = append(found, f.Pointer+" "+f.Code)
		}
		Expect(found).To(HaveExactElements(wrong))
	},
		Entry("a product", &createBody{SKU: "MUG", Name: "Mug", Price: "12.50", Currency: "EUR"}),
		Entry("a product with cents of a yen and two lines for a name", &createBody{SKU: "MUG", Name: "Blue\nmug", Price: "12.50", Currency: "JPY"}, "/price too_many_digits", "/name invalid_text"),
		Entry("a product in a currency that nobody has", &createBody{SKU: "MUG", Name: " ", Price: "1", Currency: "EURO"}, "/currency unknown_currency", "/name required"),
		Entry("a product for less than nothing", &createBody{SKU: "MUG", Name: "Mug", Price: "-0.01", Currency: "EUR"}, "/price minimum"),
		Entry("a change of nothing", &updateBody{}),
		Entry("a change of the price in the product's own currency, which is read later", &updateBody{Price: new(httpx.Decimal("1.005"))}),
		Entry("a change of price and currency", &updateBody{Price: new(httpx.Decimal("1.005")), Currency: new("EUR")}, "/price too_many_digits"),
		Entry("a change of the currency alone", &updateBody{Currency: new("EUR"), Name: new(" ")}, "/name required", "/price required"),
	)
})
