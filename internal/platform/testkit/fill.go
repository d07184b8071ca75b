package testkit

import (
	"database/sql"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"
)

// Fill puts one row of a merchant into a table, whatever its columns are. Constraints that
// hold between rows do not matter here.
func Fill(super *sql.DB, table string, tenant uuid.UUID) {
	ginkgo.GinkgoHelper()
	rows, err := super.Query(`
		select quote_ident(a.attname), format_type(a.atttypid, null), coalesce((
			select (regexp_match(pg_get_constraintdef(k.oid), '''([a-z_]+)''::text'))[1] from pg_constraint k
			where k.conrelid = a.attrelid and k.contype = 'c' and k.conkey = array[a.attnum] and pg_get_constraintdef(k.oid) ~ 'ANY'), '')
		from pg_attribute a where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity = ''`, table)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	defer rows.Close()
	var columns, values []string
	for rows.Next() {
		var name, kind, word string
		gomega.Expect(rows.Scan(&name, &kind, &word)).To(gomega.Succeed())
		columns = append(columns, name)
		switch {
		case name == "tenant_id":
			values = append(values, "'"+tenant.String()+"'")
		case told[table+"."+name] != "":
			values = append(values, told[table+"."+name])
		case word != "":
			values = append(values, "'"+word+"'")
		default:
			values = append(values, sample(kind, tenant))
		}
	}
	gomega.Expect(rows.Err()).NotTo(gomega.HaveOccurred())
	_, err = super.Exec(fmt.Sprintf(`begin; set local session_replication_role = replica; insert into %s (%s) values (%s); commit`,
		table, strings.Join(columns, ", "), strings.Join(values, ", ")))
	gomega.Expect(err).NotTo(gomega.HaveOccurred(), table)
}

// told are the values of columns that must go with others.
var told = map[string]string{
	"identity.account.kind": "'customer'", "identity.address.country": "'PT'", "catalog.variant.hs_code": "'691200'", "catalog.variant.origin": "'PT'", "groupbuy.campaign.price_minor": "0", "groupbuy.campaign.end_time": "now() + interval '1 hour'",
	"checkout.cart.status": "'placed'", "inventory.reservation_line.shipped": "0", "orders.orders.shipping_total_minor": "0", "orders.line.cancelled": "0", "orders.orders.returned_minor": "0", "shipping.settings.paper": "'A6'", "pricing.tax_rate.country": "'PT'", "pricing.tax_rate.valid_until": "now() + interval '1 hour'", "pricing.discount.ends_at": "now() + interval '1 hour'", "pricing.code.code": "'SPRING'",
}

// sample is some value of a type that the usual checks accept. Texts differ by merchant.
func sample(kind string, tenant uuid.UUID) string {
	switch kind {
	case "uuid":
		return "gen_random_uuid()"
	case "bigint", "integer", "smallint", "numeric":
		return "1"
	case "boolean":
		return "true"
	case "timestamp with time zone":
		return "now()"
	case "date":
		return "current_date"
	case "json", "jsonb":
		return "'{}'"
	case "bytea":
		return "sha256(gen_random_uuid()::text::bytea)"
	case "character":
		return "'abc'"
	case "text", "character varying":
		return "'t" + tenant.String()[24:] + "'"
	}
	if strings.HasSuffix(kind, "[]") {
		return "'{}'"
	}
	ginkgo.Fail("what is a sample of " + kind + "?")
	return ""
}
