package eventschema_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing/fstest"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema"
)

// parcel is a schema with one of everything that facts are made of.
const parcel = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"title": "A parcel left",
	"description": "The carrier has it. Published when the label is scanned.",
	"x-subject": "parcelId",
	"type": "object",
	"required": ["parcelId", "at", "carrier", "lines"],
	"properties": {
		"at": {"type": "string", "format": "date-time", "description": "When, UTC."},
		"carrier": {"type": "string", "enum": ["dhl", "ups"], "description": "Who carries it."},
		"lines": {"type": "array", "minItems": 1, "description": "What is in it.", "items": {
			"type": "object",
			"required": ["sku", "price"],
			"properties": {
				"grams": {"type": "integer", "minimum": 0, "description": "Weight of one unit."},
				"price": {"type": "string", "pattern": "^([0-9]+|free)$", "description": "Of one unit."},
				"sku": {"type": "string", "minLength": 1, "description": "The item."}
			}
		}},
		"parcelId": {"type": "string", "format": "uuid", "description": "The parcel."},
		"state": {"type": "string", "const": "left", "description": "On its way."}
	}
}`

const sent = `{"parcelId": "019cebab-8995-7b1c-a3e0-5d9f41c27b68", "at": "2026-03-14T09:26:53Z", "carrier": "dhl",
	"lines": [{"sku": "A", "price": "1"}, {"sku": "B", "price": "free", "grams": 300}], "state": "left"}`

// shipping is a module with the given schemas, by file name.
func shipping(schemas map[string]string) eventschema.Module {
	files := fstest.MapFS{}
	for name, schema := range schemas {
		files["schemas/"+name] = &fstest.MapFile{Data: []byte(schema)}
	}
	return eventschema.Module{Name: "shipping", Schemas: files}
}

func load(schemas map[string]string) *eventschema.Catalog {
	GinkgoHelper()
	c, err := eventschema.Load(shipping(schemas))
	Expect(err).NotTo(HaveOccurred())
	return c
}

var _ = Describe("checking a fact", func() {
	var known *eventschema.Catalog

	BeforeEach(func() { known = load(map[string]string{"parcel.left.v1.json": parcel}) })

	It("accepts what follows the schema, and fields that came later", func() {
		Expect(known.Check("parcel.left", 1, []byte(sent))).To(Succeed())
		Expect(known.Check("parcel.left", 1, []byte(strings.Replace(sent, `"state"`, `"driver": "Ana", "state"`, 1)))).To(Succeed())
	})

	DescribeTable("refuses, and points at,",
		func(old, changed, message string) {
			Expect(sent).To(ContainSubstring(old))
			Expect(known.Check("parcel.left", 1, []byte(strings.Replace(sent, old, changed, 1)))).To(MatchError(message))
		},
		Entry("a field that is missing", `"carrier": "dhl",`, ``, "parcel.left.v1: /carrier: is missing"),
		Entry("a field that is missing in an item", `"sku": "B", `, ``, "parcel.left.v1: /lines/1/sku: is missing"),
		Entry("the wrong type", `300`, `"300"`, "parcel.left.v1: /lines/1/grams: got string, want integer"),
		Entry("a fraction of a unit", `300`, `0.5`, "parcel.left.v1: /lines/1/grams: got number, want integer"),
		Entry("a number that is too small", `300`, `-1`, "parcel.left.v1: /lines/1/grams: minimum: got -1, want 0"),
		Entry("money that is none", `"1"`, `"1,50"`, "parcel.left.v1: /lines/0/price: '1,50' does not match pattern '^([0-9]+|free)$'"),
		Entry("a word that is not known", `"dhl"`, `"owl"`, "parcel.left.v1: /carrier: value must be one of 'dhl', 'ups'"),
		Entry("an empty list", `[{"sku": "A", "price": "1"}, {"sku": "B", "price": "free", "grams": 300}]`, `[]`,
			"parcel.left.v1: /lines: minItems: got 0, want 1"),
		Entry("everything that is wrong at once", `"sku": "B", "price": "free"`, `"sku": "", "price": ""`,
			"parcel.left.v1: /lines/1/price: '' does not match pattern '^([0-9]+|free)$'; /lines/1/sku: minLength: got 0, want 1"),
	)

	It("asserts formats, which the draft alone would only remark on", func() {
		err := known.Check("parcel.left", 1, []byte(strings.NewReplacer("019cebab-", "", "T09:26:53Z", "").Replace(sent)))
		Expect(err).To(MatchError(SatisfyAll(
			ContainSubstring("/at: '2026-03-14' is not valid date-time"),
			ContainSubstring("/parcelId: '8995-7b1c-a3e0-5d9f41c27b68' is not valid uuid"),
		)))
	})

	It("refuses what is no object, and what is no JSON", func() {
		Expect(known.Check("parcel.left", 1, []byte(`[]`))).To(MatchError("parcel.left.v1: got array, want object"))
		Expect(known.Check("parcel.left", 1, []byte(`{`))).To(MatchError(HavePrefix("parcel.left.v1: ")))
	})

	It("refuses a topic and a version that nobody described", func() {
		Expect(known.Check("parcel.lost", 1, []byte(sent))).To(MatchError("parcel.lost has no schema of version 1"))
		Expect(known.Check("parcel.left", 2, []byte(sent))).To(MatchError("parcel.left has no schema of version 2"))
	})
})

var _ = Describe("loading the schemas", func() {
	DescribeTable("refuses",
		func(name, old, changed, message string) {
			Expect(parcel).To(ContainSubstring(old))
			_, err := eventschema.Load(shipping(map[string]string{name: strings.Replace(parcel, old, changed, 1)}))
			Expect(err).To(MatchError(SatisfyAll(HavePrefix("schemas/"+name+" of shipping: "), ContainSubstring(message))))
		},
		Entry("a file without a version", "parcel.left.json", "", "", "<type>.v<version>.json"),
		Entry("version 0", "parcel.left.v0.json", "", "", "<type>.v<version>.json"),
		Entry("what is no JSON", "parcel.left.v1.json", "{", "", "invalid character"),
		Entry("what is no schema", "parcel.left.v1.json", `"minItems": 1`, `"minItems": "one"`, "minItems"),
		Entry("a schema in pieces", "parcel.left.v1.json", `{"type": "string", "format": "uuid"`, `{"$ref": "https://example.com/id.json"`, "example.com"),
		Entry("a fact that says nothing", "parcel.left.v1.json", `"description": "The carrier has it. Published when the label is scanned.",`, "", "title and description"),
		Entry("a fact about nothing", "parcel.left.v1.json", `"x-subject": "parcelId",`, "", "x-subject"),
		Entry("a subject that may be absent", "parcel.left.v1.json", `"x-subject": "parcelId"`, `"x-subject": "state"`, `not "state"`),
	)

	It("refuses a module without facts", func() {
		_, err := eventschema.Load(shipping(nil))
		Expect(err).To(MatchError("schemas of shipping: there are none"))
	})

	It("refuses a fact that two modules claim", func() {
		shipping := shipping(map[string]string{"parcel.left.v1.json": parcel})
		_, err := eventschema.Load(shipping, eventschema.Module{Name: "sellers", Schemas: shipping.Schemas})
		Expect(err).To(MatchError("schemas/parcel.left.v1.json of sellers: shipping has described it already"))
	})

	It("lists the fields as their author ordered them, those of items below theirs", func() {
		known := load(map[string]string{"parcel.left.v1.json": parcel, "parcel.left.v2.json": parcel})
		types := known.Types()
		Expect(types).To(HaveLen(2))
		Expect(types[1].Version).To(Equal(2))
		Expect(types[0]).To(SatisfyAll(
			HaveField("Module", "shipping"), HaveField("Name", "parcel.left"), HaveField("Version", 1), HaveField("Subject", "parcelId"),
		))
		Expect(types[0].Fields).To(Equal([]eventschema.Field{
			{Name: "parcelId", Type: "string, uuid", Required: true, Description: "The parcel."},
			{Name: "at", Type: "string, date-time", Required: true, Description: "When, UTC."},
			{Name: "carrier", Type: "string, one of `dhl`, `ups`", Required: true, Description: "Who carries it."},
			{Name: "lines", Type: "array of object, not empty", Required: true, Description: "What is in it."},
			{Name: "lines[].sku", Type: "string, not empty", Required: true, Description: "The item."},
			{Name: "lines[].price", Type: "string, `^([0-9]+|free)$`", Required: true, Description: "Of one unit."},
			{Name: "lines[].grams", Type: "integer, at least 0", Description: "Weight of one unit."},
			{Name: "state", Type: "string, always `left`", Description: "On its way."},
		}))
	})
})

var _ = Describe("the page about the facts", func() {
	It("tells of the envelope what event.Envelope has", func() {
		row := regexp.MustCompile("(?m)^\\| `(\\w+)` \\| [^|]+ \\| (yes|no) \\|")
		described := map[string]bool{}
		for _, m := range row.FindAllStringSubmatch((&eventschema.Catalog{}).Markdown(), -1) {
			described[m[1]] = m[2] == "yes"
		}
		actual := map[string]bool{}
		for _, f := range reflect.VisibleFields(reflect.TypeFor[event.Envelope]()) {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			actual[name] = options == ""
		}
		Expect(described).To(Equal(actual))
	})

	It("has a line a topic, and a section with every field and the golden", func() {
		known := load(map[string]string{"parcel.left.v1.json": parcel, "parcel.left.v2.json": parcel})
		page := known.Markdown(fstest.MapFS{}, fstest.MapFS{"parcel.left.v1.json": {Data: []byte("{\n  \"golden\": 1\n}\n")}})
		Expect(page).To(SatisfyAll(
			ContainSubstring("| [parcel.left](#parcelleft) | A parcel left |\n"),
			ContainSubstring("| [parcel.left v2](#parcelleft-v2) | A parcel left |\n"),
			ContainSubstring("\n## Facts of shipping\n\n### parcel.left\n\nThe carrier has it. Published when the label is scanned.\n"),
			ContainSubstring("Subject: `parcelId`. Version: 1."),
			ContainSubstring("\n| `lines[].grams` | integer, at least 0 | no | Weight of one unit. |\n"),
			ContainSubstring("\n| `lines[].price` | string, `^([0-9]+\\|free)$` | yes | Of one unit. |\n"),
			ContainSubstring("```json\n{\n  \"golden\": 1\n}\n```\n"),
		))
		Expect(strings.Count(page, "## Facts of shipping")).To(Equal(1))
		Expect(strings.Count(page, "\"golden\"")).To(Equal(1))
	})
})
