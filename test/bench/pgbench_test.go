package main

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("what was recorded", func() {
	const log = `2026-01-02 03:04:05.678 UTC [11] LOG:  statement: begin; select set_config('app.tenant_id', 'x', true)
2026-01-02 03:04:05.679 UTC [22] LOG:  statement: begin; select set_config('app.all_tenants', 'on', true)
2026-01-02 03:04:05.680 UTC [11] LOG:  execute 3: /* keep */
	insert into shop.sale (id, note,
	  text) values ($1, $2, $3)
2026-01-02 03:04:05.680 UTC [11] DETAIL:  parameters: $1 = '01990000-0000-7000-8000-0000000000aa', $2 = NULL, $3 = 'it''s $2 = ''x''
	at 3:04'
2026-01-02 03:04:05.681 UTC [22] LOG:  execute <unnamed>: select $1::int
2026-01-02 03:04:05.681 UTC [22] DETAIL:  parameters: $1 = '1'
2026-01-02 03:04:05.682 UTC [11] LOG:  statement: select; commit
2026-01-02 03:04:05.683 UTC [22] LOG:  statement: select; commit
`
	const id = "01990000-0000-7000-8000-0000000000aa"

	It("is the transaction of the one process that did it, with its parameters", func() {
		Expect(recorded(log, "shop.sale")).To(Equal([]statement{
			{text: `begin; select set_config('app.tenant_id', 'x', true)`},
			{text: "/* keep */\ninsert into shop.sale (id, note,\n  text) values ($1, $2, $3)", args: []arg{{value: id}, {null: true}, {value: "it's $2 = 'x'\nat 3:04"}}},
			{text: `select; commit`},
		}))
	})

	It("is refused when it is not there", func() {
		_, err := recorded(log, "shop.refund")
		Expect(err).To(MatchError(ContainSubstring("shop.refund")))
	})

	DescribeTable("is repeated with new ids and the same values", func(value, expected string, constants ...string) {
		s := scriptOf([]statement{{text: `select $1`, args: []arg{{value: value}}}}, [][]string{{"text"}},
			fresh{whole: map[string]string{"1001": ":k"}, part: map[string]string{"ann": "'ann-' || :k"}, kept: []string{strings.ReplaceAll(id, "a", "b")}})
		Expect(strings.SplitN(s.text, "\n", 3)[2]).To(Equal("select " + expected + ";\n"))
		Expect(s.constants).To(Equal(append([]string(nil), constants...)))
	},
		Entry("a constant", "it's: 5", ":s0p1", "s0p1=it's: 5"),
		Entry("nothing", "", "''::text"),
		Entry("an id", id, "("+idSQL(0)+")::text"),
		Entry("an id that was there before", strings.ReplaceAll(id, "a", "b"), ":s0p1", "s0p1="+strings.ReplaceAll(id, "a", "b")),
		Entry("an id within text", `{"a":"`+id+`"}`, `(E'{"a"\x3a"' || `+idSQL(0)+` || E'"}')::text`),
		Entry("a value that counts", "1001", "(:k)::text"),
		Entry("text that is new each time", "it's ann", `(E'it''s ' || 'ann-' || :k)::text`),
	)
})
